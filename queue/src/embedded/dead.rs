//! Dead letters: entries that could not be processed, each with its reason, in a file of their own. What was put
//! back into the queue is marked as removed there, and left out when the file has grown by it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tallymark_protocol::UnixMs;

use super::disk::{self, OpenLog};
use super::frame::{self, Found, HEADER_BYTES, Label};
use super::index::Position;
use super::open;
use crate::dead_letter::PAGE_BYTES_MAX;
use crate::encoded::REASON_BYTES_MAX;
use crate::{DeadLetter, DeadLetterId};

/// Removed bytes that may stay in the file, beside as many as are not removed.
const REMOVED_BYTES_MAX: u64 = 1 << 20;

/// The first line of a record; the entry's bytes follow.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Removed {
        removed: Vec<String>,
    },
    Letter {
        /// The handle that the entry had.
        id: String,
        reason: String,
        /// The first versions did not say.
        #[serde(default)]
        at: Option<i64>,
    },
}

/// Where a letter's record stands.
#[derive(Clone, Copy, Debug)]
struct Place {
    offset: u64,
    bytes: u64,
}

/// The file, and where each letter stands in it.
pub(super) struct DeadLetters {
    dir: PathBuf,
    letters: BTreeMap<DeadLetterId, Place>,
    letters_bytes: u64,
    file_bytes: u64,
}

/// The name that an entry has among the dead letters.
pub(super) const fn id_of(position: Position) -> DeadLetterId {
    DeadLetterId { partition: 0, major: position.segment, minor: position.offset }
}

/// Encodes a dead letter: a line of JSON, then the entry's bytes as they were.
pub(super) fn encode(position: Position, reason: &str, now: UnixMs, entry: &[u8]) -> io::Result<Vec<u8>> {
    let reason = reason[..reason.floor_char_boundary(REASON_BYTES_MAX)].to_owned();
    record(&Line::Letter { id: id_of(position).to_string(), reason, at: Some(now.0) }, entry)
}

fn record(line: &Line, entry: &[u8]) -> io::Result<Vec<u8>> {
    let mut payload = serde_json::to_vec(line)?;
    payload.push(b'\n'); // JSON has no raw line break inside
    payload.extend_from_slice(entry);
    let mut out = Vec::new();
    frame::put(&mut out, Label { events: 0, received_at: UnixMs(0) }, &payload);
    Ok(out)
}

fn split(payload: &[u8]) -> io::Result<(Line, usize)> {
    let end = payload.iter().position(|&byte| byte == b'\n').unwrap_or(payload.len());
    Ok((serde_json::from_slice(&payload[..end])?, (end + 1).min(payload.len())))
}

