//! The durable hand-off between collectors and processors: append, read, ack, reclaim, dead-letter.
//!
//! Second stage of an event's path. A collector answers 202 only after [`Queue::append`] returned; a
//! processor acks only after the store committed. Between the two, an entry is delivered **at least
//! once**: a crash, a lost reply or a lost ack means that it comes again, with the same
//! `envelope_id`, and the processor's receipts make it count once. No order is promised. A [`SpooledQueue`] puts
//! what Redis cannot take now on this machine's disk, and hands it on later.
//!
//! It never looks into an event, never drops an entry that nobody acked (a full queue refuses instead),
//! and never holds an address.
//!
//! ```
//! use tallymark_queue::{BatchLimit, Queue, QueueError};
//!
//! async fn move_on(queue: &dyn Queue) -> Result<(), QueueError> {
//!     let batch = queue.read(BatchLimit::default(), std::time::Duration::from_millis(200)).await?;
//!     let handles: Vec<_> = batch.iter().map(|delivery| delivery.handle).collect();
//!     // … commit the batch to the store, and only then:
//!     queue.ack(&handles).await
//! }
//! ```

mod dead_letter;
mod delivery;
mod embedded;
mod encoded;
mod entry;
mod error;
mod redis;
mod spool;

use std::time::Duration;

use async_trait::async_trait;
use tallymark_protocol::UnixMs;

pub use self::redis::{AppendFsync, Durability, PARTITIONS_MAX, RedisConfig, RedisFacts, RedisQueue};
pub use dead_letter::{DEAD_LETTERS_BYTES_MAX, DeadLetter, DeadLetterId, NoDeadLetterId};
pub use delivery::{Backlog, BatchLimit, Delivery, Handle, Undecodable};
pub use embedded::{EmbeddedConfig, EmbeddedQueue};
pub use encoded::EncodedEnvelope;
pub use entry::{ENTRY_VERSION, QueuedEnvelope};
pub use error::QueueError;
pub use spool::{Spool, SpoolConfig, SpooledQueue};

/// A durable queue of envelopes, shared by any number of appenders and readers.
#[async_trait]
pub trait Queue: Send + Sync + 'static {
    /// Appends `envelope` and returns once the backend has it durably.
    ///
    /// Cancel-safe: a dropped call appended the whole envelope or nothing.
    ///
    /// # Errors
    /// As [`Queue::append_encoded`].
    async fn append(&self, envelope: &QueuedEnvelope) -> Result<(), QueueError> {
        self.append_encoded(&EncodedEnvelope::encode(envelope)?).await
    }

    /// Appends an envelope that was encoded before, so that a retry or a second queue costs no encoding.
    ///
    /// Cancel-safe: a dropped call appended the whole envelope or nothing.
    ///
    /// # Errors
    /// [`QueueError::Full`] when the backlog would pass its bound, and nothing was appended;
    /// [`QueueError::Unavailable`] when the envelope's fate is unknown: appending it again under the same
    /// `envelope_id` is always right; [`QueueError::Closed`] after [`Queue::close`].
    async fn append_encoded(&self, envelope: &EncodedEnvelope) -> Result<(), QueueError>;

    /// Takes entries that were never delivered, up to `limit`; waits up to `linger` for the first one and
    /// then takes what is there. An empty answer means that nothing came.
    ///
    /// What a dropped call had taken already may stay pending until it is reclaimed.
    ///
    /// # Errors
    /// [`QueueError::Unavailable`], [`QueueError::Closed`].
    async fn read(&self, limit: BatchLimit, linger: Duration) -> Result<Vec<Delivery>, QueueError>;

    /// Forgets entries for good: the caller has committed them. Acking twice is harmless.
    ///
    /// # Errors
    /// [`QueueError::Unavailable`]: some may not be acked, and will be delivered again.
    async fn ack(&self, handles: &[Handle]) -> Result<(), QueueError>;

    /// Takes over entries that were delivered at least `idle` ago and are still not acked: their consumer
    /// died, or lost the reply. `idle` must be longer than any batch takes to process.
    ///
    /// # Errors
    /// [`QueueError::Unavailable`], [`QueueError::Closed`].
    async fn reclaim(&self, limit: BatchLimit, idle: Duration) -> Result<Vec<Delivery>, QueueError>;

    /// Writes down durably that an entry is processed alone from now on, before that begins: so a try that
    /// kills the process counts too. Answers how often that was written down, this time included, and 0 for
    /// an entry that is gone. It is forgotten with the ack.
    ///
    /// # Errors
    /// [`QueueError::Unavailable`], [`QueueError::Full`]: it may not be written down. Do not begin.
    async fn begin_alone(&self, handle: Handle) -> Result<u32, QueueError>;

    /// Takes one [`Queue::begin_alone`] back: the try ended for a reason that is not the entry's.
    ///
    /// # Errors
    /// [`QueueError::Unavailable`]: it may still count.
    async fn withdraw_alone(&self, handle: Handle) -> Result<(), QueueError>;

    /// Sets an entry aside with the reason why it cannot be processed, and acks it. Returns once the dead
    /// letter is durable.
    ///
    /// # Errors
    /// [`QueueError::Unavailable`]: the entry stays pending, or stands aside twice. [`QueueError::Full`] when
    /// the dead letters are at their bound: the entry stays pending. Never is it lost.
    async fn dead_letter(&self, handle: Handle, reason: &str, now: UnixMs) -> Result<(), QueueError>;

    /// Dead letters behind `after`, or from the first one: at most `limit`, and fewer where they are large.
    /// None means that there are no more.
    ///
    /// # Errors
    /// [`QueueError::Unavailable`].
    async fn dead_letters(
        &self,
        after: Option<DeadLetterId>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, QueueError>;

    /// One dead letter.
    ///
    /// # Errors
    /// As [`Queue::dead_letters`].
    async fn find_dead_letter(&self, id: DeadLetterId) -> Result<Option<DeadLetter>, QueueError> {
        let found = self.dead_letters(id.before(), 1).await?;
        Ok(found.into_iter().find(|letter| letter.id == id))
    }

    /// Puts dead letters back into the queue, under the `envelope_id` that they had, with no tries counted.
    /// Answers how many; ids that name none are passed over.
    ///
    /// # Errors
    /// [`QueueError::Full`] when not even the first one fits into the backlog; where only some fit, these are
    /// put back and counted. [`QueueError::Unavailable`]: some may be in the queue, or in both places, which
    /// counts once; none is lost.
    async fn replay(&self, ids: &[DeadLetterId]) -> Result<usize, QueueError>;

    /// What waits. All parts are of one instant; where a queue has several partitions, of one a partition.
    ///
    /// # Errors
    /// [`QueueError::Unavailable`].
    async fn backlog(&self) -> Result<Backlog, QueueError>;

    /// What waits on this machine's disk on its way into the queue, where there is a spool.
    fn spool(&self) -> Option<Spool> {
        None
    }

    /// Refuses new work, writes down what is only in memory and lets go of connections and files. Call it
    /// after the last ack; a queue that was only dropped is safe too, and redelivers more.
    async fn close(&self);
}
