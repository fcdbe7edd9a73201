//! What a collector's answer means for the events of the envelope that it answers.

use super::limits::{BACKOFF_FIRST_MS, BACKOFF_MAX_MS, RETRY_AFTER_MAX_S};

/// A collector's answer, or the lack of one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status; 0 where no answer came.
    pub status: u16,
    /// Whether the body is a collector's: JSON that says how many were accepted.
    pub acknowledged: bool,
    /// Seconds of `Retry-After`; 0 where there was none.
    pub retry_after_s: u32,
}

/// What becomes of the events of an answered envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The collector has them: delete them.
    Forget,
    /// This body can never work: delete and count them.
    Drop,
    /// Too large: send less at a time, and drop a single event that is too large.
    Halve,
    /// Wrong key or origin: send nothing more from this page, and keep what is stored.
    Stop,
    /// Not now: keep them and try again later.
    Keep,
}

impl Answer {
    /// Says what this answer means.
    ///
    /// A 2xx without a collector's JSON is somebody else's page (a captive portal, a misplaced proxy)
    /// and acknowledges nothing.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self.status {
            200..=299 if self.acknowledged => Verdict::Forget,
            400 | 415 | 422 => Verdict::Drop,
            413 => Verdict::Halve,
            401 | 403 => Verdict::Stop,
            _ => Verdict::Keep,
        }
    }

    /// Milliseconds that the collector asked to wait; 0 where it did not.
    #[must_use]
    pub fn retry_after_ms(&self) -> u64 {
        u64::from(self.retry_after_s).min(RETRY_AFTER_MAX_S) * 1_000
    }
}

/// Milliseconds to wait after `failures` failures in a row (at least one). `dice` is a random byte:
/// tabs that failed together must not come back together.
#[must_use]
pub(crate) fn backoff_ms(failures: u32, dice: u8) -> u64 {
    let doubled = BACKOFF_FIRST_MS << failures.saturating_sub(1).min(6);
    let half = doubled.min(BACKOFF_MAX_MS) / 2;
    half + half * u64::from(dice) / 255
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(status: u16) -> Verdict {
        Answer { status, acknowledged: true, retry_after_s: 0 }.verdict()
    }

    #[test]
    fn every_answer_of_the_contract_has_its_meaning() {
        assert_eq!(verdict(202), Verdict::Forget);
        for permanent in [400, 415, 422] {
            assert_eq!(verdict(permanent), Verdict::Drop);
        }
        assert_eq!(verdict(413), Verdict::Halve);
        assert_eq!((verdict(401), verdict(403)), (Verdict::Stop, Verdict::Stop));
        for transient in [0, 301, 404, 408, 429, 500, 502, 503, 504] {
            assert_eq!(verdict(transient), Verdict::Keep, "{transient}");
        }
    }

    #[test]
    fn success_without_our_json_is_no_answer() {
        let portal = Answer { status: 200, acknowledged: false, retry_after_s: 0 };
        assert_eq!(portal.verdict(), Verdict::Keep);
    }

    #[test]
    fn pauses_double_up_to_a_bound_and_are_jittered_by_half() {
        assert_eq!((backoff_ms(1, 0), backoff_ms(1, 255)), (500, 1_000));
        assert_eq!((backoff_ms(3, 0), backoff_ms(3, 255)), (2_000, 4_000));
        assert_eq!((backoff_ms(60, 0), backoff_ms(60, 255)), (30_000, BACKOFF_MAX_MS));
    }

    #[test]
    fn retry_after_is_obeyed_within_reason() {
        let busy = |retry_after_s| Answer { status: 503, acknowledged: false, retry_after_s };
        assert_eq!(busy(7).retry_after_ms(), 7_000);
        assert_eq!(busy(u32::MAX).retry_after_ms(), RETRY_AFTER_MAX_S * 1_000);
    }
}
