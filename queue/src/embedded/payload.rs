//! Reading entries back from their segments.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use bytes::Bytes;

use super::disk;
use super::frame::{self, HEADER_BYTES};
use super::index::{Position, Taken};
use crate::{Delivery, Undecodable, encoded};

/// Reads what was taken. Each segment is opened once for a run of its entries.
pub(super) fn read_all(dir: &Path, taken: &[Taken]) -> io::Result<Vec<Delivery>> {
    let mut deliveries = Vec::with_capacity(taken.len());
    for run in taken.chunk_by(|a, b| a.position.segment == b.position.segment) {
        let mut file = File::open(disk::segment_path(dir, run[0].position.segment))?;
        for entry in run {
            let record = read_record(&mut file, entry.position.offset, entry.bytes)?;
            let envelope = match frame::read_at(&record, 0) {
                Some(found) => encoded::decode(record.slice(found.payload)),
                None => Err(Undecodable {
                    bytes: record.slice(HEADER_BYTES..),
                    error: "its checksum does not match: the disk or its file system is damaged".to_owned(),
                }),
            };
            deliveries.push(Delivery { handle: entry.handle(), tries: entry.tries, envelope });
        }
    }
    Ok(deliveries)
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
