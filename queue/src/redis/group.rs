//! The consumer group: made where it is missing, and left when this process goes.

use std::time::Duration;

use redis::RedisResult;
use redis::streams::StreamInfoConsumersReply;

use super::{GROUP, RedisQueue};

/// A consumer that was idle for this long and has nothing pending is a process that is gone.
const GONE_AFTER: Duration = Duration::from_secs(3600);

impl RedisQueue {
    /// Makes stream and group. From the beginning: what is in the stream is not acked.
    pub(super) async fn make_group(&self) -> RedisResult<()> {
        let mut linked = self.link.get().await?;
        let mut command = redis::cmd("XGROUP");
        command.arg("CREATE").arg(&self.keys.stream).arg(GROUP).arg("0").arg("MKSTREAM");
        match command.query_async::<()>(&mut linked.connection).await {
            Err(error) if error.code() == Some("BUSYGROUP") => Ok(()), // somebody was faster
            made => made,
        }
    }

    /// Removes consumers whose process is gone and who have nothing pending.
    pub(super) async fn sweep(&self) -> RedisResult<()> {
        let mut linked = self.link.get().await?;
        let mut command = redis::cmd("XINFO");
        command.arg("CONSUMERS").arg(&self.keys.stream).arg(GROUP);
        let found: StreamInfoConsumersReply = command.query_async(&mut linked.connection).await?;
        let gone_after_ms = usize::try_from(GONE_AFTER.as_millis()).unwrap_or(usize::MAX);
        for consumer in found.consumers {
            if consumer.pending == 0 && consumer.idle > gone_after_ms && consumer.name != self.consumer {
                self.leave(&consumer.name).await?;
            }
        }
        Ok(())
    }

    /// Removes a consumer, unless entries are pending with it.
    pub(super) async fn leave(&self, consumer: &str) -> RedisResult<()> {
        let mut script = self.scripts.leave.prepare_invoke();
        script.key(&self.keys.stream).arg(GROUP).arg(consumer);
        self.try_run(&script).await
    }
}
