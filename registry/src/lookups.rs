//! Looking up keys that are not in memory: mostly made-up ones, of strangers.

use std::collections::HashMap;
use std::future::Future;
use std::mem;
use std::sync::RwLock;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

/// How long "no project has this key" is believed: a new project is usable almost at once, and a page
/// with a wrong key costs one lookup in this time.
pub const UNKNOWN_FOR: Duration = Duration::from_secs(2);

/// How long a lookup may take; then the registry cannot say.
pub(crate) const LOOKUP_TIMEOUT: Duration = Duration::from_secs(2);

/// Lookups of unknown keys at once. They are strangers' requests: whoever is asked has better things to do.
const LOOKUPS_MAX: usize = 4;

/// Unknown keys remembered. Of more than these the earliest are looked up again, few at once.
const UNKNOWN_MAX: usize = 10_000;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Lets few lookups through at once, and remembers which keys nobody had.
pub(crate) struct Lookups {
    turns: Semaphore,
    /// Never held across an await.
    unknown: RwLock<Unknown>,
}

/// In two generations, so that forgetting is not a walk over all of them at each new one.
struct Unknown {
    young: HashMap<String, Instant>,
    old: HashMap<String, Instant>,
    young_since: Instant,
}

impl Lookups {
    pub(crate) fn new() -> Self {
        let unknown = Unknown { young: HashMap::new(), old: HashMap::new(), young_since: Instant::now() };
        Self { turns: Semaphore::new(LOOKUPS_MAX), unknown: RwLock::new(unknown) }
    }

    /// Looks up when it is its turn; the wait is part of the time that it may take.
    pub(crate) async fn in_turn<T>(
        &self,
        lookup: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let turn = async {
            let _turn = self.turns.acquire().await?;
            lookup.await
        };
        tokio::time::timeout(LOOKUP_TIMEOUT, turn).await?
    }

    pub(crate) fn is_surely_unknown(&self, write_key: &str) -> bool {
        let unknown = self.unknown.read().expect("nobody panics while holding the keys");
        let asked_at = unknown.young.get(write_key).or_else(|| unknown.old.get(write_key));
        asked_at.is_some_and(|asked_at| asked_at.elapsed() < UNKNOWN_FOR)
    }

    pub(crate) fn remember_unknown(&self, write_key: &str) {
        let mut unknown = self.unknown.write().expect("nobody panics while holding the keys");
        if unknown.young_since.elapsed() >= UNKNOWN_FOR || unknown.young.len() >= UNKNOWN_MAX / 2 {
            unknown.old = mem::take(&mut unknown.young);
            unknown.young_since = Instant::now();
        }
        unknown.young.insert(write_key.to_owned(), Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_made_up_keys_is_forgotten_and_keeps_to_its_bounds() {
        let lookups = Lookups::new();
        for key in 0..100_000 {
            lookups.remember_unknown(&key.to_string());
        }
        assert!(lookups.is_surely_unknown("99999"));
        assert!(!lookups.is_surely_unknown("0"), "forgotten, not remembered without bound");
        {
            let unknown = lookups.unknown.read().unwrap();
            assert!(unknown.young.len() + unknown.old.len() <= UNKNOWN_MAX);
        }
        tokio::time::advance(UNKNOWN_FOR).await;
        assert!(!lookups.is_surely_unknown("99999"));
    }

    /// Counted until it is dropped.
    struct Asked<'a>(&'a AtomicUsize);

    impl<'a> Asked<'a> {
        fn count(at_once: &'a AtomicUsize, most: &AtomicUsize) -> Self {
            most.fetch_max(at_once.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            Self(at_once)
        }
    }

    impl Drop for Asked<'_> {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::Relaxed);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn few_are_asked_at_once_and_nobody_waits_long() {
        let lookups = Lookups::new();
        let (at_once, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let silent = || {
            lookups.in_turn(async {
                let _asked = Asked::count(&at_once, &most);
                std::future::pending::<Result<(), Error>>().await
            })
        };
        let started = Instant::now();
        let (a, b, c, d, e) = tokio::join!(silent(), silent(), silent(), silent(), silent());
        assert!([a, b, c, d, e].iter().all(Result::is_err));
        assert_eq!(most.load(Ordering::Relaxed), LOOKUPS_MAX);
        assert!(started.elapsed() <= LOOKUP_TIMEOUT + Duration::from_millis(10));
    }
}
