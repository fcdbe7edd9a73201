//! A queue in a directory, for one process: append-only segments, one writer, group commit.
//!
//! ```text
//! append ─▶ writer thread ─ one write, one fdatasync ─▶ index ─▶ readers (woken, not polling)
//!            └─ acks.checkpoint, now and then             ack ─▶ index
//! ```
//! Durable is what a segment holds. The index of it is in memory and rebuilt at opening; acks reach the
//! disk lazily, since a lost ack only means one more delivery. A segment is deleted when all of its
//! entries are acked. The directory must have one owner: who opens it holds its lock.

mod checkpoint;
mod dead;
mod disk;
mod frame;
#[cfg(test)]
mod full_disk_tests;
mod index;
mod open;
mod payload;
mod shared;
mod take;
mod take_over;
mod tries;
mod writer;

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use tallymark_protocol::UnixMs;
use tokio::sync::oneshot;

use self::disk::OpenLog;
use self::frame::Label;
use self::index::Position;
use self::shared::Shared;
pub(crate) use self::take::Spooled;
use self::take::to_deliveries;
use self::tries::Tries;
use self::writer::{Append, Bury, Command, Remove, Reply, Writer};
use crate::{
    Backlog, BatchLimit, DEAD_LETTERS_BYTES_MAX, DeadLetter, DeadLetterId, Delivery, EncodedEnvelope, Handle,
    Queue, QueueError,
};

/// Appends that may wait for the writer at once. Beyond it the disk is too slow for what comes in, and
/// waiting longer would only move the queue into memory.
const APPENDS_WAITING_MAX: usize = 4_096;

/// How an embedded queue is kept.
#[derive(Clone, Debug)]
pub struct EmbeddedConfig {
    /// The directory that holds it, and nothing else. Made where it is missing.
    pub dir: PathBuf,
    /// Bytes that may wait, acked ones not counted; then appends are refused.
    pub backlog_bytes_max: u64,
    /// Bytes of dead letters that are kept; beyond it entries that cannot be processed stay pending.
    pub dead_letters_bytes_max: u64,
    /// Bytes after which a new segment is begun. Small ones are given back to the disk sooner.
    pub segment_bytes: u64,
}

impl EmbeddedConfig {
    /// The defaults, in `dir`: a gibibyte of backlog is some million events, hours of a busy site.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            backlog_bytes_max: 1 << 30,
            dead_letters_bytes_max: DEAD_LETTERS_BYTES_MAX,
            segment_bytes: 32 << 20,
        }
    }
}

/// The queue in a directory.
pub struct EmbeddedQueue {
    shared: Arc<Shared>,
    commands: SyncSender<Command>,
    writer: Mutex<Option<JoinHandle<()>>>,
    backlog_bytes_max: u64,
}

impl EmbeddedQueue {
    /// Opens the queue in `config.dir`. Reads every segment once, so a large backlog takes a while.
    ///
    /// # Errors
    /// [`QueueError::Unavailable`] when the directory cannot be read or written.
    pub async fn open(config: EmbeddedConfig) -> Result<Self, QueueError> {
        blocking("open the queue's directory", move || Self::open_with(config, Box::new(disk::open_log)))
            .await?
    }

    fn open_with(config: EmbeddedConfig, open_log: OpenLog) -> Result<Self, QueueError> {
        let unavailable = |error| QueueError::unavailable("open the queue's directory", error);
        let opened = open::open_dir(&config.dir).map_err(unavailable)?;
        let shared = Arc::new(Shared::new(&config.dir, opened.index, opened.dead, opened.unread));
        let (commands, waiting) = sync_channel(APPENDS_WAITING_MAX);
        let writer = Writer::new(Arc::clone(&shared), open_log, &config, opened.next_number);
        let writer = std::thread::Builder::new()
            .name("queue-writer".to_owned())
            .spawn(move || writer.run(&waiting))
            .map_err(|error| QueueError::unavailable("start the queue's writer", error))?;
        let backlog_bytes_max = config.backlog_bytes_max;
        Ok(Self { shared, commands, writer: Mutex::new(Some(writer)), backlog_bytes_max })
    }

    fn check_open(&self) -> Result<(), QueueError> {
        if self.shared.closed.load(Ordering::Acquire) { Err(QueueError::Closed) } else { Ok(()) }
    }

    fn send(&self, command: Command) -> Result<(), QueueError> {
        self.commands.try_send(command).map_err(|error| match error {
            TrySendError::Full(_) => {
                QueueError::Full { detail: format!("{APPENDS_WAITING_MAX} appends wait for the disk") }
            }
            TrySendError::Disconnected(_) => QueueError::Closed,
        })
    }

    /// Asks the writer, and waits for its answer.
    async fn ask(&self, command: impl FnOnce(Reply) -> Command) -> Result<(), QueueError> {
        let (reply, answer) = oneshot::channel();
        self.send(command(reply))?;
        answer.await.unwrap_or(Err(QueueError::Closed))
    }

    async fn note_tries(&self, position: Position, tries: Tries) -> Result<(), QueueError> {
        let shared = Arc::clone(&self.shared);
        blocking("write a try down", move || shared.tries().note_durably(position, tries))
            .await?
            .map_err(|error| writer::to_queue_error(&error))
    }

    /// Entries and bytes that wait.
    pub(crate) fn waiting(&self) -> (u64, u64) {
        self.shared.index().waiting()
    }

    /// What waits, without waiting for it.
    pub(crate) fn backlog_now(&self) -> Backlog {
        self.shared.index().backlog()
    }

