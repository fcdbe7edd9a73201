//! How a record stands in a file: a header with a checksum, then the payload.
//!
//! ```text
//! magic 4 | payload length u32 | crc32 u32 | events u32 | received_at i64 | payload      (little endian)
//! ```
//! The checksum covers all that follows it and the length, so that zeros, a torn write and a flipped bit
//! are all told from a record. The magic is where reading takes up again after a damaged stretch.

use std::io::{self, Read};
use std::ops::Range;

use tallymark_protocol::UnixMs;

use crate::encoded::ENTRY_BYTES_MAX;

/// The longest payload: an entry, or a dead letter, which is an entry with its cause.
const PAYLOAD_BYTES_MAX: usize = ENTRY_BYTES_MAX + 64 * 1024;

/// Bytes before the payload.
pub(super) const HEADER_BYTES: usize = 24;

const MAGIC: [u8; 4] = *b"TMQ1";

/// What a header says beside the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Label {
    pub(super) events: u32,
    pub(super) received_at: UnixMs,
}

/// A whole record that a scan came upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found<'a> {
    pub(super) label: Label,
    /// Of the header's first byte, from where the scan began.
    pub(super) offset: u64,
    pub(super) payload: &'a [u8],
}

/// The longest record.
const RECORD_BYTES_MAX: usize = HEADER_BYTES + PAYLOAD_BYTES_MAX;

/// How much is read at once.
const READ_BYTES: usize = 256 * 1024;

/// Appends one record to `out`.
///
/// `payload` is at most [`PAYLOAD_BYTES_MAX`] long; whoever encodes checks that.
pub(super) fn put(out: &mut Vec<u8>, label: Label, payload: &[u8]) {
    let len = u32::try_from(payload.len()).expect("payloads are bounded far below 4 GiB").to_le_bytes();
    let events = label.events.to_le_bytes();
    let received_at = label.received_at.0.to_le_bytes();
    let crc = checksum(&[&len, &events, &received_at, payload]);
    out.reserve(HEADER_BYTES + payload.len());
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&len);
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(&events);
    out.extend_from_slice(&received_at);
    out.extend_from_slice(payload);
}

/// What stands at the beginning of some bytes.
enum Look {
    /// A whole record, and where its payload ends.
    Record(Label, usize),
    /// Nothing that could be told from damage with fewer bytes than these.
    Needs(usize),
    Damage,
}

fn look(bytes: &[u8]) -> Look {
    let known = bytes.len().min(MAGIC.len());
    if bytes[..known] != MAGIC[..known] {
        return Look::Damage;
    }
    let Some(header) = bytes.get(..HEADER_BYTES) else { return Look::Needs(HEADER_BYTES) };
    let len = u32::from_le_bytes(array(header, 4)) as usize;
    if len > PAYLOAD_BYTES_MAX {
        return Look::Damage;
    }
    let end = HEADER_BYTES + len;
    let Some(payload) = bytes.get(HEADER_BYTES..end) else { return Look::Needs(end) };
    let crc = checksum(&[&header[4..8], &header[12..], payload]);
    if crc.to_le_bytes() != header[8..12] {
        return Look::Damage;
    }
    let label = Label {
        events: u32::from_le_bytes(array(header, 12)),
        received_at: UnixMs(i64::from_le_bytes(array(header, 16))),
    };
    Look::Record(label, end)
}

/// The record that `bytes` begin with; `None` when they begin with none.
pub(super) fn read(bytes: &[u8]) -> Option<(Label, &[u8])> {
    match look(bytes) {
        Look::Record(label, end) => Some((label, &bytes[HEADER_BYTES..end])),
        Look::Needs(_) | Look::Damage => None,
    }
}

