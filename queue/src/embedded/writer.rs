//! The one thread that writes: group commit, new segments, dead letters, checkpoints, deletion.
//!
//! Appends that arrive while the disk is busy with the last ones go out together: one write, one
//! `fdatasync`, then all of them are answered. So throughput grows with concurrency, and a lone append
//! still waits for one sync only.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::disk::{self, LogFile, OpenLog};
use super::frame::{self, HEADER_BYTES, Label};
use super::index::{Position, Record};
use super::shared::Shared;
use super::{EmbeddedConfig, checkpoint};
use crate::{DeadLetterId, QueueError};

/// Bytes that go out in one write. More would make the first of them wait for the last.
const COMMIT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// How old acks get before they are written down. Older would mean more redelivery after a crash, and suspicion of
/// entries that were settled long ago; younger more writing.
const CHECKPOINT_AGE: Duration = Duration::from_millis(50);

/// How an append or a dead letter ended.
pub(super) type Reply = oneshot::Sender<Result<(), QueueError>>;

/// An append on its way to the disk.
pub(super) struct Append {
    pub(super) label: Label,
    pub(super) json: Bytes,
    pub(super) reply: Reply,
}

/// A dead letter on its way to the disk.
pub(super) struct Bury {
    pub(super) position: Position,
    pub(super) framed: Vec<u8>,
    pub(super) reply: Reply,
}

/// Dead letters that are in the queue again.
pub(super) struct Remove {
    pub(super) ids: Vec<DeadLetterId>,
    pub(super) reply: Reply,
}

/// What the writer is asked to do.
pub(super) enum Command {
    Append(Append),
    Bury(Bury),
    Remove(Remove),
    /// What was acked is to be known to whoever opens the queue next, even after a kill.
    Checkpoint(oneshot::Sender<()>),
    /// Acks came: there may be segments to delete or a checkpoint to write.
    Tidy,
    Close,
}

/// The segment that is being written.
struct Active {
    number: u64,
    log: Box<dyn LogFile>,
    /// Bytes that are whole records on the disk.
    len: u64,
}