    pub(crate) const fn backlog_bytes_max(&self) -> u64 {
        self.backlog_bytes_max
    }
}

#[async_trait]
impl Queue for EmbeddedQueue {
    async fn append_encoded(&self, envelope: &EncodedEnvelope) -> Result<(), QueueError> {
        self.check_open()?;
        let bytes = envelope.json().len() as u64;
        if !self.shared.index().reserve(bytes, self.backlog_bytes_max) {
            let detail = format!("{} bytes may wait, and nearly do", self.backlog_bytes_max);
            return Err(QueueError::Full { detail });
        }
        let (reply, answer) = oneshot::channel();
        let label = Label { events: envelope.events(), received_at: envelope.received_at() };
        let append = Append { label, json: envelope.json().clone(), reply };
        if let Err(error) = self.send(Command::Append(append)) {
            self.shared.index().release(bytes);
            return Err(error);
        }
        answer.await.unwrap_or(Err(QueueError::Closed))
    }

    async fn read(&self, limit: BatchLimit, linger: Duration) -> Result<Vec<Delivery>, QueueError> {
        to_deliveries(self.take_new(limit, linger).await?).await
    }

    async fn ack(&self, handles: &[Handle]) -> Result<(), QueueError> {
        let mut index = self.shared.index();
        for handle in handles {
            index.ack(position(*handle));
        }
        drop(index);
        // Where there is no room for the note, the writer is busy, and looks before it rests.
        let _ = self.send(Command::Tidy);
        Ok(())
    }

    async fn reclaim(&self, limit: BatchLimit, idle: Duration) -> Result<Vec<Delivery>, QueueError> {
        to_deliveries(self.take_idle(limit, idle).await?).await
    }

    async fn begin_alone(&self, handle: Handle) -> Result<u32, QueueError> {
        let position = position(handle);
        // Whoever ends the process from here on is this entry: those before it must not come under suspicion again.
        let (done, acks_are_kept) = oneshot::channel();
        self.send(Command::Checkpoint(done))?;
        acks_are_kept.await.map_err(|_| QueueError::Closed)?;
        let Some(tries) = self.shared.index().begin_alone(position) else { return Ok(0) };
        self.note_tries(position, tries).await.inspect_err(|_| {
            self.shared.index().withdraw_alone(position);
        })?;
        Ok(tries.alone)
    }

    async fn withdraw_alone(&self, handle: Handle) -> Result<(), QueueError> {
        let position = position(handle);
        let Some(tries) = self.shared.index().withdraw_alone(position) else { return Ok(()) };
        self.note_tries(position, tries).await
    }

    async fn dead_letter(&self, handle: Handle, reason: &str, now: UnixMs) -> Result<(), QueueError> {
        let position = position(handle);
        let Some(bytes) = self.shared.index().bytes_of(position) else { return Ok(()) };
        let (dir, reason) = (self.shared.dir.clone(), reason.to_owned());
        let framed = blocking("read from the data directory", move || {
            let entry = payload::read_raw(&dir, position, bytes)?;
            dead::encode(position, &reason, now, &entry)
        });
        let unavailable = |error| QueueError::unavailable("set an entry aside", error);
        let framed = framed.await?.map_err(unavailable)?;
        self.ask(|reply| Command::Bury(Bury { position, framed, reply })).await
    }

    async fn dead_letters(
        &self,
        after: Option<DeadLetterId>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, QueueError> {
        let shared = Arc::clone(&self.shared);
        blocking("read the dead letters", move || shared.dead().list(after, limit))
            .await?
            .map_err(|error| QueueError::unavailable("read the dead letters", error))
    }

    async fn replay(&self, ids: &[DeadLetterId]) -> Result<usize, QueueError> {
        let mut replayed = 0;
        for &id in ids {
            let shared = Arc::clone(&self.shared);
            let found = blocking("read the dead letters", move || shared.dead().find(id)).await?;
            let found = found.map_err(|error| QueueError::unavailable("read the dead letters", error))?;
            let Some(letter) = found else { continue };
            match self.append_encoded(&EncodedEnvelope::from_stored(letter.bytes)).await {
                Err(QueueError::Full { .. }) if replayed > 0 => break,
                appended => appended?,
            }
            // A crash here leaves it in both places: the receipts let one of them fall out.
            self.ask(|reply| Command::Remove(Remove { ids: vec![id], reply })).await?;
            replayed += 1;
        }
        Ok(replayed)
    }

    async fn backlog(&self) -> Result<Backlog, QueueError> {
        Ok(self.backlog_now())
    }

    async fn close(&self) {
        self.shared.closed.store(true, Ordering::Release);
        self.shared.arrived.notify_waiters();
        let Some(writer) = self.writer.lock().expect("nobody panics while holding the writer").take() else {
            return;
        };
        let (commands, shared) = (self.commands.clone(), Arc::clone(&self.shared));
        let joined = blocking("close the queue", move || {
            // Waits for room where 4,096 appends wait; they are written before the writer ends.
            let _ = commands.send(Command::Close);
            writer.join().is_ok() && shared.forget_deliveries().is_ok()
        });
        if !joined.await.unwrap_or(false) {
            tracing::error!("the queue's writer did not end well; acked entries may be delivered again");
        }
    }
}

const fn position(handle: Handle) -> Position {
    Position { segment: handle.major, offset: handle.minor }
}

/// Runs file work off the async workers.
async fn blocking<T: Send + 'static>(
    doing: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, QueueError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| QueueError::unavailable(doing, error))
}
