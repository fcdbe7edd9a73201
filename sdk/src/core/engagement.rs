//! How long a view was looked at: visible time with signs of life.

use super::limits::ENGAGED_IDLE_MS;

/// The engaged time of the stretches for which one view was visible.
///
/// Each stretch ends with one `$pageleave`; a view that was never visible has none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Engagement {
    visible: bool,
    engaged_ms: u64,
    /// Start of the time not counted yet.
    since: u64,
    /// Last sign of life.
    active_at: u64,
}

impl Engagement {
    /// The view is visible from `now` on, if it was not already.
    pub fn show(&mut self, now: u64) {
        if !self.visible {
            *self = Self { visible: true, engaged_ms: 0, since: now, active_at: now };
        }
    }

    /// The visitor did something at `now`.
    pub fn note_activity(&mut self, now: u64) {
        self.count(now);
        self.active_at = now;
    }

    /// The view is hidden or left at `now`; the engaged milliseconds of the stretch that ends, `None` where
    /// none was going on, or it had no time to be seen.
    pub fn leave(&mut self, now: u64) -> Option<u64> {
        if !self.visible {
            return None;
        }
        self.count(now);
        self.visible = false;
        (self.engaged_ms > 0).then_some(self.engaged_ms)
    }

    fn count(&mut self, now: u64) {
        let until = now.min(self.active_at + ENGAGED_IDLE_MS);
        self.engaged_ms += until.saturating_sub(self.since);
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visible_time_counts_while_there_are_signs_of_life() {
        let mut view = Engagement::default();
        view.show(1_000);
        view.note_activity(21_000);
        view.note_activity(41_000);
        assert_eq!(view.leave(51_000), Some(50_000));
    }

    #[test]
    fn a_forgotten_page_counts_only_until_idle() {
        let mut view = Engagement::default();
        view.show(0);
        view.note_activity(600_000);
        assert_eq!(view.leave(601_000), Some(ENGAGED_IDLE_MS + 1_000));
    }

    #[test]
    fn each_visible_stretch_is_left_once() {
        let mut view = Engagement::default();
        assert_eq!(view.leave(5), None);
        view.show(10);
        assert_eq!((view.leave(30), view.leave(40)), (Some(20), None));
        view.show(50);
        assert_eq!(view.leave(51), Some(1));
    }
}
