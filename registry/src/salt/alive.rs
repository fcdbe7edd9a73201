//! The salts in memory, and when which of them is due.

use std::sync::RwLock;
use std::time::Duration;

use tallymark_protocol::{DAY_MS, UnixMs};

use super::{Now, Salt};

/// How long a salt lives after its day has ended.
pub const LIVES_ON: Duration = Duration::from_secs(2 * 3600);

/// Yesterday's, today's, tomorrow's; and one more for a clock that is being set.
const SLOTS: usize = 4;

/// Salts that are known and not dead.
pub(super) struct Alive {
    now: Now,
    /// In slots, so that a salt stays where it is until it is overwritten. Locked for as long as copying takes, never
    /// across an await.
    slots: RwLock<[Option<(i32, Salt)>; SLOTS]>,
}

impl Alive {
    pub(super) fn new(now: Now) -> Self {
        Self { now, slots: RwLock::default() }
    }

    /// The day that it is.
    pub(super) fn today(&self) -> i32 {
        (self.now)().utc_day()
    }

    /// How long the salt of `day` has to live; `None` when it is to be dead.
    pub(super) fn lives_for(&self, day: i32) -> Option<Duration> {
        let lives_on_ms = i64::try_from(LIVES_ON.as_millis()).unwrap_or(i64::MAX);
        let UnixMs(now_ms) = (self.now)();
        let left_ms = ((i64::from(day) + 1) * DAY_MS + lives_on_ms).saturating_sub(now_ms);
        u64::try_from(left_ms).ok().filter(|left_ms| *left_ms > 0).map(Duration::from_millis)
    }

    /// The salt of `day`, unless it is to be dead: whoever asks is not to depend on [`Self::forget_dead`] having run.
    pub(super) fn salt(&self, day: i32) -> Option<Salt> {
        self.lives_for(day)?;
        let slots = self.slots.read().expect("nobody panics while holding the salts");
        slots.iter().flatten().find(|(known, _)| *known == day).map(|(_, salt)| salt.clone())
    }

    /// Remembers the salt of `day`; true where that is news.
    pub(super) fn learn(&self, day: i32, salt: Salt) -> bool {
        if self.salt(day).as_ref() == Some(&salt) {
            return false;
        }
        let mut slots = self.slots.write().expect("nobody panics while holding the salts");
        let of_this_day = slots.iter().position(|slot| slot.as_ref().is_some_and(|(known, _)| *known == day));
        let free = || slots.iter().position(Option::is_none);
        // Without a free one, that of the earliest day.
        let earliest = || slots.iter().enumerate().min_by_key(|(_, slot)| slot.as_ref().map(|(day, _)| *day));
        let index = of_this_day.or_else(free).or_else(|| earliest().map(|(index, _)| index));
        slots[index.expect("there are slots")] = Some((day, salt));
        true
    }

    /// Destroys what is to be dead, and says of which days.
    pub(super) fn forget_dead(&self) -> Vec<i32> {
        let mut slots = self.slots.write().expect("nobody panics while holding the salts");
        let mut dead = Vec::new();
        for slot in slots.iter_mut() {
            if let Some((day, _)) = slot
                && self.lives_for(*day).is_none()
            {
                dead.push(*day);
                *slot = None; // dropping a salt overwrites it
            }
        }
        dead
    }

    /// Every salt that is known, with its day.
    pub(super) fn all(&self) -> Vec<(i32, Salt)> {
        self.slots.read().expect("nobody panics while holding the salts").iter().flatten().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    const DAY: i32 = 20_412;

    fn at(clock: &Arc<AtomicI64>) -> Alive {
        let clock = Arc::clone(clock);
        Alive::new(Arc::new(move || UnixMs(clock.load(Ordering::Relaxed))))
    }

    #[test]
    fn a_salt_lives_for_its_day_and_two_hours_to_the_millisecond() {
        let noon = i64::from(DAY) * DAY_MS + DAY_MS / 2;
        let clock = Arc::new(AtomicI64::new(noon));
        let alive = at(&clock);
        assert!(alive.learn(DAY, Salt([1; 32])));
        assert!(!alive.learn(DAY, Salt([1; 32])), "no news");
        let dies_at = (i64::from(DAY) + 1) * DAY_MS + 2 * 3_600_000;
        clock.store(dies_at - 1, Ordering::Relaxed);
        assert_eq!(alive.salt(DAY), Some(Salt([1; 32])));
        assert!(alive.forget_dead().is_empty());
        clock.store(dies_at, Ordering::Relaxed);
        assert_eq!(alive.salt(DAY), None, "before anybody cleared up");
        assert_eq!(alive.forget_dead(), [DAY]);
        assert!(alive.all().is_empty());
        clock.store(noon, Ordering::Relaxed);
        assert_eq!(alive.salt(DAY), None, "a clock that is set back revives nothing");
    }

    #[test]
    fn more_days_than_slots_push_the_earliest_out() {
        let clock = Arc::new(AtomicI64::new(i64::from(DAY) * DAY_MS));
        let alive = at(&clock);
        for day in DAY..=DAY + 4 {
            alive.learn(day, Salt([1; 32]));
        }
        assert_eq!(alive.salt(DAY), None);
        assert!((DAY + 1..=DAY + 4).all(|day| alive.salt(day).is_some()));
    }
}
