//! Who reads, and how much there is to read.

use std::time::Duration;

use redis::RedisResult;
use tallymark_protocol::UnixMs;

use super::calls::to_queue_error;
use super::scripts::Keys;
use super::{GROUP, RedisQueue};
use crate::{Backlog, QueueError};

/// A consumer that was idle for this long and has nothing pending is a process that is gone.
const GONE_AFTER: Duration = Duration::from_secs(3600);

/// What a partition's script counts: entries, bytes, pending, dead letters, when the oldest was received.
type Counts = (u64, u64, u64, u64, String);

impl RedisQueue {
    /// Counts what waits, partition by partition.
    pub(super) async fn count_backlog(&self) -> Result<Backlog, QueueError> {
        const DOING: &str = "count the backlog";
        let partitions = self.partitions.all(&self.calls).await;
        let mut sum = Backlog::default();
        for partition in partitions.map_err(|error| to_queue_error(DOING, error))?.iter() {
            let keys = &partition.keys;
            let mut script = self.calls.scripts.backlog.prepare_invoke();
            script.key(&keys.stream).key(&keys.bytes).key(&keys.dead).arg(GROUP);
            let (entries, bytes, pending, dead_letters, oldest): Counts =
                self.calls.run(DOING, keys, &script).await?;
            let oldest = oldest.parse().ok().map(UnixMs);
            sum = Backlog {
                entries: sum.entries + entries,
                bytes: sum.bytes + bytes,
                pending: sum.pending + pending,
                dead_letters: sum.dead_letters + dead_letters,
                oldest_received_at: sum.oldest_received_at.into_iter().chain(oldest).min(),
            };
        }
        Ok(sum)
    }

    /// Removes consumers whose process is gone and who have nothing pending.
    pub(super) async fn sweep(&self) -> RedisResult<()> {
        let gone_after_ms = usize::try_from(GONE_AFTER.as_millis()).unwrap_or(usize::MAX);
        for partition in self.partitions.known().iter() {
            for consumer in self.calls.consumers(&partition.keys).await?.consumers {
                if consumer.pending == 0 && consumer.idle > gone_after_ms && consumer.name != self.consumer {
                    self.leave(&partition.keys, &consumer.name).await?;
                }
            }
        }
        Ok(())
    }

    /// Removes a consumer from every partition where nothing is pending with it.
    pub(super) async fn leave_all(&self, consumer: &str) -> RedisResult<()> {
        for partition in self.partitions.known().iter() {
            self.leave(&partition.keys, consumer).await?;
        }
        Ok(())
    }

    async fn leave(&self, keys: &Keys, consumer: &str) -> RedisResult<()> {
        let mut script = self.calls.scripts.leave.prepare_invoke();
        script.key(&keys.stream).arg(GROUP).arg(consumer);
        self.calls.try_run(&script).await
    }
}
