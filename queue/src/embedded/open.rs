//! Opening a directory: what is whole is taken, what is damaged is set aside, nothing is thrown away.

use std::io;
use std::ops::Range;
use std::path::Path;

use super::checkpoint::{self, Acked};
use super::frame::{self, Found};
use super::index::{Index, Record};
use super::{dead, disk};

/// What a directory held.
pub(super) struct Opened {
    pub(super) index: Index,
    /// The number of the first segment to be written. Old segments are never appended to, so that an
    /// offset is never used twice, whatever was cut off behind it.
    pub(super) next_number: u64,
}

/// Reads every segment in `dir`, which is made where it is missing.
///
/// # Errors
/// What the file system says.
pub(super) fn open_dir(dir: &Path) -> io::Result<Opened> {
    std::fs::create_dir_all(dir)?;
    let checkpoint = checkpoint::load(dir);
    let numbers = disk::segment_numbers(dir)?;
    let last_number = numbers.iter().chain(checkpoint.segments.keys()).max().copied();
    let mut index = Index::default();
    let nothing_acked = Acked::default();
    for number in numbers {
        let path = disk::segment_path(dir, number);
        let records = whole_records(dir, &path)?.iter().map(to_record).collect();
        index.add_old(number, records, checkpoint.segments.get(&number).unwrap_or(&nothing_acked));
    }
    index.add_dead_letters(dead::count(dir)?);
    Ok(Opened { index, next_number: last_number.map_or(1, |last| last + 1) })
}

fn to_record(found: &Found) -> Record {
    Record {
        offset: found.offset as u64,
        bytes: u32::try_from(found.payload.len()).expect("a record's length is read from a u32"),
        label: found.label,
    }
}

/// The whole records of the file at `path`; everything else in it goes to quarantine.
pub(super) fn whole_records(dir: &Path, path: &Path) -> io::Result<Vec<Found>> {
    let bytes = std::fs::read(path)?;
    let scan = frame::scan(&bytes, 0);
    for damaged in scan.damaged {
        set_aside(dir, path, &bytes, damaged);
    }
    Ok(scan.records)
}

fn set_aside(dir: &Path, path: &Path, bytes: &[u8], damaged: Range<usize>) {
    let file = path.file_stem().unwrap_or_default().to_string_lossy();
    let (offset, len) = (damaged.start, damaged.len());
    let is_tail = damaged.end == bytes.len();
    tracing::warn!(%file, offset, bytes = len, is_tail, "bytes in the queue are no record; set aside");
    let kept = disk::quarantine(dir, &file, offset, &bytes[damaged]);
    let cut = kept.and_then(|()| if is_tail { cut_tail(path, offset) } else { Ok(()) });
    if let Err(error) = cut {
        // A full disk must not keep the queue from opening: what stays in place is skipped.
        tracing::error!(%error, %file, "cannot set damaged bytes aside; they stay where they are");
    }
}

/// Cuts off what a crash left half-written: nobody was told that it is here.
fn cut_tail(path: &Path, offset: usize) -> io::Result<()> {
    let log = std::fs::OpenOptions::new().write(true).open(path)?;
    log.set_len(offset as u64)?;
    log.sync_all()
}
