//! The arithmetic of one bucket, in one place for both backends: Rust for the local one, and the numbers that
//! the script in Redis is given.

use std::time::Duration;

use tallymark_protocol::UnixMs;

/// How deep a debt may be, in minutes' worth of the limit. A client that once sent far more than its limit is shut
/// out for at most this long; what it owes beyond is forgiven.
pub const DEBT_MINUTES_MAX: u32 = 5;

/// How far a clock may step back while a level waits for it. Answers that overtake each other are milliseconds apart;
/// a clock that was set back is believed at once, or nothing would be refilled until it has caught up.
pub(super) const STEP_BACK_MAX: Duration = Duration::from_secs(1);

/// A token that is there but for rounding is there.
pub(super) const ROUNDING: f64 = 1e-6;

/// After this long without use a bucket is full, however deep its debt was: then it is the same as none.
pub(super) const FULL_AFTER: Duration = Duration::from_secs(60 * (1 + DEBT_MINUTES_MAX as u64));

const MINUTE_MS: f64 = 60_000.0;

/// What is in a bucket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Level {
    /// Negative: a debt.
    tokens: f64,
    at: UnixMs,
}

impl Level {
    pub(super) fn full(per_minute: u32, now: UnixMs) -> Self {
        Self { tokens: f64::from(per_minute), at: now }
    }

    /// The level as it is at `now`. Never gains from a clock that goes back.
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of days, far below 2^52")]
    pub(super) fn at(self, now: UnixMs, per_minute: u32) -> Self {
        let step_back_max = i64::try_from(STEP_BACK_MAX.as_millis()).unwrap_or(i64::MAX);
        let since = if self.at.0.saturating_sub(now.0) > step_back_max { now } else { self.at };
        let passed_ms = now.0.saturating_sub(since.0).max(0) as f64;
        let gained = passed_ms * f64::from(per_minute) / MINUTE_MS;
        Self { tokens: (self.tokens + gained).min(f64::from(per_minute)), at: since.max(now) }
    }

    /// How long until there is a token; `None` where there is one.
    pub(super) fn lacks(self, per_minute: u32) -> Option<Duration> {
        let lacking = 1.0 - self.tokens;
        // A limit of zero lets nothing in, ever; asking once a minute does no harm.
        let wait_ms = lacking * MINUTE_MS / f64::from(per_minute.max(1));
        (lacking > ROUNDING).then(|| Duration::from_secs_f64(wait_ms.ceil() / 1000.0))
    }

    /// The level after `tokens` were taken, whether they were there or not.
    pub(super) fn less(self, tokens: u32, per_minute: u32) -> Self {
        let least = -f64::from(per_minute) * f64::from(DEBT_MINUTES_MAX);
        Self { tokens: (self.tokens - f64::from(tokens)).max(least), at: self.at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMs = UnixMs(1_763_622_005_000);

    fn after(ms: i64) -> UnixMs {
        UnixMs(NOW.0 + ms)
    }

    #[test]
    fn waiting_as_long_as_was_said_is_enough_at_any_limit() {
        for per_minute in [1, 7, 60, 99_999, 12_000_000, u32::MAX] {
            let empty = Level::full(per_minute, NOW).less(per_minute, per_minute);
            let wait = empty.lacks(per_minute).expect("empty");
            let then = after(i64::try_from(wait.as_millis()).unwrap());
            assert_eq!(empty.at(then, per_minute).lacks(per_minute), None, "{per_minute}");
        }
    }

    #[test]
    fn a_clock_that_wavers_gains_nothing() {
        let mut level = Level::full(60, NOW).less(60, 60);
        for _ in 0..1_000 {
            level = level.at(after(500), 60).at(NOW, 60);
        }
        assert_eq!(level.lacks(60), Some(Duration::from_millis(500)));
    }

    #[test]
    fn a_clock_that_was_set_back_refills_from_then_on() {
        let level = Level::full(60, NOW).less(60, 60).at(after(-3_600_000), 60);
        assert_eq!(level.at(after(-3_600_000 + 1_000), 60).lacks(60), None);
    }

    #[test]
    fn the_longest_debt_is_over_when_a_bucket_counts_as_none() {
        let deepest = Level::full(10, NOW).less(u32::MAX, 10);
        let then = after(i64::try_from(FULL_AFTER.as_millis()).unwrap());
        let (refilled, full) = (deepest.at(then, 10), Level::full(10, then));
        assert!((refilled.tokens - full.tokens).abs() < ROUNDING, "{refilled:?}");
        assert!(deepest.at(UnixMs(then.0 - 1_000), 10).tokens < 10.0);
    }
}
