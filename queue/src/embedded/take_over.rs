//! What waits in another directory that nobody will read any more: an installation went over to Redis, or came back.

use std::path::Path;
use std::time::Duration;

use futures_util::future::try_join_all;

use super::{EmbeddedConfig, EmbeddedQueue};
use crate::{BatchLimit, Queue as _, QueueError};

/// What is moved at once: shares one sync, and is held in memory.
const STEP: BatchLimit = BatchLimit { entries_max: 1_000, events_max: usize::MAX, bytes_max: 4 << 20 };

impl EmbeddedQueue {
    /// Appends here what waits in the queue in `dir`, and acks it there. Answers how many. Where there is no such
    /// directory, there is nothing; damaged entries and dead letters stay where they are. Whoever owns this queue's
    /// directory must own that one, too.
    ///
    /// # Errors
    /// As [`crate::Queue::append_encoded`]: what was not moved is still there. Some may be in both places, which counts
    /// once.
    pub async fn take_over(&self, dir: &Path) -> Result<u64, QueueError> {
        if !dir.is_dir() {
            return Ok(0);
        }
        let left = Self::open(EmbeddedConfig::new(dir)).await?;
        let moved = self.move_from(&left).await;
        left.close().await;
        moved
    }

    async fn move_from(&self, left: &Self) -> Result<u64, QueueError> {
        let mut moved = 0;
        loop {
            let step = left.read_encoded(STEP, Duration::ZERO).await?;
            if step.is_empty() {
                return Ok(moved);
            }
            let whole = step.iter().filter_map(|(handle, entry)| Some((*handle, entry.as_ref().ok()?)));
            let (handles, envelopes): (Vec<_>, Vec<_>) = whole.unzip();
            try_join_all(envelopes.into_iter().map(|envelope| self.append_encoded(envelope))).await?;
            left.ack(&handles).await?;
            moved += handles.len() as u64;
        }
    }
}
