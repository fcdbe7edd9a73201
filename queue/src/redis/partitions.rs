//! Which partitions there are.
//!
//! Each process appends to as many as it was told and reads all that anybody was ever told: their number is in Redis
//! and only grows, so that no entry is left where nobody looks. Without that key there is one.

use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use redis::RedisResult;
use tokio::time::Instant;

use super::calls::Calls;
use super::scripts::Keys;

/// The most partitions that a queue is spread over: each costs a reader a connection.
pub const PARTITIONS_MAX: u16 = 64;

/// How old the known number may be. A collector that was told more says so before it appends; readers find its entries
/// this much later.
const ASK_EVERY: Duration = Duration::from_secs(2);

/// One stream, and what this process remembers of it.
pub(super) struct Partition {
    pub(super) keys: Keys,
    /// Where the next reclaim goes on.
    pub(super) reclaim_cursor: Mutex<String>,
}

pub(super) struct Partitions {
    prefix: String,
    /// Where the number is.
    key: String,
    /// Appends go to this many.
    configured: u16,
    known: RwLock<Known>,
}

struct Known {
    all: Arc<[Arc<Partition>]>,
    asked_at: Option<Instant>,
}

impl Partitions {
    pub(super) fn new(prefix: &str, configured: u16) -> Self {
        let configured = configured.clamp(1, PARTITIONS_MAX);
        let all = (0..configured).map(|number| Arc::new(Partition::new(prefix, number))).collect();
        Self {
            prefix: prefix.to_owned(),
            key: format!("{prefix}partitions"),
            configured,
            known: RwLock::new(Known { all, asked_at: None }),
        }
    }

    /// How many this process appends to.
    pub(super) const fn configured(&self) -> u16 {
        self.configured
    }

    /// The known ones, with nobody asked.
    pub(super) fn known(&self) -> Arc<[Arc<Partition>]> {
        Arc::clone(&self.known.read().expect("nobody panics while holding the partitions").all)
    }

    /// The partition of an entry that was delivered here.
    pub(super) fn of(&self, number: u16) -> Arc<Partition> {
        match self.known().get(usize::from(number)) {
            Some(partition) => Arc::clone(partition),
            None => Arc::new(Partition::new(&self.prefix, number)), // of another process's handle
        }
    }

    /// All that exist, this process's own announced: asked for again where the answer is old.
    pub(super) async fn all(&self, calls: &Calls) -> RedisResult<Arc<[Arc<Partition>]>> {
        let asked_at = self.known.read().expect("nobody panics while holding the partitions").asked_at;
        if asked_at.is_none_or(|at| at.elapsed() >= ASK_EVERY) {
            let mut script = calls.scripts.partitions.prepare_invoke();
            script.key(&self.key).arg(self.configured);
            self.learn(calls.try_run(&script).await?);
        }
        Ok(self.known())
    }

    /// The number never shrinks here either: what a Redis forgot may still be in it.
    fn learn(&self, number: u16) {
        let mut known = self.known.write().expect("nobody panics while holding the partitions");
        known.asked_at = Some(Instant::now());
        let more = known.all.len()..usize::from(number.min(PARTITIONS_MAX));
        if !more.is_empty() {
            let more =
                more.map(|number| Arc::new(Partition::new(&self.prefix, u16::try_from(number).unwrap_or(0))));
            known.all = known.all.iter().cloned().chain(more).collect();
        }
    }
}

impl Partition {
    fn new(prefix: &str, number: u16) -> Self {
        Self { keys: Keys::new(prefix, number), reclaim_cursor: Mutex::new("0-0".to_owned()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_partitions_only_grows() {
        let partitions = Partitions::new("p:", 2);
        for (heard, known) in [(1, 2), (3, 3), (2, 3), (u16::MAX, usize::from(PARTITIONS_MAX))] {
            partitions.learn(heard);
            assert_eq!(partitions.known().len(), known, "after hearing {heard}");
        }
        assert_eq!(partitions.configured(), 2, "appends stay where they were told to go");
        assert_eq!(partitions.known()[2].keys.stream, "p:events:{2}");
    }
}
