//! How many bytes of bodies are in memory at once, over all requests.
//!
//! Anybody may begin a body and never end it. So where there is no room left, the body that has been coming for longest
//! gives way: who sends at a usual speed is not kept out by who does not.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A body that has been coming for longer than this may have to give way. Usual ones come in milliseconds.
const SLOW_AFTER: Duration = Duration::from_secs(1);

/// How long room is waited for that others are to make.
const ROOM_TIMEOUT: Duration = Duration::from_secs(1);

/// What may be held. Clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Budget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    held: AtomicUsize,
    bytes_max: usize,
    /// Bodies that are coming in pieces, the oldest first. Never held across an await.
    coming: Mutex<BTreeMap<u64, Coming>>,
    /// The number of the next of them: none has another's, not even one that is gone.
    next: AtomicU64,
    /// Somebody holds less.
    released: Notify,
}

#[derive(Debug)]
struct Coming {
    since: Instant,
    give_way: CancellationToken,
}

/// Bytes that are held, until it is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    budget: Budget,
    bytes: usize,
}

/// A body that is coming in pieces, until it is dropped.
#[derive(Debug)]
pub(crate) struct Slow {
    budget: Budget,
    number: u64,
    give_way: CancellationToken,
}

/// More would be held than may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exhausted;

impl Budget {
    /// Nothing is held, and no more than `bytes_max` ever is.
    pub(crate) fn new(bytes_max: usize) -> Self {
        let (held, next) = (AtomicUsize::new(0), AtomicU64::new(0));
        Self(Arc::new(Shared { held, bytes_max, coming: Mutex::default(), next, released: Notify::new() }))
    }

    /// A share of nothing, to be added to as bytes come.
    pub(crate) fn share(&self) -> Held {
        Held { budget: self.clone(), bytes: 0 }
    }

    fn coming(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Coming>> {
        self.0.coming.lock().expect("nobody panics while holding the list")
    }

    /// Makes the body that has been coming for longest give way; false where none is slow.
    fn make_room(&self) -> bool {
        let mut coming = self.coming();
        let Some(oldest) = coming.first_entry().filter(|oldest| oldest.get().since.elapsed() > SLOW_AFTER)
        else {
            return false;
        };
        oldest.remove().give_way.cancel();
        true
    }
}

impl Slow {
    /// Returns when the body has to give way to others.
    pub(crate) async fn gives_way(&self) {
        self.give_way.cancelled().await;
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        self.budget.coming().remove(&self.number);
    }
}

impl Held {
    /// Holds `bytes` more. What has not come is not held: a client that announces much and sends nothing takes
    /// nothing away from others.
    pub(crate) fn add(&mut self, bytes: usize) -> Result<(), Exhausted> {
        let Shared { held, bytes_max, .. } = &*self.budget.0;
        let before = held.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > *bytes_max {
            held.fetch_sub(bytes, Ordering::Relaxed);
            return Err(Exhausted);
        }
        self.bytes += bytes;
        Ok(())
    }

    /// Holds `bytes` more, and makes slow bodies give way where there is no room.
    pub(crate) async fn add_before_slow_ones(&mut self, bytes: usize) -> Result<(), Exhausted> {
        if self.add(bytes).is_ok() {
            return Ok(());
        }
        let budget = self.budget.clone();
        let room = async {
            loop {
                let mut released = std::pin::pin!(budget.0.released.notified());
                released.as_mut().enable(); // listen first, look second
                if self.add(bytes).is_ok() {
                    return Ok(());
                }
                if !budget.make_room() {
                    return Err(Exhausted);
                }
                released.await;
            }
        };
        tokio::time::timeout(ROOM_TIMEOUT, room).await.unwrap_or(Err(Exhausted))
    }

    /// Says that the body comes in pieces: from now on it may have to give way.
    pub(crate) fn comes_slowly(&self) -> Slow {
        let (budget, give_way) = (self.budget.clone(), CancellationToken::new());
        let number = budget.0.next.fetch_add(1, Ordering::Relaxed);
        budget.coming().insert(number, Coming { since: Instant::now(), give_way: give_way.clone() });
        Slow { budget, number, give_way }
    }

    /// Holds nothing any more: the bytes are dropped, and others may come in their place.
    pub(crate) fn release(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        if bytes > 0 {
            self.budget.0.held.fetch_sub(bytes, Ordering::Relaxed);
            self.budget.0.released.notify_waiters();
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_bounded_and_given_back() {
        let budget = Budget::new(100);
        let (mut first, mut second) = (budget.share(), budget.share());
        assert_eq!(first.add(60), Ok(()));
        assert_eq!(second.add(40), Ok(()));
        assert_eq!(second.add(1), Err(Exhausted));
        drop(first);
        assert_eq!(second.add(60), Ok(()));
        assert_eq!(second.add(usize::MAX), Err(Exhausted));
        drop(second);
        assert_eq!(budget.share().add(100), Ok(()));
        assert_eq!(budget.0.held.load(Ordering::Relaxed), 0);
    }
}
