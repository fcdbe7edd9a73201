//! How many bytes of bodies are in memory at once, over all requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What may be held. Clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    held: Arc<AtomicUsize>,
    bytes_max: usize,
}

/// Bytes that are held, until it is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    budget: Budget,
    bytes: usize,
}

/// More would be held than may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exhausted;

impl Budget {
    /// Nothing is held, and no more than `bytes_max` ever is.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { held: Arc::default(), bytes_max }
    }

    /// A share of nothing, to be added to as bytes come.
    pub(crate) fn share(&self) -> Held {
        Held { budget: self.clone(), bytes: 0 }
    }
}

impl Held {
    /// Holds `bytes` more. What has not come is not held: a client that announces much and sends nothing takes
    /// nothing away from others.
    pub(crate) fn add(&mut self, bytes: usize) -> Result<(), Exhausted> {
        let before = self.budget.held.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > self.budget.bytes_max {
            self.budget.held.fetch_sub(bytes, Ordering::Relaxed);
            return Err(Exhausted);
        }
        self.bytes += bytes;
        Ok(())
    }

    /// Holds nothing any more: the bytes are dropped, and others may come in their place.
    pub(crate) fn release(&mut self) {
        self.budget.held.fetch_sub(std::mem::take(&mut self.bytes), Ordering::Relaxed);
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
        assert_eq!(budget.held.load(Ordering::Relaxed), 0);
    }
}
