//! Visits whose client made no session: the sessions that the server makes of them.

use std::fmt;

use tallymark_protocol::{DAY_MS, UnixMs};
use uuid::Uuid;

/// Namespace of the ids of sessions that the server makes; random, and never to change.
const SERVER_SESSIONS: Uuid = Uuid::from_u128(0xb7d4_6a19_0e53_4c8f_9a26_d81b_43f0_7c5e);

/// What one visitor did on one UTC day outside of any client's session.
///
/// A row of `visitor_day`, and a function of nothing but the set of the day's instants and the timeout: events only
/// ever come on top, so visits only grow and become one, whatever came first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VisitorDay {
    /// Whose.
    pub project_id: i32,
    /// The UTC day, in days since 1970-01-01, in which the events happened.
    pub day: i32,
    /// Who.
    pub visitor_id: Uuid,
    /// What the day's events come to.
    pub visits: Visits,
}

/// A visitor's day by its key, in the order of the key: project, day, visitor.
pub type VisitorDayKey = (i32, i32, Uuid);

/// Visits of one day, each from its first event to its last, in milliseconds of the day: sorted and apart. Stored as
/// text, `32400000-33000000,61200000`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Visits(Vec<(u32, u32)>);

impl VisitorDay {
    /// The day on which one event at `at` is all that happened.
    #[must_use]
    pub fn of(project_id: i32, visitor_id: Uuid, at: UnixMs) -> Self {
        let day = at.utc_day();
        let at_ms = ms_of_day(at);
        Self { project_id, day, visitor_id, visits: Visits(vec![(at_ms, at_ms)]) }
    }

    /// The row's key.
    #[must_use]
    pub fn key(&self) -> VisitorDayKey {
        (self.project_id, self.day, self.visitor_id)
    }

    /// The id of the session of an event at `at`, which is one of the day's. It is made of the session's beginning, so
    /// that it, too, is a function of the set.
    ///
    /// # Panics
    /// If nothing of the day happened at `at`.
    #[must_use]
    pub fn session_at(&self, at: UnixMs) -> Uuid {
        let at_ms = ms_of_day(at);
        let (first_ms, _) = self.visits.holding(at_ms).expect("the event is one of its visitor's day");
        self.session_from(first_ms)
    }

    /// The sessions of `before` that are no more, each with the one that it is part of now.
    pub fn moved_from<'d>(&'d self, before: &'d Self) -> impl Iterator<Item = (Uuid, Uuid)> + 'd {
        before.visits.0.iter().filter_map(|&(first_ms, _)| {
            let (begins_ms, _) = self.visits.holding(first_ms)?;
            (begins_ms != first_ms).then(|| (self.session_from(first_ms), self.session_from(begins_ms)))
        })
    }

    fn session_from(&self, first_ms: u32) -> Uuid {
        let began_at = i64::from(self.day) * DAY_MS + i64::from(first_ms);
        let mut name = Vec::with_capacity(28);
        name.extend_from_slice(&self.project_id.to_be_bytes());
        name.extend_from_slice(self.visitor_id.as_bytes());
        name.extend_from_slice(&began_at.to_be_bytes());
        Uuid::new_v5(&SERVER_SESSIONS, &name)
    }
}

fn ms_of_day(at: UnixMs) -> u32 {
    u32::try_from(at.0.rem_euclid(DAY_MS)).expect("a day has fewer milliseconds than a u32 counts")
}

impl Visits {
    /// Takes in other visits of the same day. Those that are no more than `timeout_ms` apart become one.
    pub fn merge(&mut self, other: &Self, timeout_ms: i64) {
        self.0.extend_from_slice(&other.0);
        self.0.sort_unstable();
        self.0.dedup_by(|later, earlier| {
            let joined = i64::from(later.0) - i64::from(earlier.1) <= timeout_ms;
            if joined {
                earlier.1 = earlier.1.max(later.1);
            }
            joined
        });
    }

    /// Reads the stored form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let visits = text.split(',').map(|visit| {
            let (first_ms, last_ms) = visit.split_once('-').unwrap_or((visit, visit));
            Some((first_ms.parse().ok()?, last_ms.parse().ok()?))
        });
        let visits: Vec<(u32, u32)> = visits.collect::<Option<_>>()?;
        let forward = visits.iter().all(|(first_ms, last_ms)| first_ms <= last_ms);
        (forward && visits.windows(2).all(|pair| pair[0].1 < pair[1].0)).then_some(Self(visits))
    }

    fn holding(&self, at_ms: u32) -> Option<(u32, u32)> {
        let next = self.0.partition_point(|visit| visit.0 <= at_ms);
        self.0[..next].last().copied().filter(|visit| at_ms <= visit.1)
    }
}