pub(super) struct Writer {
    dir: PathBuf,
    shared: Arc<Shared>,
    open_log: OpenLog,
    segment_bytes: u64,
    dead_letters_bytes_max: u64,
    next_number: u64,
    active: Option<Active>,
    /// `None` before the first time: a process that lives shortly leaves its acks, too.
    checkpointed_at: Option<Instant>,
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        open_log: OpenLog,
        config: &EmbeddedConfig,
        next_number: u64,
    ) -> Self {
        Self {
            dir: shared.dir.clone(),
            shared,
            open_log,
            segment_bytes: config.segment_bytes,
            dead_letters_bytes_max: config.dead_letters_bytes_max,
            next_number,
            active: None,
            checkpointed_at: None,
        }
    }

    /// Works until [`Command::Close`], or until nobody can send any more.
    pub(super) fn run(mut self, commands: &Receiver<Command>) {
        let mut open = true;
        while open {
            self.tidy();
            let mut appends = Vec::new();
            open = self.wait(commands).is_some_and(|first| self.collect(first, commands, &mut appends));
            self.commit(appends);
        }
        self.tidy();
        self.write_checkpoint();
    }

    /// The next command; [`Command::Tidy`] when a checkpoint falls due; `None` when there will be none.
    fn wait(&self, commands: &Receiver<Command>) -> Option<Command> {
        if !self.shared.index().is_dirty() {
            return commands.recv().ok();
        }
        match commands.recv_timeout(self.until_checkpoint()) {
            Ok(command) => Some(command),
            Err(RecvTimeoutError::Timeout) => Some(Command::Tidy),
            Err(RecvTimeoutError::Disconnected) => None,
        }
    }

    fn until_checkpoint(&self) -> Duration {
        self.checkpointed_at.map_or(Duration::ZERO, |at| CHECKPOINT_AGE.saturating_sub(at.elapsed()))
    }

    /// Gathers the appends that wait already. `false` after a close.
    fn collect(&mut self, first: Command, commands: &Receiver<Command>, appends: &mut Vec<Append>) -> bool {
        let mut bytes = 0;
        let mut next = Some(first);
        while let Some(command) = next {
            match command {
                Command::Append(append) => {
                    bytes += append.json.len();
                    appends.push(append);
                }
                Command::Bury(bury) => self.bury(bury),
                Command::Remove(remove) => self.remove(remove),
                Command::Checkpoint(done) => {
                    self.write_checkpoint();
                    let _ = done.send(()); // who asked may have gone
                }
                Command::Tidy => {}
                Command::Close => return false,
            }
            next = if bytes < COMMIT_BYTES_MAX { commands.try_recv().ok() } else { None };
        }
        true
    }

    /// Makes `appends` durable, shows them to readers, then answers.
    fn commit(&mut self, appends: Vec<Append>) {
        if appends.is_empty() {
            return;
        }
        let mut framed = Vec::with_capacity(appends.iter().map(|a| HEADER_BYTES + a.json.len()).sum());
        let mut starts = Vec::with_capacity(appends.len());
        for append in &appends {
            starts.push(framed.len() as u64);
            frame::put(&mut framed, append.label, &append.json);
        }
        let written = self.write(&framed);
        let mut index = self.shared.index();
        for (append, start) in appends.iter().zip(starts) {
            let bytes = u32::try_from(append.json.len()).expect("entries are bounded far below 4 GiB");
            index.release(u64::from(bytes));
            if let Ok((number, base)) = written {
                index.push(number, Record { offset: base + start, bytes, label: append.label });
            }
        }
        drop(index);
        self.shared.arrived.notify_waiters();
        for append in appends {
            // Whoever asked may have gone; the entry is here all the same.
            let _ = append.reply.send(written.as_ref().map(|_| ()).map_err(to_queue_error));
        }
    }

    /// Appends to the active segment and syncs. The segment and the offset where `framed` begins.
    fn write(&mut self, framed: &[u8]) -> io::Result<(u64, u64)> {
        let mut active = self.writable_segment(framed.len() as u64)?;
        let base = active.len;
        if let Err(error) = active.log.append(framed) {
            // Nothing half-written may stay before later records. Where even cutting fails, the segment
            // ends here; what follows its last record is set aside at the next opening.
            let cut = active.log.cut(base).is_ok();
            tracing::error!(%error, bytes = framed.len(), cut, "cannot write to the queue");
            if cut {
                self.active = Some(active)
            } else {
                self.seal(&active)
            }
            return Err(error);
        }
        if let Err(error) = active.log.sync() {
            // After a failed sync nobody knows what the disk holds, and a second sync would lie about
            // it: these appends are refused, and nothing is ever written behind them.
            tracing::error!(%error, bytes = framed.len(), "cannot sync the queue");
            let _ = active.log.cut(base);
            self.seal(&active);
            return Err(error);
        }
        active.len = base + framed.len() as u64;
        let number = active.number;
        self.active = Some(active);
        Ok((number, base))
    }

    /// Takes the active segment, or a new one where it is missing or would grow too long.
    fn writable_segment(&mut self, more_bytes: u64) -> io::Result<Active> {
        match self.active.take() {
            Some(active) if active.len == 0 || active.len + more_bytes <= self.segment_bytes => Ok(active),
            full => {
                if let Some(full) = full {
                    self.seal(&full);
                }
                let number = self.next_number;
                let log = (self.open_log)(&disk::segment_path(&self.dir, number))?;
                self.next_number += 1;
                self.shared.index().begin(number);
                Ok(Active { number, log, len: 0 })
            }
        }
    }

    fn seal(&self, active: &Active) {
        self.shared.index().seal(active.number);
    }

    fn bury(&self, bury: Bury) {
        let mut dead = self.shared.dead();
        let buried = if dead.bytes() + bury.framed.len() as u64 > self.dead_letters_bytes_max {
            let bytes_max = self.dead_letters_bytes_max;
            Err(QueueError::Full {
                detail: format!("{bytes_max} bytes of dead letters are kept, and nearly are"),
            })
        } else {
            dead.add(bury.position, &bury.framed, &self.open_log).map_err(|error| to_queue_error(&error))
        };
        if buried.is_ok() {
            let mut index = self.shared.index();
            index.ack(bury.position);
            index.set_dead_letters(dead.len());
        }
        drop(dead);
        let _ = bury.reply.send(buried);
    }

    fn remove(&self, remove: Remove) {
        let mut dead = self.shared.dead();
        let removed = dead.remove(&remove.ids, &self.open_log);
        self.shared.index().set_dead_letters(dead.len());
        drop(dead);
        let _ = remove.reply.send(removed.map_err(|error| to_queue_error(&error)));
    }

    /// Deletes segments whose entries are all acked, and writes the acks down when that is due.
    fn tidy(&mut self) {
        let finished = self.shared.index().take_finished();
        for number in finished {
            if let Err(error) = std::fs::remove_file(disk::segment_path(&self.dir, number)) {
                tracing::warn!(%error, segment = number, "cannot delete a segment; its entries are delivered again");
            }
        }
        if self.shared.index().is_dirty() && self.until_checkpoint().is_zero() {
            self.write_checkpoint();
        }
    }

    fn write_checkpoint(&mut self) {
        self.checkpointed_at = Some(Instant::now());
        let mut acks = self.shared.index().take_checkpoint();
        acks.next_number = self.next_number;
        self.shared.unread().add_acks_to(&mut acks);
        if let Err(error) = checkpoint::store(&self.dir, &acks) {
            tracing::warn!(%error, "cannot write the queue's checkpoint; acked entries may be delivered again");
        }
    }
}

pub(super) fn to_queue_error(error: &io::Error) -> QueueError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            QueueError::Full { detail: format!("no room left in the data directory: {error}") }
        }
        kind => {
            QueueError::unavailable("write to the data directory", io::Error::new(kind, error.to_string()))
        }
    }
}
