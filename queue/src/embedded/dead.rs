//! Dead letters: entries that could not be processed, each with its reason, in a file of their own.

use std::io;
use std::path::Path;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tallymark_protocol::UnixMs;

use super::frame::{self, Label};
use super::{disk, open};
use crate::DeadLetter;
use crate::encoded::REASON_BYTES_MAX;

#[derive(Serialize, Deserialize)]
struct Cause {
    id: String,
    reason: String,
}

/// Encodes a dead letter: its cause as a line of JSON, then the entry's bytes as they were.
pub(super) fn encode(id: String, reason: &str, entry: &[u8]) -> serde_json::Result<Vec<u8>> {
    let reason = reason[..reason.floor_char_boundary(REASON_BYTES_MAX)].to_owned();
    let mut payload = serde_json::to_vec(&Cause { id, reason })?;
    payload.push(b'\n'); // JSON has no raw line break inside
    payload.extend_from_slice(entry);
    let mut out = Vec::new();
    frame::put(&mut out, Label { events: 0, received_at: UnixMs(0) }, &payload);
    Ok(out)
}

/// How many dead letters `dir` holds; a torn end of the file goes to quarantine.
pub(super) fn count(dir: &Path) -> io::Result<u64> {
    let path = disk::dead_letters_path(dir);
    if !path.try_exists()? {
        return Ok(0);
    }
    Ok(open::whole_records(dir, &path)?.len() as u64)
}

/// The first `limit` dead letters.
pub(super) fn list(dir: &Path, limit: usize) -> io::Result<Vec<DeadLetter>> {
    let bytes = match std::fs::read(disk::dead_letters_path(dir)) {
        Ok(bytes) => Bytes::from(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let records = frame::scan(&bytes, 0).records;
    records.into_iter().take(limit).map(|found| decode(&bytes.slice(found.payload))).collect()
}

fn decode(payload: &Bytes) -> io::Result<DeadLetter> {
    let line = payload.iter().position(|&byte| byte == b'\n').unwrap_or(payload.len());
    let cause: Cause = serde_json::from_slice(&payload[..line])?;
    let entry = payload.slice((line + 1).min(payload.len())..);
    Ok(DeadLetter { id: cause.id, reason: cause.reason, bytes: entry })
}