impl fmt::Display for Visits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (first_ms, last_ms)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{first_ms}")?;
            if first_ms != last_ms {
                write!(f, "-{last_ms}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{Strategy, prop, proptest};

    const TIMEOUT_MS: i64 = 1_800_000;
    const VISITOR: Uuid = Uuid::from_u128(5);

    fn of(instants_ms: &[i64]) -> VisitorDay {
        let mut instants = instants_ms.iter().map(|at| VisitorDay::of(1, VISITOR, UnixMs(*at)));
        let mut day = instants.next().expect("some instant");
        instants.for_each(|other| day.visits.merge(&other.visits, TIMEOUT_MS));
        day
    }

    fn after(before: &VisitorDay, instants_ms: &[i64]) -> VisitorDay {
        let mut day = before.clone();
        day.visits.merge(&of(instants_ms).visits, TIMEOUT_MS);
        day
    }

    #[test]
    fn a_gap_of_the_timeout_stays_within_a_visit_and_a_longer_one_ends_it() {
        assert_eq!(of(&[0, TIMEOUT_MS]).visits.to_string(), "0-1800000");
        assert_eq!(of(&[0, TIMEOUT_MS + 1]).visits.to_string(), "0,1800001");
    }

    #[test]
    fn an_event_between_two_visits_makes_one_of_them() {
        let before = of(&[0, 10, 3_000_000, 3_000_007, 9_000_000]);
        assert_eq!(before.visits.to_string(), "0-10,3000000-3000007,9000000");
        let day = after(&before, &[1_500_000]);
        assert_eq!(day.visits.to_string(), "0-3000007,9000000");
        let moved: Vec<_> = day.moved_from(&before).collect();
        assert_eq!(moved, [(before.session_at(UnixMs(3_000_000)), before.session_at(UnixMs(0)))]);
    }

    #[test]
    fn an_earlier_event_moves_its_visit_and_a_later_one_does_not() {
        let before = of(&[5_000_000, 40_000_000]);
        let later = after(&before, &[5_000_001]);
        assert_eq!(later.moved_from(&before).count(), 0);
        assert_eq!(later.session_at(UnixMs(5_000_001)), before.session_at(UnixMs(5_000_000)));
        let earlier = after(&before, &[4_999_999]);
        let moved: Vec<_> = earlier.moved_from(&before).collect();
        assert_eq!(moved, [(before.session_at(UnixMs(5_000_000)), earlier.session_at(UnixMs(4_999_999)))]);
    }

    #[test]
    fn a_longer_visit_takes_in_those_within_it() {
        let mut visits = Visits(vec![(0, 9_000_000)]);
        visits.merge(&Visits(vec![(1, 2), (4, 5)]), 0);
        assert_eq!(visits.to_string(), "0-9000000");
    }

    #[test]
    fn days_before_1970_have_their_milliseconds_too() {
        let day = VisitorDay::of(1, VISITOR, UnixMs(-1));
        assert_eq!((day.day, day.visits.to_string().as_str()), (-1, "86399999"));
    }

    #[test]
    fn what_is_no_list_of_visits_is_not_read() {
        for text in ["", "x", "5-4", "1-3,3", "4,2", "1,", "-1"] {
            assert_eq!(Visits::parse(text), None, "{text:?}");
        }
    }

    /// The rule, said another way: sort the instants; a gap longer than the timeout begins the next visit.
    fn by_gaps(instants_ms: &[i64]) -> Visits {
        let mut sorted = instants_ms.to_vec();
        sorted.sort_unstable();
        let visits = sorted.chunk_by(|a, b| b - a <= TIMEOUT_MS);
        Visits(visits.map(|visit| (ms(visit[0]), ms(visit[visit.len() - 1]))).collect())
    }

    fn ms(at: i64) -> u32 {
        u32::try_from(at).expect("within the day")
    }

    fn instants() -> impl Strategy<Value = Vec<i64>> {
        prop::collection::vec(0..DAY_MS / 4, 1..40)
    }

    proptest! {
        #[test]
        fn any_order_and_split_gives_the_visits_of_the_set(instants in instants(), at in 0_usize..40) {
            let day = of(&instants);
            proptest::prop_assert_eq!(&day.visits, &by_gaps(&instants));
            proptest::prop_assert_eq!(Visits::parse(&day.visits.to_string()), Some(day.visits.clone()));
            let split = at % instants.len();
            if split > 0 {
                let parts = after(&of(&instants[split..]), &instants[..split]);
                proptest::prop_assert_eq!(&parts, &day);
            }
        }

        #[test]
        fn every_event_is_in_the_session_that_its_old_one_moved_to(old in instants(), new in instants()) {
            let before = of(&old);
            let day = after(&before, &new);
            let moved: std::collections::HashMap<_, _> = day.moved_from(&before).collect();
            for at in old.into_iter().map(UnixMs) {
                let was = before.session_at(at);
                proptest::prop_assert_eq!(day.session_at(at), moved.get(&was).copied().unwrap_or(was));
            }
        }
    }
}
