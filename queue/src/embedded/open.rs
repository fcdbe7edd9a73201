//! Opening a directory: what is whole is taken, what is damaged is set aside, nothing is thrown away.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;

use super::checkpoint::{self, Acked, Checkpoint};
use super::dead::DeadLetters;
use super::frame::{self, Found};
use super::index::{Index, Record};
use super::{disk, tries};

/// What a directory held.
pub(super) struct Opened {
    pub(super) index: Index,
    pub(super) dead: DeadLetters,
    pub(super) unread: Unread,
    /// The number of the first segment to be written. Old segments are never appended to, so that an
    /// offset is never used twice, whatever was cut off behind it.
    pub(super) next_number: u64,
}

/// Segments that could not be read, with what is acked in them: they are tried again, and keep nobody waiting.
#[derive(Debug, Default)]
pub(super) struct Unread {
    numbers: Vec<u64>,
    checkpoint: Checkpoint,
}

/// Reads every segment in `dir`, which is made where it is missing. Holds about one record at a time.
///
/// # Errors
/// What the file system says of the directory; a segment that cannot be read is left for later.
pub(super) fn open_dir(dir: &Path) -> io::Result<Opened> {
    std::fs::create_dir_all(dir)?;
    let checkpoint = checkpoint::load(dir);
    let numbers = disk::segment_numbers(dir)?;
    let mut tries = tries::load(dir).unwrap_or_else(|error| {
        tracing::warn!(%error, "cannot read how often entries were tried; counting anew");
        tries::Known::default()
    });
    let dead = DeadLetters::open(dir)?;
    let next_number = next_number(dir, &numbers, &checkpoint, &tries, &dead)?;
    tries.retain(|position, _| numbers.binary_search(&position.segment).is_ok());
    let mut index = Index::new(tries);
    let mut unread = Unread { numbers, checkpoint };
    for segment in unread.read(dir) {
        index.add_old(segment);
    }
    index.set_dead_letters(dead.len());
    Ok(Opened { index, dead, unread, next_number })
}

/// A number that no segment ever had. The checkpoint, which knows, may be lost; a dead letter, a note of tries or a
/// quarantined stretch of a segment that is gone must not come to be about a new one even then.
fn next_number(
    dir: &Path,
    numbers: &[u64],
    checkpoint: &Checkpoint,
    tries: &tries::Known,
    dead: &DeadLetters,
) -> io::Result<u64> {
    let used = numbers.iter().chain(checkpoint.segments.keys()).copied();
    let used = used.chain(tries.keys().map(|position| position.segment));
    let used = used.chain(dead.last_segment()).chain(disk::quarantined_numbers(dir)?);
    Ok(checkpoint.next_number.max(used.max().map_or(1, |last| last + 1)))
}

/// A segment as it was found.
pub(super) struct OldSegment {
    pub(super) number: u64,
    pub(super) records: Vec<Record>,
    pub(super) acked: Acked,
}

impl Unread {
    pub(super) fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// Acks that nobody holds in memory, since their segments could not be read.
    pub(super) fn add_acks_to(&self, checkpoint: &mut Checkpoint) {
        for number in &self.numbers {
            if let Some(acked) = self.checkpoint.segments.get(number) {
                checkpoint.segments.insert(*number, acked.clone());
            }
        }
    }

    /// Reads what can be read now.
    pub(super) fn read(&mut self, dir: &Path) -> Vec<OldSegment> {
        let mut found = Vec::new();
        self.numbers.retain(|&number| {
            let mut records = Vec::new();
            let path = disk::segment_path(dir, number);
            let scanned = scan_file(dir, &path, |found| records.push(to_record(found)));
            if let Err(error) = scanned {
                tracing::error!(%error, segment = number, "cannot read a segment of the queue; trying again later");
                return true;
            }
            let acked = self.checkpoint.segments.remove(&number).unwrap_or_default();
            found.push(OldSegment { number, records, acked });
            false
        });
        found
    }
}

fn to_record(found: Found<'_>) -> Record {
    let bytes = u32::try_from(found.payload.len()).expect("a record's length is read from a u32");
    Record { offset: found.offset, bytes, label: found.label }
}

/// Finds the whole records of the file at `path`; everything else in it goes to quarantine.
pub(super) fn scan_file(dir: &Path, path: &Path, each: impl FnMut(Found<'_>)) -> io::Result<()> {
    let file = File::open(path)?;
    let len = file.metadata()?.len();
    for damaged in frame::scan(file, each)? {
        set_aside(dir, path, &damaged, damaged.end == len);
    }
    Ok(())
}

fn set_aside(dir: &Path, path: &Path, damaged: &Range<u64>, is_tail: bool) {
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let (offset, bytes) = (damaged.start, damaged.end - damaged.start);
    tracing::warn!(%file, offset, bytes, is_tail, "bytes in the queue are no record; set aside");
    let kept = disk::quarantine(dir, path, damaged);
    let cut = kept.and_then(|()| if is_tail { cut_tail(path, offset) } else { Ok(()) });
    if let Err(error) = cut {
        // A full disk must not keep the queue from opening: what stays in place is skipped.
        tracing::error!(%error, %file, "cannot set damaged bytes aside; they stay where they are");
    }
}

/// Cuts off what a crash left half-written: nobody was told that it is here.
fn cut_tail(path: &Path, offset: u64) -> io::Result<()> {
    let log = std::fs::OpenOptions::new().write(true).open(path)?;
    log.set_len(offset)?;
    log.sync_all()
}
