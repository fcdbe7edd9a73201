//! Entries that cannot be processed: tries that are written down, dead letters, and their way back.

use bytes::Bytes;
use tallymark_protocol::UnixMs;

use super::calls::to_queue_error;
use super::reader::stream_id;
use super::{GROUP, RedisQueue};
use crate::dead_letter::PAGE_BYTES_MAX;
use crate::encoded::REASON_BYTES_MAX;
use crate::{DeadLetter, DeadLetterId, Handle, QueueError};

/// Letters put back by one script: a bound on how long Redis is held up.
const REPLAYS_MAX: usize = 16;

/// A dead letter as the script returns it: id, when, reason, envelope.
type RawLetter = (String, String, String, Bytes);

impl RedisQueue {
    pub(super) async fn count_alone(&self, handle: Handle) -> Result<u32, QueueError> {
        let partition = self.partitions.of(handle.partition);
        let keys = &partition.keys;
        let mut script = self.calls.scripts.begin_alone.prepare_invoke();
        script.key(&keys.stream).key(&keys.tries).arg(stream_id(handle));
        self.calls.run("write a try down", keys, &script).await
    }

    pub(super) async fn uncount_alone(&self, handle: Handle) -> Result<(), QueueError> {
        let partition = self.partitions.of(handle.partition);
        let keys = &partition.keys;
        let mut script = self.calls.scripts.withdraw_alone.prepare_invoke();
        script.key(&keys.tries).arg(stream_id(handle));
        let _done: bool = self.calls.run("take a try back", keys, &script).await?;
        Ok(())
    }

    pub(super) async fn bury(&self, handle: Handle, reason: &str, now: UnixMs) -> Result<(), QueueError> {
        let partition = self.partitions.of(handle.partition);
        let keys = &partition.keys;
        // An equal share of the bound, as of the backlog's.
        let bytes_max = self.dead_letters_bytes_max / self.partitions.known().len().max(1) as u64;
        let mut script = self.calls.scripts.dead_letter.prepare_invoke();
        script.key(&keys.stream).key(&keys.bytes).key(&keys.dead).key(&keys.dead_bytes).key(&keys.tries);
        script.arg(GROUP).arg(stream_id(handle)).arg(handle.bytes);
        script.arg(&reason[..reason.floor_char_boundary(REASON_BYTES_MAX)]);
        script.arg(now.0).arg(bytes_max);
        let set_aside: i32 = self.calls.run("set an entry aside", keys, &script).await?;
        if set_aside >= 0 {
            return Ok(());
        }
        let detail = format!("{bytes_max} bytes of dead letters are kept in a partition, and nearly are");
        Err(QueueError::Full { detail })
    }

    /// A page of one partition's; of the next one's where that has no more.
    pub(super) async fn list_dead(
        &self,
        after: Option<DeadLetterId>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, QueueError> {
        const DOING: &str = "read the dead letters";
        let partitions = self.partitions.all(&self.calls).await;
        let partitions = partitions.map_err(|error| to_queue_error(DOING, error))?;
        for partition in partitions.iter().skip(after.map_or(0, |id| usize::from(id.partition))) {
            let keys = &partition.keys;
            let after = after.filter(|id| id.partition == keys.partition);
            let mut script = self.calls.scripts.dead_letters.prepare_invoke();
            script.key(&keys.dead).arg(after.map_or_else(|| "-".to_owned(), letter_id));
            script.arg(limit).arg(PAGE_BYTES_MAX);
            let found: Vec<RawLetter> = self.calls.run(DOING, keys, &script).await?;
            if !found.is_empty() {
                let letters = found.into_iter().filter_map(|letter| to_dead_letter(keys.partition, letter));
                return Ok(letters.collect());
            }
        }
        Ok(Vec::new())
    }

    pub(super) async fn put_back(&self, ids: &[DeadLetterId]) -> Result<usize, QueueError> {
        let (mut replayed, mut is_full) = (0, false);
        for partition in self.partitions.known().iter() {
            let keys = &partition.keys;
            let ours: Vec<_> = ids.iter().filter(|id| id.partition == keys.partition).collect();
            for ids in ours.chunks(REPLAYS_MAX) {
                let mut script = self.calls.scripts.replay.prepare_invoke();
                script.key(&keys.stream).key(&keys.bytes).key(&keys.dead).key(&keys.dead_bytes);
                script.arg(self.appender.share_bytes_max());
                for id in ids {
                    script.arg(letter_id(**id));
                }
                let (back, full): (usize, bool) =
                    self.calls.run("put dead letters back", keys, &script).await?;
                replayed += back;
                is_full |= full;
                if full {
                    break;
                }
            }
        }
        if is_full && replayed == 0 {
            let detail = "the bytes that may wait in Redis nearly do".to_owned();
            return Err(QueueError::Full { detail });
        }
        Ok(replayed)
    }
}

fn letter_id(id: DeadLetterId) -> String {
    format!("{}-{}", id.major, id.minor)
}

/// `None` for an id that Redis would never give.
fn to_dead_letter(partition: u16, (id, at, reason, bytes): RawLetter) -> Option<DeadLetter> {
    let (major, minor) = id.split_once('-')?;
    let id = DeadLetterId { partition, major: major.parse().ok()?, minor: minor.parse().ok()? };
    // Those of the first versions do not say when; their id does, by Redis's clock.
    let at = at.parse().ok().or_else(|| id.major.try_into().ok()).map(UnixMs);
    Some(DeadLetter::new(id, at, reason, bytes))
}
