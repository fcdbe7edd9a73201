//! A queue with a spool before it: what it cannot take now waits on this machine's disk.
//!
//! ```text
//! append ─▶ first (Redis) ─ away, silent, or nobody knows ─▶ spool (embedded, fsynced) ─▶ acknowledged
//!             ▲                                                │
//!             └────────────── drain, beside live appends ◀─────┘
//! ```
//! An envelope may come to stand in both: it has the same `envelope_id` there, and the receipts let one of them
//! fall out. A queue that is full is not away: its backlog is bounded because the processors are behind, and a
//! spool would only move the bound.

mod drain;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use metrics::{counter, gauge};
use tallymark_protocol::UnixMs;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::{
    Backlog, BatchLimit, DeadLetter, DeadLetterId, Delivery, EmbeddedQueue, EncodedEnvelope, Handle, Queue,
    QueueError,
};

/// How a spool is used.
#[derive(Clone)]
pub struct SpoolConfig {
    /// How long an append may take before the envelope is spooled. Far above what a Redis under load needs, far
    /// below what a browser that is leaving waits.
    pub append_timeout: Duration,
    /// How often a queue that is away is tried again.
    pub probe_every: Duration,
    /// What time it is.
    pub now: Arc<dyn Fn() -> UnixMs + Send + Sync>,
}

impl SpoolConfig {
    /// The defaults, by this clock.
    #[must_use]
    pub fn new(now: Arc<dyn Fn() -> UnixMs + Send + Sync>) -> Self {
        Self { append_timeout: Duration::from_secs(1), probe_every: Duration::from_millis(500), now }
    }
}

/// What waits in a spool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spool {
    /// Envelopes that are acknowledged and not handed on yet.
    pub entries: u64,
    /// Their encoded bytes.
    pub bytes: u64,
    /// Bytes that may wait; beyond them appends are refused while the queue is away.
    pub bytes_max: u64,
    /// Entries that the disk damaged; their bytes are kept beside the spool.
    pub damaged: u64,
    /// When the oldest envelope was received.
    pub oldest_received_at: Option<UnixMs>,
    /// Whether the queue behind it is away, so that envelopes go to the spool at once.
    pub is_away: bool,
}

impl Spool {
    /// Whether it will take envelopes for a while yet: an instance that nearly does not is to get no more.
    #[must_use]
    pub const fn has_room(&self) -> bool {
        self.bytes < self.bytes_max - self.bytes_max / 20
    }
}

/// A queue with a spool. Readers see the queue alone.
pub struct SpooledQueue {
    shared: Arc<Shared>,
    drainer: TaskTracker,
    stop: CancellationToken,
}

struct Shared {
    first: Arc<dyn Queue>,
    spool: EmbeddedQueue,
    config: SpoolConfig,
    is_away: AtomicBool,
}

impl SpooledQueue {
    /// Puts `spool` before `first`, and begins to hand on what an earlier process left in it.
    #[must_use]
    pub fn start(first: Arc<dyn Queue>, spool: EmbeddedQueue, config: SpoolConfig) -> Self {
        let shared = Arc::new(Shared { first, spool, config, is_away: AtomicBool::new(false) });
        let (entries, _) = shared.spool.waiting();
        if entries > 0 {
            tracing::info!(entries, "the spool holds what an earlier process acknowledged; handing it on");
        }
        shared.measure();
        let (drainer, stop) = (TaskTracker::new(), CancellationToken::new());
        drainer.spawn(drain::run(Arc::clone(&shared), stop.clone()));
        drainer.close();
        Self { shared, drainer, stop }
    }
}

impl Drop for SpooledQueue {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Shared {
    fn is_away(&self) -> bool {
        self.is_away.load(Ordering::Relaxed)
    }

    /// Said once: a line for each envelope would bury it.
    fn went_away(&self, error: &dyn std::fmt::Display) {
        if !self.is_away.swap(true, Ordering::Relaxed) {
            tracing::error!(%error, "the queue is away; envelopes are spooled to this machine's disk");
        }
    }

    fn came_back(&self) {
        if self.is_away() && self.is_away.swap(false, Ordering::Relaxed) {
            let (entries, _) = self.spool.waiting();
            tracing::info!(entries, "the queue answers again; handing on what was spooled");
        }
    }

    async fn append_first(&self, envelope: &EncodedEnvelope) -> Result<(), QueueError> {
        let append = self.first.append_encoded(envelope);
        match tokio::time::timeout(self.config.append_timeout, append).await {
            Ok(appended) => appended,
            Err(elapsed) => Err(QueueError::unavailable("append", elapsed)),
        }
    }

    async fn append_spool(&self, envelope: &EncodedEnvelope) -> Result<(), QueueError> {
        self.spool.append_encoded(envelope).await?;
        counter!("tallymark_spool_appends_total").increment(1);
        self.measure();
        Ok(())
    }

    #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
    fn measure(&self) {
        let (entries, bytes) = self.spool.waiting();
        gauge!("tallymark_spool_entries").set(entries as f64);
        gauge!("tallymark_spool_bytes").set(bytes as f64);
    }
}

#[async_trait]
impl Queue for SpooledQueue {
    async fn append_encoded(&self, envelope: &EncodedEnvelope) -> Result<(), QueueError> {
        if !self.shared.is_away() {
            match self.shared.append_first(envelope).await {
                Err(QueueError::Unavailable { source, .. }) => self.shared.went_away(&source),
                settled => return settled,
            }
        }
        self.shared.append_spool(envelope).await
    }

    fn spool(&self) -> Option<Spool> {
        let backlog = self.shared.spool.backlog_now();
        Some(Spool {
            entries: backlog.entries,
            bytes: backlog.bytes,
            bytes_max: self.shared.spool.backlog_bytes_max(),
            damaged: backlog.dead_letters,
            oldest_received_at: backlog.oldest_received_at,
            is_away: self.shared.is_away(),
        })
    }

    async fn read(&self, limit: BatchLimit, linger: Duration) -> Result<Vec<Delivery>, QueueError> {
        self.shared.first.read(limit, linger).await
    }

    async fn ack(&self, handles: &[Handle]) -> Result<(), QueueError> {
        self.shared.first.ack(handles).await
    }

    async fn reclaim(&self, limit: BatchLimit, idle: Duration) -> Result<Vec<Delivery>, QueueError> {
        self.shared.first.reclaim(limit, idle).await
    }

    async fn begin_alone(&self, handle: Handle) -> Result<u32, QueueError> {
        self.shared.first.begin_alone(handle).await
    }

    async fn withdraw_alone(&self, handle: Handle) -> Result<(), QueueError> {
        self.shared.first.withdraw_alone(handle).await
    }

    async fn dead_letter(&self, handle: Handle, reason: &str, now: UnixMs) -> Result<(), QueueError> {
        self.shared.first.dead_letter(handle, reason, now).await
    }

    async fn dead_letters(
        &self,
        after: Option<DeadLetterId>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, QueueError> {
        self.shared.first.dead_letters(after, limit).await
    }

    async fn replay(&self, ids: &[DeadLetterId]) -> Result<usize, QueueError> {
        self.shared.first.replay(ids).await
    }

    async fn backlog(&self) -> Result<Backlog, QueueError> {
        self.shared.first.backlog().await
    }

    async fn close(&self) {
        self.stop.cancel();
        self.drainer.wait().await;
        self.shared.spool.close().await;
        self.shared.first.close().await;
        let (entries, _) = self.shared.spool.waiting();
        if entries > 0 {
            tracing::warn!(entries, "envelopes are left in the spool; the next process hands them on");
        }
    }
}
