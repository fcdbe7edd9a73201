//! The buckets of one process.

use std::collections::HashMap;
use std::hash::Hash;
use std::mem;
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use tallymark_protocol::UnixMs;

use super::level::{FULL_AFTER, Level};
use super::{Bucket, RateTokens, Taken, Tokens};

/// Buckets of addresses that are held. Strangers choose how many there are.
const ADDRESSES_MAX: usize = 200_000;

/// Tokens in the memory of this process.
#[derive(Debug)]
pub struct LocalRateTokens {
    /// Never held across an await.
    buckets: Mutex<Buckets>,
}

/// Projects apart from addresses, so that no number of addresses makes a project's bucket forgotten.
#[derive(Debug)]
struct Buckets {
    projects: Generations<i32>,
    addresses: Generations<(i32, u64)>,
}

/// Levels in two generations. What was not used for as long as the longest debt takes is full, and is dropped with
/// its generation in one go: no call looks at more than its own buckets.
#[derive(Debug)]
struct Generations<K> {
    young: HashMap<K, Level>,
    old: HashMap<K, Level>,
    young_since: UnixMs,
    /// Levels in one generation. Beyond it the generations turn early, and the least used buckets are forgotten.
    levels_max: usize,
}

impl<K: Eq + Hash> Generations<K> {
    fn new(levels_max: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), young_since: UnixMs(i64::MIN), levels_max }
    }

    fn get(&self, key: &K) -> Option<Level> {
        self.young.get(key).or_else(|| self.old.get(key)).copied()
    }

    fn put(&mut self, key: K, level: Level, now: UnixMs) {
        let full_after_ms = i64::try_from(FULL_AFTER.as_millis()).unwrap_or(i64::MAX);
        let is_over = now.0.saturating_sub(self.young_since.0) >= full_after_ms;
        if is_over || self.young.len() >= self.levels_max {
            mem::swap(&mut self.young, &mut self.old);
            // Levels own nothing: clearing keeps the memory and touches no level.
            self.young.clear();
            self.young_since = now;
        }
        // A clock that was set back would otherwise let a generation grow old for ever.
        self.young_since = self.young_since.min(now);
        self.young.insert(key, level);
    }
}

impl Buckets {
    fn level(&self, of: &Tokens, now: UnixMs) -> Level {
        let level = match of.bucket {
            Bucket::Project(project_id) => self.projects.get(&project_id),
            Bucket::Address { project_id, hash } => self.addresses.get(&(project_id, hash)),
        };
        level.map_or_else(|| Level::full(of.per_minute, now), |level| level.at(now, of.per_minute))
    }

    fn take(&mut self, of: &Tokens, now: UnixMs) {
        let level = self.level(of, now).less(of.tokens, of.per_minute);
        match of.bucket {
            Bucket::Project(project_id) => self.projects.put(project_id, level, now),
            Bucket::Address { project_id, hash } => self.addresses.put((project_id, hash), level, now),
        }
    }
}

impl LocalRateTokens {
    /// Buckets that are all full.
    #[must_use]
    pub fn new() -> Self {
        Self::with_addresses_max(ADDRESSES_MAX)
    }

    fn with_addresses_max(addresses_max: usize) -> Self {
        let projects = Generations::new(usize::MAX);
        let addresses = Generations::new(addresses_max.div_ceil(2));
        Self { buckets: Mutex::new(Buckets { projects, addresses }) }
    }

    fn buckets(&self) -> MutexGuard<'_, Buckets> {
        self.buckets.lock().expect("nobody panics while holding the buckets")
    }
}

impl Default for LocalRateTokens {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl RateTokens for LocalRateTokens {
    async fn take(&self, wanted: &[Tokens], now: UnixMs) -> Taken {
        let mut buckets = self.buckets();
        let lacking = wanted.iter().filter_map(|of| buckets.level(of, now).lacks(of.per_minute));
        if let Some(retry_after) = lacking.max() {
            return Taken::Limited { retry_after };
        }
        for of in wanted {
            buckets.take(of, now);
        }
        Taken::Yes
    }

    async fn charge(&self, wanted: &[Tokens], now: UnixMs) {
        let mut buckets = self.buckets();
        for of in wanted {
            buckets.take(of, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMs = UnixMs(1_763_622_005_000);

    fn address(hash: u64) -> Tokens {
        Tokens { bucket: Bucket::Address { project_id: 7, hash }, per_minute: 1, tokens: 1 }
    }

    fn held(tokens: &LocalRateTokens) -> usize {
        let buckets = tokens.buckets();
        buckets.addresses.young.len() + buckets.addresses.old.len()
    }

    async fn is_let_in(tokens: &LocalRateTokens, of: Tokens, now: UnixMs) -> bool {
        tokens.take(&[of], now).await == Taken::Yes
    }

    #[tokio::test]
    async fn half_a_million_addresses_that_are_all_limited_stay_within_bounds() {
        let tokens = LocalRateTokens::new();
        let deep = |hash| Tokens { tokens: 100, ..address(hash) };
        for hash in 0..500_000 {
            assert!(is_let_in(&tokens, deep(hash), NOW).await);
        }
        assert!(held(&tokens) <= ADDRESSES_MAX, "{}", held(&tokens));
        let last_ones = 500_000 - u64::try_from(ADDRESSES_MAX / 2).unwrap();
        for hash in last_ones..500_000 {
            assert!(!is_let_in(&tokens, deep(hash), NOW).await, "{hash} is forgotten");
        }
    }

    #[tokio::test]
    async fn a_flood_of_addresses_does_not_reset_a_project() {
        let tokens = LocalRateTokens::with_addresses_max(100);
        let project = Tokens { bucket: Bucket::Project(7), per_minute: 1, tokens: 1 };
        assert!(is_let_in(&tokens, project, NOW).await);
        for hash in 0..10_000 {
            tokens.charge(&[address(hash)], NOW).await;
        }
        assert!(!is_let_in(&tokens, project, NOW).await);
    }

    #[tokio::test]
    async fn an_address_in_use_outlives_the_flood_that_makes_others_forgotten() {
        let tokens = LocalRateTokens::with_addresses_max(100);
        tokens.charge(&[Tokens { tokens: 5, ..address(0) }], NOW).await;
        for hash in 1..10_000 {
            tokens.charge(&[address(hash)], NOW).await;
            tokens.charge(&[Tokens { tokens: 0, ..address(0) }], NOW).await;
        }
        assert!(!is_let_in(&tokens, address(0), NOW).await);
        assert!(held(&tokens) <= 100);
    }

    #[tokio::test]
    async fn what_is_full_again_is_dropped() {
        let tokens = LocalRateTokens::new();
        for hash in 0..1_000 {
            tokens.charge(&[address(hash)], NOW).await;
        }
        let full_after_ms = i64::try_from(FULL_AFTER.as_millis()).unwrap();
        for turn in 1..=2 {
            tokens.charge(&[address(2_000)], UnixMs(NOW.0 + turn * full_after_ms)).await;
        }
        assert_eq!(held(&tokens), 2, "one address, in both generations");
    }

    #[tokio::test]
    async fn a_clock_set_back_does_not_keep_generations_for_ever() {
        let tokens = LocalRateTokens::new();
        tokens.charge(&[address(1)], UnixMs(NOW.0 + 365 * 86_400_000)).await;
        let full_after_ms = i64::try_from(FULL_AFTER.as_millis()).unwrap();
        for turn in 0..=2 {
            tokens.charge(&[address(2)], UnixMs(NOW.0 + turn * full_after_ms)).await;
        }
        assert_eq!(held(&tokens), 2);
    }
}