impl DeadLetters {
    /// Reads what `dir` holds; a torn end of the file goes to quarantine.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        let dir = dir.to_owned();
        let mut dead = Self { dir, letters: BTreeMap::new(), letters_bytes: 0, file_bytes: 0 };
        let path = disk::dead_letters_path(&dead.dir);
        if path.try_exists()? {
            open::scan_file(&dead.dir.clone(), &path, |found| dead.note(found))?;
            dead.file_bytes = std::fs::metadata(&path)?.len();
        }
        Ok(dead)
    }

    fn note(&mut self, found: Found<'_>) {
        let bytes = (HEADER_BYTES + found.payload.len()) as u64;
        match split(found.payload) {
            Ok((Line::Letter { id, .. }, _)) => {
                let Ok(id) = id.parse() else { return };
                self.insert(id, Place { offset: found.offset, bytes });
            }
            Ok((Line::Removed { removed }, _)) => {
                for id in removed.iter().filter_map(|id| id.parse().ok()) {
                    self.forget(id);
                }
            }
            Err(error) => {
                tracing::error!(%error, offset = found.offset, "a dead letter has no readable reason")
            }
        }
    }

    fn insert(&mut self, id: DeadLetterId, place: Place) {
        self.forget(id); // set aside once more, after a crash: the later one holds
        self.letters_bytes += place.bytes;
        self.letters.insert(id, place);
    }

    fn forget(&mut self, id: DeadLetterId) {
        if let Some(place) = self.letters.remove(&id) {
            self.letters_bytes -= place.bytes;
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> u64 {
        self.letters.len() as u64
    }

    /// The last segment that an entry of them had stood in.
    pub(super) fn last_segment(&self) -> Option<u64> {
        self.letters.last_key_value().map(|(id, _)| id.major)
    }

    /// The bytes of them all.
    pub(super) const fn bytes(&self) -> u64 {
        self.letters_bytes
    }

    /// Adds a letter, and returns once it is on the disk.
    pub(super) fn add(&mut self, position: Position, framed: &[u8], open_log: &OpenLog) -> io::Result<()> {
        let offset = self.append(framed, open_log)?;
        self.insert(id_of(position), Place { offset, bytes: framed.len() as u64 });
        Ok(())
    }

    /// Removes letters, and returns once that is on the disk.
    pub(super) fn remove(&mut self, ids: &[DeadLetterId], open_log: &OpenLog) -> io::Result<()> {
        let removed = ids.iter().map(ToString::to_string).collect();
        self.append(&record(&Line::Removed { removed }, &[])?, open_log)?;
        for &id in ids {
            self.forget(id);
        }
        if self.file_bytes > 2 * self.letters_bytes + REMOVED_BYTES_MAX {
            self.compact()?;
        }
        Ok(())
    }

    fn append(&mut self, framed: &[u8], open_log: &OpenLog) -> io::Result<u64> {
        let mut log = open_log(&disk::dead_letters_path(&self.dir))?;
        let offset = self.file_bytes;
        log.append(framed).and_then(|()| log.sync()).inspect_err(|error| {
            tracing::error!(%error, "cannot write a dead letter");
            let _ = log.cut(offset);
        })?;
        self.file_bytes += framed.len() as u64;
        Ok(offset)
    }

    /// Writes the file anew without what was removed.
    fn compact(&mut self) -> io::Result<()> {
        let (path, next) = (disk::dead_letters_path(&self.dir), self.dir.join("dead-letters.log.next"));
        let (mut from, mut to) = (File::open(&path)?, File::create(&next)?);
        let (mut places, mut offset) = (BTreeMap::new(), 0);
        for (&id, place) in &self.letters {
            from.seek(SeekFrom::Start(place.offset))?;
            io::copy(&mut Read::by_ref(&mut from).take(place.bytes), &mut to)?;
            places.insert(id, Place { offset, bytes: place.bytes });
            offset += place.bytes;
        }
        to.sync_all()?;
        std::fs::rename(next, path)?;
        disk::sync_dir(&self.dir)?;
        (self.letters, self.file_bytes) = (places, offset);
        Ok(())
    }

    /// A page of letters behind `after`.
    pub(super) fn list(&self, after: Option<DeadLetterId>, limit: usize) -> io::Result<Vec<DeadLetter>> {
        use std::ops::Bound::{Excluded, Unbounded};
        let (mut page, mut bytes) = (Vec::new(), 0);
        for (&id, place) in self.letters.range((after.map_or(Unbounded, Excluded), Unbounded)) {
            if page.len() >= limit || bytes >= PAGE_BYTES_MAX {
                break;
            }
            let letter = self.read(id, *place)?;
            bytes += letter.bytes.len();
            page.push(letter);
        }
        Ok(page)
    }

    /// One letter.
    pub(super) fn find(&self, id: DeadLetterId) -> io::Result<Option<DeadLetter>> {
        self.letters.get(&id).map(|place| self.read(id, *place)).transpose()
    }

    fn read(&self, id: DeadLetterId, place: Place) -> io::Result<DeadLetter> {
        let mut file = File::open(disk::dead_letters_path(&self.dir))?;
        file.seek(SeekFrom::Start(place.offset))?;
        let mut bytes = Vec::new();
        file.take(place.bytes).read_to_end(&mut bytes)?;
        let damaged =
            || io::Error::new(io::ErrorKind::InvalidData, format!("the dead letter {id} is damaged"));
        let (_, payload) = frame::read(&bytes).ok_or_else(damaged)?;
        let (Line::Letter { reason, at, .. }, start) = split(payload)? else { return Err(damaged()) };
        let entry = Bytes::copy_from_slice(&payload[start..]);
        Ok(DeadLetter::new(id, at.map(UnixMs), reason, entry))
    }
}