/// Finds every whole record, and returns the stretches between them that are none. Holds about one record in
/// memory, however long the file is.
pub(super) fn scan(source: impl Read, mut each: impl FnMut(Found<'_>)) -> io::Result<Vec<Range<u64>>> {
    let mut window = Window { source, bytes: Vec::new(), at: 0, base: 0, ended: false };
    let mut damaged: Vec<Range<u64>> = Vec::new();
    loop {
        let offset = window.offset();
        match look(window.rest()) {
            _ if window.rest().is_empty() && !window.ended => window.fill(READ_BYTES)?,
            _ if window.rest().is_empty() => return Ok(damaged),
            Look::Record(label, end) => {
                each(Found { label, offset, payload: &window.rest()[HEADER_BYTES..end] });
                window.at += end;
            }
            Look::Needs(bytes) if !window.ended => window.fill(bytes)?,
            Look::Needs(_) | Look::Damage => {
                window.skip_to_magic();
                match damaged.last_mut().filter(|stretch| stretch.end == offset) {
                    Some(stretch) => stretch.end = window.offset(),
                    None => damaged.push(offset..window.offset()),
                }
            }
        }
    }
}

/// The part of a file that is looked at.
struct Window<R> {
    source: R,
    bytes: Vec<u8>,
    at: usize,
    /// Where in the file `bytes` begin.
    base: u64,
    ended: bool,
}

impl<R: Read> Window<R> {
    fn rest(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    const fn offset(&self) -> u64 {
        self.base + self.at as u64
    }

    /// Reads until `rest` has at least so many bytes, or the file ends.
    fn fill(&mut self, bytes_min: usize) -> io::Result<()> {
        self.base = self.offset();
        self.bytes.drain(..self.at);
        self.at = 0;
        let wanted = bytes_min.clamp(READ_BYTES, RECORD_BYTES_MAX) - self.bytes.len().min(bytes_min);
        let read = self.source.by_ref().take(wanted as u64).read_to_end(&mut self.bytes)?;
        self.ended = read < wanted;
        Ok(())
    }

    /// Goes on to the next byte at which a record may begin.
    fn skip_to_magic(&mut self) {
        let rest = &self.bytes[self.at + 1..];
        let next = rest.windows(MAGIC.len()).position(|window| window == MAGIC);
        // Part of a magic may stand at the end of what was read.
        let part = if self.ended { 0 } else { rest.len().min(MAGIC.len() - 1) };
        self.at += 1 + next.unwrap_or(rest.len() - part);
    }
}

fn checksum(parts: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize()
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("a slice of N bytes is an array of N bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABEL: Label = Label { events: 3, received_at: UnixMs(1_763_622_005_000) };

    fn three() -> Vec<u8> {
        let mut bytes = Vec::new();
        for payload in [&b"first"[..], b"", b"third, with TMQ1 inside"] {
            put(&mut bytes, LABEL, payload);
        }
        bytes
    }

    fn vec_of(stretch: Range<usize>) -> Vec<Range<u64>> {
        std::iter::once(stretch.start as u64..stretch.end as u64).collect()
    }

    /// Gives one byte at a time, as a slow disk may.
    struct Drops<'a>(&'a [u8]);

    impl Read for Drops<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let len = buffer.len().min(self.0.len()).min(1);
            buffer[..len].copy_from_slice(&self.0[..len]);
            self.0 = &self.0[len..];
            Ok(len)
        }
    }

    struct Scan {
        records: Vec<(Label, Range<usize>)>,
        damaged: Vec<Range<u64>>,
    }

    fn scanned(bytes: &[u8]) -> Scan {
        let mut records = Vec::new();
        let damaged = scan(Drops(bytes), |found| {
            let start = usize::try_from(found.offset).unwrap();
            records.push((found.label, start..start + HEADER_BYTES + found.payload.len()));
        });
        Scan { records, damaged: damaged.unwrap() }
    }

    fn payloads(bytes: &[u8]) -> Vec<&[u8]> {
        let records = scanned(bytes).records.into_iter();
        records.map(|(_, record)| &bytes[record.start + HEADER_BYTES..record.end]).collect()
    }

    #[test]
    fn what_was_put_is_found() {
        let bytes = three();
        assert_eq!(payloads(&bytes), [&b"first"[..], b"", b"third, with TMQ1 inside"]);
        assert_eq!(scanned(&bytes).records[0].0, LABEL);
        assert_eq!(scanned(&bytes).damaged, []);
    }

    #[test]
    fn a_tail_torn_at_any_byte_leaves_the_whole_records() {
        let bytes = three();
        let third = scanned(&bytes).records[2].1.start;
        for end in third + 1..bytes.len() {
            let scan = scanned(&bytes[..end]);
            assert_eq!(scan.records.len(), 2, "torn at {end}");
            assert_eq!(scan.damaged, vec_of(third..end), "torn at {end}");
        }
    }

    #[test]
    fn a_flipped_bit_anywhere_costs_one_record_and_no_neighbour() {
        let whole = three();
        let ends: Vec<usize> = scanned(&whole).records.iter().map(|(_, record)| record.end).collect();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            let scan = scanned(&bytes);
            let hit = ends.iter().position(|&end| at < end).expect("every byte belongs to a record");
            let start = if hit == 0 { 0 } else { ends[hit - 1] };
            assert_eq!(scan.records.len(), 2, "flipped at {at}");
            assert_eq!(scan.damaged, vec_of(start..ends[hit]), "flipped at {at}");
        }
    }

    #[test]
    fn zeros_are_no_records() {
        let mut bytes = three();
        let end = bytes.len();
        bytes.resize(end + 4096, 0);
        assert_eq!(scanned(&bytes).records.len(), 3);
        assert_eq!(scanned(&bytes).damaged, vec_of(end..end + 4096));
    }

    #[test]
    fn a_stretch_longer_than_what_is_read_at_once_is_one_stretch_with_records_around_it() {
        let mut bytes = three();
        let end = bytes.len();
        bytes.resize(end + 3 * READ_BYTES - 2, b'T');
        bytes.extend_from_slice(&three());
        let mut found = 0;
        let damaged = scan(&bytes[..], |_| found += 1).unwrap();
        assert_eq!(found, 6);
        assert_eq!(damaged, vec_of(end..end + 3 * READ_BYTES - 2));
    }
}
