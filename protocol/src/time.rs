//! Instants as the wire and the stores hold them.

use crate::limits;

/// Milliseconds of an hour.
pub const HOUR_MS: i64 = 3_600_000;
/// Milliseconds of a day.
pub const DAY_MS: i64 = 24 * HOUR_MS;

/// An instant in Unix milliseconds, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "decode", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct UnixMs(pub i64);

impl UnixMs {
    /// Days since 1970-01-01 of the UTC day that holds this instant.
    #[must_use]
    pub fn utc_day(self) -> i32 {
        // An i64 of milliseconds spans more days than an i32 holds; times are checked long before.
        i32::try_from(self.0.div_euclid(DAY_MS)).unwrap_or(if self.0 < 0 { i32::MIN } else { i32::MAX })
    }

    /// The start of this instant's UTC hour.
    #[must_use]
    pub fn utc_hour(self) -> Self {
        Self(self.0.div_euclid(HOUR_MS) * HOUR_MS)
    }

    /// What a client's `self` was by the collector's clock, when the client sent at `sent_at` (its
    /// clock) what arrived at `received_at` (the collector's). Moved only when the two differ by more than
    /// [`limits::CLOCK_SKEW_MS_MAX`]; never later than `received_at`.
    #[must_use]
    pub fn corrected(self, sent_at: Option<Self>, received_at: Self) -> Self {
        let skew_ms = sent_at.map_or(0, |sent| received_at.0.saturating_sub(sent.0));
        let moved = if skew_ms.saturating_abs() > limits::CLOCK_SKEW_MS_MAX {
            self.0.saturating_add(skew_ms)
        } else {
            self.0
        };
        Self(moved.min(received_at.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_differences_are_the_networks_and_stay() {
        assert_eq!(UnixMs(1_000).corrected(Some(UnixMs(2_000)), UnixMs(61_000)), UnixMs(1_000));
    }

    #[test]
    fn a_clock_an_hour_behind_is_moved_forward() {
        let received = UnixMs(10 * HOUR_MS);
        let sent = UnixMs(9 * HOUR_MS);
        assert_eq!(UnixMs(8 * HOUR_MS).corrected(Some(sent), received), UnixMs(9 * HOUR_MS));
    }

    #[test]
    fn nothing_happens_after_it_was_received() {
        assert_eq!(UnixMs(90_000).corrected(None, UnixMs(80_000)), UnixMs(80_000));
    }

    #[test]
    fn absurd_clocks_do_not_overflow() {
        let received = UnixMs(10 * HOUR_MS);
        assert_eq!(UnixMs(i64::MAX).corrected(Some(UnixMs(i64::MIN)), received), received);
        assert_eq!(UnixMs(i64::MIN).utc_day(), i32::MIN);
    }

    #[test]
    fn a_day_before_the_epoch_is_minus_one() {
        assert_eq!(UnixMs(-1).utc_day(), -1);
        assert_eq!(UnixMs(DAY_MS).utc_day(), 1);
    }
}
