//! How often entries were delivered, and processed alone: what must outlive a process that dies over one.
//!
//! A log of notes; the last one of an entry holds. Deliveries are written and not synced: they count deaths of
//! the process, which the file system survives. Tries alone are synced.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tallymark_protocol::UnixMs;

use super::disk;
use super::frame::{self, Label};
use super::index::Position;

const FILE: &str = "tries.log";
const FILE_NEXT: &str = "tries.log.next";

/// What the log may hold beside what it was last rewritten with, and as much again, before what is acked is left out of
/// it. It is read as a whole at opening.
const LOG_BYTES_MAX: u64 = 1 << 20;

/// What is known of an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tries {
    pub(super) deliveries: u32,
    pub(super) alone: u32,
}

/// The tries of some entries.
pub(super) type Known = BTreeMap<Position, Tries>;

/// A note as it stands in the log: segment, offset, and what is known.
type Note = (u64, u64, Tries);

/// The log, open for appending.
pub(super) struct TriesLog {
    dir: PathBuf,
    log: Option<File>,
    len: u64,
    /// Its length after the last [`TriesLog::rewrite`]: shorter it cannot be made.
    rewritten_len: u64,
}

/// What the log in `dir` says. A note that is torn or damaged is passed over: an entry of it is tried more often.
pub(super) fn load(dir: &Path) -> io::Result<Known> {
    let file = match File::open(dir.join(FILE)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Known::new()),
        Err(error) => return Err(error),
    };
    let mut known = Known::new();
    frame::scan(file, |found| {
        let notes: Vec<Note> = serde_json::from_slice(found.payload).unwrap_or_default();
        known.extend(notes.into_iter().map(|(segment, offset, tries)| (Position { segment, offset }, tries)));
    })?;
    Ok(known)
}

impl TriesLog {
    pub(super) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), log: None, len: 0, rewritten_len: 0 }
    }

    /// Whether it holds so much that [`TriesLog::rewrite`] is due.
    pub(super) const fn is_long(&self) -> bool {
        self.len > LOG_BYTES_MAX + 2 * self.rewritten_len
    }

    /// Adds notes.
    pub(super) fn note(&mut self, notes: &[(Position, Tries)]) -> io::Result<()> {
        let bytes = encode(notes.iter().copied())?;
        let log = self.open()?;
        log.write_all(&bytes)?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Adds a note, and returns once it is on the disk.
    pub(super) fn note_durably(&mut self, position: Position, tries: Tries) -> io::Result<()> {
        self.note(&[(position, tries)])?;
        self.open()?.sync_data()
    }

    /// Keeps nothing but `known`.
    pub(super) fn rewrite(&mut self, known: &Known) -> io::Result<()> {
        self.log = None;
        let (path, next) = (self.dir.join(FILE), self.dir.join(FILE_NEXT));
        if known.is_empty() {
            (self.len, self.rewritten_len) = (0, 0);
            return match std::fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
        }
        let mut file = File::create(&next)?;
        let bytes = encode(known.iter().map(|(&position, &tries)| (position, tries)))?;
        file.write_all(&bytes)?;
        file.sync_data()?;
        std::fs::rename(next, path)?;
        self.rewritten_len = bytes.len() as u64;
        self.len = self.rewritten_len;
        disk::sync_dir(&self.dir)
    }

    fn open(&mut self) -> io::Result<&mut File> {
        if self.log.is_none() {
            let log = OpenOptions::new().append(true).create(true).open(self.dir.join(FILE))?;
            self.len = log.metadata()?.len();
            if self.len == 0 {
                disk::sync_dir(&self.dir)?;
            }
            self.log = Some(log);
        }
        Ok(self.log.as_mut().expect("it was opened just now"))
    }
}

fn encode(notes: impl Iterator<Item = (Position, Tries)>) -> io::Result<Vec<u8>> {
    let notes: Vec<Note> =
        notes.map(|(position, tries)| (position.segment, position.offset, tries)).collect();
    let mut bytes = Vec::new();
    frame::put(&mut bytes, Label { events: 0, received_at: UnixMs(0) }, &serde_json::to_vec(&notes)?);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Position = Position { segment: 3, offset: 700 };

    #[test]
    fn the_last_note_of_an_entry_holds_and_a_torn_one_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(load(dir.path()).unwrap(), Known::new());
        let mut log = TriesLog::new(dir.path());
        let (once, twice) = (Tries { deliveries: 1, alone: 0 }, Tries { deliveries: 2, alone: 1 });
        log.note(&[(AT, once), (Position { segment: 4, ..AT }, once)]).unwrap();
        log.note_durably(AT, twice).unwrap();
        assert_eq!(load(dir.path()).unwrap()[&AT], twice);
        let bytes = std::fs::read(dir.path().join(FILE)).unwrap();
        std::fs::write(dir.path().join(FILE), &bytes[..bytes.len() - 3]).unwrap();
        assert_eq!(load(dir.path()).unwrap()[&AT], once);
    }

    #[test]
    fn a_rewritten_log_holds_what_it_was_given_and_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = TriesLog::new(dir.path());
        log.note(&[(AT, Tries::default())]).unwrap();
        let known = Known::from([(Position { segment: 9, offset: 8 }, Tries { deliveries: 4, alone: 2 })]);
        log.rewrite(&known).unwrap();
        assert_eq!(load(dir.path()).unwrap(), known);
        log.note(&[(AT, Tries::default())]).unwrap();
        assert_eq!(load(dir.path()).unwrap().len(), 2);
        log.rewrite(&Known::new()).unwrap();
        assert!(!dir.path().join(FILE).exists());
    }

    #[test]
    fn a_rewrite_is_not_due_again_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = TriesLog::new(dir.path());
        let note_until_long = |log: &mut TriesLog| {
            (0..).find(|&offset| {
                log.note(&[(Position { segment: 1, offset }, Tries::default())]).unwrap();
                log.is_long()
            })
        };
        note_until_long(&mut log);
        let notes = vec![(AT, Tries::default()); 100];
        log.note(&notes).unwrap();
        log.rewrite(&Known::from([(AT, Tries::default())])).unwrap();
        assert!(!log.is_long(), "it holds one note");
        note_until_long(&mut log);
        let many = (0..60_000).map(|offset| (Position { segment: 9, offset }, Tries::default())).collect();
        log.rewrite(&many).unwrap();
        assert!(std::fs::metadata(dir.path().join(FILE)).unwrap().len() > LOG_BYTES_MAX);
        assert!(!log.is_long(), "what is known cannot be left out");
    }
}
