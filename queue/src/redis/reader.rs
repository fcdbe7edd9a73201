//! Taking entries out of the stream, and making deliveries of them.

use std::time::Duration;

use bytes::Bytes;
use redis::streams::StreamReadReply;

use super::{GROUP, RedisQueue, to_queue_error};
use crate::{BatchLimit, Delivery, Handle, QueueError, encoded};

/// Entries that a script takes in one step; a batch overshoots its bounds by at most this many.
pub(super) const STEP_ENTRIES: usize = 8;

/// Batches up to this size are decoded on the spot; larger ones would hold up an async worker.
const DECODE_INLINE_BYTES_MAX: usize = 64 * 1024;

/// An entry as the scripts return it: id, tries, envelope.
pub(super) type RawEntry = (String, u32, Bytes);

impl RedisQueue {
    /// Takes what is there already.
    pub(super) async fn take_new(&self, limit: BatchLimit) -> Result<Vec<RawEntry>, QueueError> {
        let mut script = self.scripts.read.prepare_invoke();
        script.key(&self.keys.stream).arg(GROUP).arg(&self.consumer);
        script.arg(limit.entries_max).arg(limit.events_max).arg(limit.bytes_max).arg(STEP_ENTRIES);
        self.run("read", &script).await
    }

    /// Waits until an entry comes, and takes it.
    pub(super) async fn wait_for_one(&self, linger: Duration) -> Result<Option<RawEntry>, QueueError> {
        let unavailable = |error| to_queue_error("wait for entries", error);
        let idle = self.waiting.lock().expect("nobody panics while holding the connections").pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => self.link.own().await.map_err(unavailable)?,
        };
        let block_ms = u64::try_from(linger.as_millis()).unwrap_or(u64::MAX).max(1); // 0 would be for ever
        let mut command = redis::cmd("XREADGROUP");
        command.arg("GROUP").arg(GROUP).arg(&self.consumer).arg("COUNT").arg(1).arg("BLOCK").arg(block_ms);
        command.arg("STREAMS").arg(&self.keys.stream).arg(">");
        let answer = command.query_async::<Option<StreamReadReply>>(&mut connection);
        let answer = match tokio::time::timeout(linger + self.response_timeout, answer).await {
            Ok(Ok(answer)) => answer.unwrap_or_default(),
            Ok(Err(error)) if error.code() == Some("NOGROUP") => {
                self.make_group().await.map_err(unavailable)?;
                return Ok(None);
            }
            Ok(Err(error)) => return Err(unavailable(error)),
            Err(elapsed) => return Err(QueueError::unavailable("wait for entries", elapsed)),
        };
        self.waiting.lock().expect("nobody panics while holding the connections").push(connection);
        let entry = answer.keys.into_iter().next().and_then(|key| key.ids.into_iter().next());
        Ok(entry.map(|entry| {
            let envelope = entry.get::<Bytes>("envelope").unwrap_or_default();
            (entry.id, 1, envelope)
        }))
    }
}

/// Makes deliveries of what was taken.
pub(super) async fn deliver(partition: u16, entries: Vec<RawEntry>) -> Result<Vec<Delivery>, QueueError> {
    let bytes: usize = entries.iter().map(|(_, _, envelope)| envelope.len()).sum();
    let decode = move || entries.into_iter().filter_map(|entry| to_delivery(partition, entry)).collect();
    if bytes <= DECODE_INLINE_BYTES_MAX {
        return Ok(decode());
    }
    tokio::task::spawn_blocking(decode)
        .await
        .map_err(|error| QueueError::unavailable("decode entries", error))
}

/// `None` for an id that Redis would never give.
fn to_delivery(partition: u16, (id, tries, envelope): RawEntry) -> Option<Delivery> {
    let (major, minor) = id.split_once('-')?;
    let bytes = u32::try_from(envelope.len()).ok()?;
    let handle = Handle { partition, major: major.parse().ok()?, minor: minor.parse().ok()?, bytes };
    Some(Delivery { handle, tries, envelope: encoded::decode(envelope) })
}

/// The stream id that `handle` stands for.
pub(super) fn stream_id(handle: Handle) -> String {
    format!("{}-{}", handle.major, handle.minor)
}
