//! Whether the queue is full, for who asks without appending.

use std::sync::atomic::{AtomicU64, Ordering};

/// Whether the queue has refused an envelope because it is full, and nothing says that it is not any more.
///
/// It cannot be seen by appends alone: who is not ready is sent none.
pub(crate) struct Fullness(AtomicU64);

impl Fullness {
    const NOT_FULL: u64 = u64::MAX;
    /// Full, at a backlog that nobody has looked at yet.
    const SOMEWHERE: u64 = u64::MAX - 1;

    /// An envelope was refused.
    pub(crate) fn begin(&self) {
        let _ =
            self.0.compare_exchange(Self::NOT_FULL, Self::SOMEWHERE, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// An envelope was taken.
    pub(crate) fn end(&self) {
        if self.0.load(Ordering::Relaxed) != Self::NOT_FULL {
            self.0.store(Self::NOT_FULL, Ordering::Relaxed);
        }
    }

    /// Whether it is still full when this much waits: it is, until a tenth of what waited has gone.
    pub(crate) fn holds_at(&self, backlog_bytes: u64) -> bool {
        match self.0.load(Ordering::Relaxed) {
            Self::NOT_FULL => false,
            Self::SOMEWHERE => {
                self.0.store(backlog_bytes, Ordering::Relaxed);
                true
            }
            full_at if backlog_bytes > full_at - full_at / 10 => true,
            _ => {
                self.end();
                false
            }
        }
    }
}

impl Default for Fullness {
    fn default() -> Self {
        Self(AtomicU64::new(Self::NOT_FULL))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_is_full_until_something_is_taken_or_a_tenth_has_gone() {
        let fullness = Fullness::default();
        assert!(!fullness.holds_at(1_000));
        fullness.begin();
        assert!(fullness.holds_at(1_000) && fullness.holds_at(901));
        assert!(!fullness.holds_at(900) && !fullness.holds_at(1_000));
        fullness.begin();
        assert!(
            fullness.holds_at(0),
            "refused beside a backlog of nothing: an envelope larger than the bound"
        );
        fullness.end();
        assert!(!fullness.holds_at(1_000));
    }
}
