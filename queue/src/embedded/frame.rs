//! How a record stands in a file: a header with a checksum, then the payload.
//!
//! ```text
//! magic 4 | payload length u32 | crc32 u32 | events u32 | received_at i64 | payload      (little endian)
//! ```
//! The checksum covers all that follows it and the length, so that zeros, a torn write and a flipped bit
//! are all told from a record. The magic is where reading takes up again after a damaged stretch.

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

/// A whole record within scanned bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) label: Label,
    /// From the header's first byte.
    pub(super) offset: usize,
    pub(super) payload: Range<usize>,
}

/// What a file holds: its whole records, and the stretches between them that are none.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Scan {
    pub(super) records: Vec<Found>,
    pub(super) damaged: Vec<Range<usize>>,
}

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

/// Reads the record that starts at `offset`; `None` when none does.
pub(super) fn read_at(bytes: &[u8], offset: usize) -> Option<Found> {
    let header = bytes.get(offset..offset + HEADER_BYTES)?;
    if header[..4] != MAGIC {
        return None;
    }
    let len = u32::from_le_bytes(array(header, 4)) as usize;
    if len > PAYLOAD_BYTES_MAX {
        return None;
    }
    let start = offset + HEADER_BYTES;
    let payload = start..start + len;
    let crc = checksum(&[&header[4..8], &header[12..], bytes.get(payload.clone())?]);
    if crc.to_le_bytes() != header[8..12] {
        return None;
    }
    let label = Label {
        events: u32::from_le_bytes(array(header, 12)),
        received_at: UnixMs(i64::from_le_bytes(array(header, 16))),
    };
    Some(Found { label, offset, payload })
}

/// Finds every whole record of `bytes` from `offset` on.
pub(super) fn scan(bytes: &[u8], mut offset: usize) -> Scan {
    let mut scan = Scan::default();
    while offset < bytes.len() {
        if let Some(found) = read_at(bytes, offset) {
            offset = found.payload.end;
            scan.records.push(found);
        } else {
            let next = next_record(bytes, offset + 1).unwrap_or(bytes.len());
            scan.damaged.push(offset..next);
            offset = next;
        }
    }
    scan
}

fn next_record(bytes: &[u8], mut from: usize) -> Option<usize> {
    loop {
        let rest = bytes.get(from..)?;
        let offset = from + rest.windows(MAGIC.len()).position(|window| window == MAGIC)?;
        if read_at(bytes, offset).is_some() {
            return Some(offset);
        }
        from = offset + 1;
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

    fn vec_of(stretch: Range<usize>) -> Vec<Range<usize>> {
        std::iter::once(stretch).collect()
    }

    fn payloads(bytes: &[u8]) -> Vec<&[u8]> {
        scan(bytes, 0).records.into_iter().map(|found| &bytes[found.payload]).collect()
    }

    #[test]
    fn what_was_put_is_found() {
        let bytes = three();
        assert_eq!(payloads(&bytes), [&b"first"[..], b"", b"third, with TMQ1 inside"]);
        assert_eq!(scan(&bytes, 0).records[0].label, LABEL);
        assert_eq!(scan(&bytes, 0).damaged, []);
    }

    #[test]
    fn a_tail_torn_at_any_byte_leaves_the_whole_records() {
        let bytes = three();
        let third = scan(&bytes, 0).records[2].offset;
        for end in third + 1..bytes.len() {
            let scan = scan(&bytes[..end], 0);
            assert_eq!(scan.records.len(), 2, "torn at {end}");
            assert_eq!(scan.damaged, vec_of(third..end), "torn at {end}");
        }
    }

    #[test]
    fn a_flipped_bit_anywhere_costs_one_record_and_no_neighbour() {
        let whole = three();
        let ends: Vec<usize> = scan(&whole, 0).records.iter().map(|found| found.payload.end).collect();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            let scan = scan(&bytes, 0);
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
        assert_eq!(scan(&bytes, 0).records.len(), 3);
        assert_eq!(scan(&bytes, 0).damaged, vec_of(end..end + 4096));
    }
}
