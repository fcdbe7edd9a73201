//! Taking entries out of the streams, and making deliveries of them.
//!
//! A batch is filled from one partition after the other, each time beginning with the next one: none is ever left out
//! for longer than the others take.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::calls::to_queue_error;
use super::partitions::Partition;
use super::{GROUP, RedisQueue};
use crate::{BatchLimit, Delivery, Handle, QueueError, encoded};

/// Entries that a script takes in one step; a batch overshoots its bounds by at most this many.
const STEP_ENTRIES: usize = 8;

/// Batches up to this size are decoded on the spot; larger ones would hold up an async worker.
const DECODE_INLINE_BYTES_MAX: usize = 64 * 1024;

/// An entry as the scripts return it: id, tries, envelope.
type RawEntry = (String, u32, Bytes);

/// What a batch has so far, and how much more it may take.
struct Batch {
    entries: Vec<(u16, RawEntry)>,
    left: BatchLimit,
}

/// A partition without new entries, and the id behind which one would be.
pub(super) struct Empty {
    pub(super) partition: Arc<Partition>,
    pub(super) behind: String,
}

impl RedisQueue {
    /// Takes new entries; where there are none, once some came, until `linger` is over.
    pub(super) async fn take_new(
        &self,
        limit: BatchLimit,
        linger: Duration,
    ) -> Result<Vec<Delivery>, QueueError> {
        let until = Instant::now() + linger;
        loop {
            let (batch, empty) = self.take_there_is(limit).await?;
            if !batch.entries.is_empty() || linger.is_zero() || !self.wait_for_any(&empty, until).await? {
                return deliver(batch.entries).await;
            }
        }
    }

    /// Takes what is there already.
    async fn take_there_is(&self, limit: BatchLimit) -> Result<(Batch, Vec<Empty>), QueueError> {
        let (mut batch, mut empty) = (Batch::new(limit), Vec::new());
        for partition in self.in_turn().await? {
            if batch.is_full() {
                break;
            }
            let mut script = self.calls.scripts.read.prepare_invoke();
            script.key(&partition.keys.stream).arg(GROUP).arg(&self.consumer);
            batch.bound(&mut script);
            let taken = self.calls.run("read", &partition.keys, &script).await;
            let (events, entries, behind): (usize, Vec<RawEntry>, String) = match taken {
                Ok(taken) => taken,
                Err(error) if batch.entries.is_empty() => return Err(error),
                Err(_) => break, // what came is worth delivering, and the next read says the same
            };
            if entries.is_empty() {
                empty.push(Empty { partition, behind });
            } else {
                batch.add(partition.keys.partition, events, entries);
            }
        }
        Ok((batch, empty))
    }

    /// Takes over what others have held for `idle`.
    pub(super) async fn take_over(
        &self,
        limit: BatchLimit,
        idle: Duration,
    ) -> Result<Vec<Delivery>, QueueError> {
        let mut batch = Batch::new(limit);
        for partition in self.in_turn().await? {
            if batch.is_full() {
                break;
            }
            let cursor =
                partition.reclaim_cursor.lock().expect("nobody panics while holding a cursor").clone();
            let mut script = self.calls.scripts.reclaim.prepare_invoke();
            script.key(&partition.keys.stream).arg(GROUP).arg(&self.consumer);
            script.arg(u64::try_from(idle.as_millis()).unwrap_or(u64::MAX));
            batch.bound(&mut script);
            script.arg(cursor);
            let taken = self.calls.run("reclaim", &partition.keys, &script).await;
            let (cursor, events, entries): (String, usize, Vec<RawEntry>) = match taken {
                Ok(taken) => taken,
                Err(error) if batch.entries.is_empty() => return Err(error),
                Err(_) => break,
            };
            *partition.reclaim_cursor.lock().expect("nobody panics while holding a cursor") = cursor;
            batch.add(partition.keys.partition, events, entries);
        }
        deliver(batch.entries).await
    }

    /// All partitions, the first of them another one each time.
    async fn in_turn(&self) -> Result<Vec<Arc<Partition>>, QueueError> {
        let all = self.partitions.all(&self.calls).await;
        let mut all = all.map_err(|error| to_queue_error("ask for the partitions", error))?.to_vec();
        let turn = self.read_turn.fetch_add(1, Ordering::Relaxed) % all.len();
        all.rotate_left(turn);
        Ok(all)
    }
}

impl Batch {
    fn new(limit: BatchLimit) -> Self {
        // At least one entry is taken where there is one.
        let left = BatchLimit {
            entries_max: limit.entries_max.max(1),
            events_max: limit.events_max.max(1),
            bytes_max: limit.bytes_max.max(1),
        };
        Self { entries: Vec::new(), left }
    }

    fn is_full(&self) -> bool {
        self.left.entries_max == 0 || self.left.events_max == 0 || self.left.bytes_max == 0
    }

    /// Tells a script what it may still take.
    fn bound(&self, script: &mut redis::ScriptInvocation<'_>) {
        script
            .arg(self.left.entries_max)
            .arg(self.left.events_max)
            .arg(self.left.bytes_max)
            .arg(STEP_ENTRIES);
    }

    fn add(&mut self, partition: u16, events: usize, entries: Vec<RawEntry>) {
        let bytes: usize = entries.iter().map(|(_, _, envelope)| envelope.len()).sum();
        self.left.entries_max = self.left.entries_max.saturating_sub(entries.len());
        self.left.events_max = self.left.events_max.saturating_sub(events);
        self.left.bytes_max = self.left.bytes_max.saturating_sub(bytes);
        self.entries.extend(entries.into_iter().map(|entry| (partition, entry)));
    }
}

/// Makes deliveries of what was taken.
async fn deliver(entries: Vec<(u16, RawEntry)>) -> Result<Vec<Delivery>, QueueError> {
    let bytes: usize = entries.iter().map(|(_, (_, _, envelope))| envelope.len()).sum();
    let decode = move || entries.into_iter().filter_map(to_delivery).collect();
    if bytes <= DECODE_INLINE_BYTES_MAX {
        return Ok(decode());
    }
    tokio::task::spawn_blocking(decode)
        .await
        .map_err(|error| QueueError::unavailable("decode entries", error))
}

/// `None` for an id that Redis would never give.
fn to_delivery((partition, (id, tries, envelope)): (u16, RawEntry)) -> Option<Delivery> {
    let (major, minor) = id.split_once('-')?;
    let bytes = u32::try_from(envelope.len()).ok()?;
    let handle = Handle { partition, major: major.parse().ok()?, minor: minor.parse().ok()?, bytes };
    Some(Delivery { handle, tries, envelope: encoded::decode(envelope) })
}

/// The stream id that `handle` stands for.
pub(super) fn stream_id(handle: Handle) -> String {
    format!("{}-{}", handle.major, handle.minor)
}
