//! Reading entries back from their segments.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use bytes::Bytes;

use super::disk;
use super::frame::{self, HEADER_BYTES};
use super::index::{Position, Taken};
use crate::Undecodable;

/// An entry as it is stored.
pub(super) type Raw = (Taken, Result<Bytes, Undecodable>);

/// What was read, and what could not be.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) entries: Vec<Raw>,
    pub(super) unreadable: Vec<Taken>,
    pub(super) error: Option<io::Error>,
}

/// Reads what was taken. Each segment is opened once for a run of its entries; one that cannot be read keeps
/// nobody else's entries back.
pub(super) fn read_all(dir: &Path, taken: &[Taken]) -> Read {
    let mut read = Read::default();
    for run in taken.chunk_by(|a, b| a.position.segment == b.position.segment) {
        let mut file = File::open(disk::segment_path(dir, run[0].position.segment));
        for &entry in run {
            let record = match &mut file {
                Ok(file) => read_record(file, entry.position.offset, entry.bytes),
                Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
            };
            match record {
                Ok(record) => read.entries.push((entry, checked(&record))),
                Err(error) => {
                    read.unreadable.push(entry);
                    read.error = Some(error);
                }
            }
        }
    }
    read
}

fn checked(record: &Bytes) -> Result<Bytes, Undecodable> {
    let payload = record.slice(HEADER_BYTES..);
    if frame::read(record).is_some() {
        return Ok(payload);
    }
    let error = "its checksum does not match: the disk or its file system is damaged".to_owned();
    Err(Undecodable { bytes: payload, error })
}

/// Reads one entry as it stands, damaged or not.
pub(super) fn read_raw(dir: &Path, position: Position, bytes: u32) -> io::Result<Bytes> {
    let mut file = File::open(disk::segment_path(dir, position.segment))?;
    Ok(read_record(&mut file, position.offset, bytes)?.slice(HEADER_BYTES..))
}

fn read_record(file: &mut File, offset: u64, bytes: u32) -> io::Result<Bytes> {
    let mut record = vec![0; HEADER_BYTES + bytes as usize];
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(&mut record)?;
    Ok(Bytes::from(record))
}
