//! Entries on their way from the segments to whoever asked for them.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::index::Taken;
use super::payload::Raw;
use super::shared::Shared;
use super::{EmbeddedQueue, blocking};
use crate::{BatchLimit, Delivery, EncodedEnvelope, Handle, QueueError, Undecodable, encoded};

/// An entry of a spool, as it is to be handed on.
pub(crate) type Spooled = (Handle, Result<EncodedEnvelope, Undecodable>);

impl EmbeddedQueue {
    /// [`crate::Queue::read`], for who hands envelopes on as they are.
    pub(crate) async fn read_encoded(
        &self,
        limit: BatchLimit,
        linger: Duration,
    ) -> Result<Vec<Spooled>, QueueError> {
        to_spooled(self.take_new(limit, linger).await?).await
    }

    /// [`crate::Queue::reclaim`], for who hands envelopes on as they are.
    pub(crate) async fn reclaim_encoded(
        &self,
        limit: BatchLimit,
        idle: Duration,
    ) -> Result<Vec<Spooled>, QueueError> {
        to_spooled(self.take_idle(limit, idle).await?).await
    }

    /// Takes what waits, and was never delivered.
    pub(super) async fn take_new(&self, limit: BatchLimit, linger: Duration) -> Result<Vec<Raw>, QueueError> {
        let deadline = Instant::now() + linger;
        loop {
            let mut arrived = pin!(self.shared.arrived.notified());
            // Listen first, look second: what arrives between the two is then not missed.
            arrived.as_mut().enable();
            self.check_open()?;
            let taken = self.shared.index().take_new(limit, Instant::now());
            if !taken.is_empty() {
                let mut undelivered = GiveBack { shared: &self.shared, taken };
                let entries = self.read_taken(undelivered.taken.clone()).await?;
                undelivered.taken.clear();
                if !entries.is_empty() {
                    return Ok(entries);
                }
                continue; // none of them could be read: what is behind them comes now
            }
            if tokio::time::timeout_at(deadline, arrived).await.is_err() {
                return Ok(Vec::new());
            }
        }
    }

    async fn read_taken(&self, taken: Vec<Taken>) -> Result<Vec<Raw>, QueueError> {
        let shared = Arc::clone(&self.shared);
        blocking("read from the data directory", move || shared.read(&taken)).await
    }

    /// Takes over what was delivered at least `idle` ago; what could not be read before is tried again.
    pub(super) async fn take_idle(&self, limit: BatchLimit, idle: Duration) -> Result<Vec<Raw>, QueueError> {
        self.check_open()?;
        if !self.shared.unread().is_empty() {
            let shared = Arc::clone(&self.shared);
            blocking("read from the data directory", move || shared.read_unread()).await?;
        }
        let taken = self.shared.index().take_idle(limit, idle, Instant::now());
        if taken.is_empty() { Ok(Vec::new()) } else { self.read_taken(taken).await }
    }
}

/// Decodes what was read, off the async workers.
pub(super) async fn to_deliveries(entries: Vec<Raw>) -> Result<Vec<Delivery>, QueueError> {
    if entries.is_empty() {
        return Ok(Vec::new());
    }
    let decode = |(taken, bytes): Raw| Delivery {
        handle: taken.handle(),
        tries: taken.tries,
        envelope: bytes.and_then(encoded::decode),
    };
    blocking("decode entries", move || entries.into_iter().map(decode).collect()).await
}

async fn to_spooled(entries: Vec<Raw>) -> Result<Vec<Spooled>, QueueError> {
    if entries.is_empty() {
        return Ok(Vec::new());
    }
    let encode = |(taken, bytes): Raw| (taken.handle(), bytes.map(EncodedEnvelope::from_stored));
    blocking("decode entries", move || entries.into_iter().map(encode).collect()).await
}

/// Puts entries back when a read is dropped, or fails, before it could deliver them.
struct GiveBack<'a> {
    shared: &'a Shared,
    taken: Vec<Taken>,
}

impl Drop for GiveBack<'_> {
    fn drop(&mut self) {
        if !self.taken.is_empty() {
            self.shared.index().give_back(&self.taken);
            self.shared.arrived.notify_waiters();
        }
    }
}
