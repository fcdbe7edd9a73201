//! What the writer and the readers share.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard};

use tokio::sync::Notify;

use super::dead::DeadLetters;
use super::index::{Index, Taken};
use super::open::Unread;
use super::payload::{self, Raw};
use super::tries::TriesLog;

/// What the writer and the readers share.
pub(super) struct Shared {
    pub(super) dir: PathBuf,
    index: Mutex<Index>,
    /// Locked before the index, where both are, and only off the async workers.
    dead: Mutex<DeadLetters>,
    tries: Mutex<TriesLog>,
    unread: Mutex<Unread>,
    pub(super) arrived: Notify,
    pub(super) closed: AtomicBool,
}

impl Shared {
    pub(super) fn new(dir: &Path, index: Index, dead: DeadLetters, unread: Unread) -> Self {
        Self {
            dir: dir.to_owned(),
            index: Mutex::new(index),
            dead: Mutex::new(dead),
            tries: Mutex::new(TriesLog::new(dir)),
            unread: Mutex::new(unread),
            arrived: Notify::new(),
            closed: AtomicBool::new(false),
        }
    }

    pub(super) fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().expect("nobody panics while holding the index")
    }

    pub(super) fn dead(&self) -> MutexGuard<'_, DeadLetters> {
        self.dead.lock().expect("nobody panics while holding the dead letters")
    }

    pub(super) fn tries(&self) -> MutexGuard<'_, TriesLog> {
        self.tries.lock().expect("nobody panics while holding the log of tries")
    }

    pub(super) fn unread(&self) -> MutexGuard<'_, Unread> {
        self.unread.lock().expect("nobody panics while holding the unread segments")
    }

    /// Writes down that entries were delivered. What cannot be written only counts fewer deaths.
    fn note_deliveries(&self, taken: &[Taken]) {
        let notes = self.index().tries_of(taken);
        let mut log = self.tries();
        let noted = if log.is_long() {
            let known = self.index().tries().clone();
            log.rewrite(&known)
        } else {
            log.note(&notes)
        };
        if let Err(error) = noted {
            tracing::warn!(%error, "cannot write down what was delivered");
        }
    }

    /// Keeps only what was tried alone: a process that ends well did not die over what it had taken.
    pub(super) fn forget_deliveries(&self) -> std::io::Result<()> {
        let mut known = self.index().tries().clone();
        known.retain(|_, tries| tries.alone > 0);
        self.tries().rewrite(&known)
    }

    /// Makes what could not be read at opening, and can be now, visible to readers.
    pub(super) fn read_unread(&self) {
        let found = self.unread().read(&self.dir);
        for segment in found {
            tracing::info!(
                segment = segment.number,
                entries = segment.records.len(),
                "a segment can be read again"
            );
            self.index().add_old(segment);
        }
        self.arrived.notify_waiters();
    }

    /// Reads what was taken. Entries that cannot be read are left for later.
    pub(super) fn read(&self, taken: &[Taken]) -> Vec<Raw> {
        self.note_deliveries(taken);
        let read = payload::read_all(&self.dir, taken);
        if let Some(error) = read.error {
            let entries = read.unreadable.len();
            tracing::error!(%error, entries, "cannot read entries of the queue; trying again later");
            self.index().postpone(&read.unreadable);
        }
        read.entries
    }
}
