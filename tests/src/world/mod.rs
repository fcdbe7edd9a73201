//! A seeded world: visitors who do things, requests that tell of them, and the numbers that must come out.
//!
//! The numbers come from the plan alone ([`Expected`]): from what the world decided, by rules that are
//! written here a second time. A world is as of [`Shape::now_ms`]; nothing in it happens later.

mod dice;
mod expected;
mod fact;
mod ids;
mod plan;
mod refused;
mod scenery;
mod send;
mod sessions;
mod visits;

use tallymark_queue::QueuedEnvelope;

pub use dice::Dice;
pub use expected::{
    Expected, ExpectedEvent, ExpectedRollups, ExpectedRow, ExpectedSession, Grain, buckets_of,
};
pub use send::Request;

use send::Item;
use visits::Sessionless;

/// Milliseconds of an hour.
const HOUR_MS: i64 = 3_600_000;

/// 2026-10-28 03:00 UTC: three days after the clocks of Europe went back.
pub const NOW_MS: i64 = 1_793_156_400_000;

/// How much of what happens in a world.
#[derive(Clone, Debug)]
pub struct Shape {
    /// When it is, in Unix milliseconds.
    pub now_ms: i64,
    /// Projects, in time zones of their own.
    pub projects: usize,
    /// Visitors of each project.
    pub visitors: usize,
    /// Visitors of each project whose clients make no sessions.
    pub sessionless: usize,
    /// Events of such a visitor, at most.
    pub visits_events_max: usize,
    /// Sessions of a visitor, at most.
    pub sessions_max: usize,
    /// Pages of a session, at most.
    pub pages_max: usize,
    /// Events that a project's backend sends, at most.
    pub backend_events_max: usize,
    /// Events of a request, at most.
    pub envelope_events_max: usize,
    /// Days over which it all happens.
    pub days: i64,
    /// How many requests are repeated, and how many events are in two of them.
    pub repeat_percent: usize,
    /// How many requests come late.
    pub late_percent: usize,
    /// How many events must be refused.
    pub bad_percent: usize,
    /// How many numbers of tabs are never sent.
    pub lost_percent: usize,
    /// Whether some clocks are hours wrong.
    pub wrong_clocks: bool,
    /// Whether it is known where senders are: not where a real collector takes everything from one address.
    pub located: bool,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            now_ms: NOW_MS,
            projects: 3,
            visitors: 30,
            sessionless: 8,
            visits_events_max: 30,
            sessions_max: 4,
            pages_max: 6,
            backend_events_max: 12,
            envelope_events_max: 12,
            days: 12,
            repeat_percent: 20,
            late_percent: 25,
            bad_percent: 4,
            lost_percent: 4,
            wrong_clocks: true,
            located: true,
        }
    }
}

impl Shape {
    /// A world that is over in a moment, for tests that make many.
    #[must_use]
    pub fn small() -> Self {
        Self {
            projects: 2,
            visitors: 4,
            sessionless: 3,
            visits_events_max: 12,
            sessions_max: 2,
            pages_max: 4,
            envelope_events_max: 4,
            ..Self::default()
        }
    }

    fn spot(&self, dice: &mut Dice) -> &'static scenery::Spot {
        if self.located { dice.pick(&scenery::SPOTS) } else { &scenery::NOWHERE }
    }

    fn span_ms(&self) -> i64 {
        self.days * 24 * HOUR_MS
    }

    /// An instant around which much happens: with [`NOW_MS`], a change of the clocks.
    fn focus_ms(&self) -> i64 {
        self.now_ms - 74 * HOUR_MS
    }
}

/// A project of the world.
#[derive(Clone, Debug)]
pub struct Project {
    /// Its name.
    pub name: String,
    /// IANA name.
    pub time_zone: &'static str,
    /// Minutes without an event after which a visit ends whose client made no session.
    pub session_timeout_minutes: i32,
    /// Whether addresses are stored with the events.
    pub keeps_addresses: bool,
}

impl Project {
    fn session_timeout_ms(&self) -> i64 {
        i64::from(self.session_timeout_minutes) * 60_000
    }
}

/// Whether the project at this place keeps addresses.
fn keeps_addresses(project: usize) -> bool {
    project % 3 == 1
}

/// All that is sent, and what it comes to.
#[derive(Clone, Debug)]
pub struct World {
    /// The projects.
    pub projects: Vec<Project>,
    /// Every request, in the order in which they come to be counted: any.
    pub requests: Vec<Request>,
    /// Requests (by place) whose entries the queue delivers once more.
    pub redelivered: Vec<usize>,
}

impl World {
    /// Makes the world of `seed`.
    #[must_use]
    pub fn generate(seed: u64, shape: &Shape) -> Self {
        let mut world = Self { projects: Vec::new(), requests: Vec::new(), redelivered: Vec::new() };
        let mut dice = Dice::new(seed);
        for project in 0..shape.projects {
            let time_zone = scenery::ZONES[project % scenery::ZONES.len()];
            world.projects.push(Project {
                name: format!("project {project}"),
                time_zone,
                session_timeout_minutes: scenery::TIMEOUTS_MINUTES[project % scenery::TIMEOUTS_MINUTES.len()],
                keeps_addresses: keeps_addresses(project),
            });
            for number in 0..shape.visitors {
                // The first visitor is the same in every project: same ids of device, session, tabs and events.
                let own = if number == 0 { Dice::new(seed ^ 1) } else { Dice::new(dice.roll()) };
                let sender = plan::visitor(shape, own, project, number);
                world.requests.extend(send::requests(shape, &mut dice, project, sender));
            }
            let timeout_ms = world.projects[project].session_timeout_ms();
            for number in 0..shape.sessionless {
                let own = Dice::new(dice.roll());
                let sender = visits::visitor(shape, own, Sessionless { project, number, timeout_ms });
                world.requests.extend(send::requests(shape, &mut dice, project, sender));
            }
            let sender = plan::backend(shape, Dice::new(dice.roll()), project);
            world.requests.extend(send::requests(shape, &mut dice, project, sender));
        }
        dice.shuffle(&mut world.requests);
        let again = (0..world.requests.len()).filter(|_| dice.percent(shape.repeat_percent));
        world.redelivered = again.collect();
        world
    }

    /// The entries that processors are delivered: one a request, and some twice. `project_ids` are the ids that
    /// the projects have in the store.
    #[must_use]
    pub fn queued(&self, project_ids: &[i32]) -> Vec<QueuedEnvelope> {
        let again = self.redelivered.iter().map(|place| &self.requests[*place]);
        self.requests
            .iter()
            .chain(again)
            .map(|request| request.queued(project_ids[request.project]))
            .collect()
    }

    /// What must come out for the project at `project`, whose id in the store is `project_id`.
    #[must_use]
    pub fn expected(&self, project: usize, project_id: i32) -> Expected {
        let requests = self.requests.iter().filter(|request| request.project == project);
        expected::of(requests, &self.projects[project], project_id)
    }
}

impl Request {
    fn facts(&self) -> impl Iterator<Item = &fact::Fact> {
        self.items.iter().filter_map(|item| match item {
            Item::Good(fact) => Some(&**fact),
            Item::Bad(_) => None,
        })
    }

    fn bad(&self) -> impl Iterator<Item = &fact::BadEvent> {
        self.items.iter().filter_map(|item| match item {
            Item::Bad(bad) => Some(bad),
            Item::Good(_) => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use tallymark_protocol::DiscardReason;

    use super::*;

    /// Whether a project's settings refuse the event, which a collector applies: no event is so by itself.
    fn is_of_settings(reason: DiscardReason) -> bool {
        use DiscardReason::{
            EventSourceOff, QuotaExceeded, ShieldedAddress, ShieldedHostname, ShieldedPath, ShieldedUserAgent,
        };
        let shields = [ShieldedAddress, ShieldedHostname, ShieldedPath, ShieldedUserAgent];
        [QuotaExceeded, EventSourceOff].contains(&reason) || shields.contains(&reason)
    }

    #[test]
    fn the_same_seed_gives_the_same_world() {
        let (one, other) = (World::generate(3, &Shape::default()), World::generate(3, &Shape::default()));
        assert_eq!(format!("{one:?}"), format!("{other:?}"));
        let third = World::generate(4, &Shape::default());
        assert_ne!(format!("{one:?}"), format!("{third:?}"));
    }

    /// Visits whose sessions are the server's: pauses of the timeout and of a millisecond less or
    /// more, and events beside midnight.
    #[test]
    fn a_world_has_visits_that_only_time_sets_apart() {
        let world = World::generate(1, &Shape::default());
        for (place, project) in world.projects.iter().enumerate() {
            let of_project = || world.requests.iter().filter(|request| request.project == place);
            let mut days: BTreeMap<(&str, i64), BTreeSet<i64>> = BTreeMap::new();
            for fact in of_project().flat_map(Request::facts).filter(|fact| fact.session.is_none()) {
                let Some(visitor) = &fact.visitor else { continue };
                let day = fact.at_ms.div_euclid(ids::DAY_MS);
                days.entry((visitor, day)).or_default().insert(fact.at_ms);
            }
            let instants = days.values().map(|day| day.iter().copied().collect::<Vec<_>>());
            let pauses: BTreeSet<i64> = instants
                .flat_map(|day| day.windows(2).map(|pair| pair[1] - pair[0]).collect::<Vec<_>>())
                .collect();
            let timeout_ms = project.session_timeout_ms();
            for pause in [timeout_ms - 1, timeout_ms, timeout_ms + 1] {
                assert!(pauses.contains(&pause), "no pause of {pause} ms in project {place}");
            }
            let midnight =
                |day: &BTreeSet<i64>| day.iter().any(|at| at.rem_euclid(ids::DAY_MS) == ids::DAY_MS - 1);
            assert!(days.values().any(midnight));
        }
    }

    /// A world without late, repeated or refused events would prove nothing.
    #[test]
    fn a_world_has_something_of_everything() {
        let world = World::generate(1, &Shape::default());
        let expected: Vec<Expected> = (0..3).map(|place| world.expected(place, 7)).collect();
        let outcomes: BTreeSet<&str> =
            expected.iter().flat_map(|expected| expected.outcomes.keys().map(String::as_str)).collect();
        let of_events = DiscardReason::ALL.into_iter().filter(|reason| !is_of_settings(*reason));
        let reasons: Vec<&str> = of_events.map(DiscardReason::as_str).collect();
        assert!(
            reasons.iter().chain(&["accepted", "duplicate"]).all(|name| outcomes.contains(name)),
            "{outcomes:?}"
        );
        assert!(!world.redelivered.is_empty());
        let events = || expected.iter().flat_map(|expected| expected.events.values());
        assert!(events().any(|event| event.visitor_id.is_none()));
        assert!(events().any(|event| event.day != event.at_ms.div_euclid(ids::DAY_MS)), "no clock is wrong");
        let sessions = || expected.iter().flat_map(|expected| expected.sessions.values());
        assert!(sessions().any(|session| session.bounce) && sessions().any(|session| session.pageviews > 2));
        assert!(sessions().any(|session| session.entry_page.is_none()));
        assert!(
            events().any(|event| event.address.is_some()) && events().any(|event| event.address.is_none())
        );
        assert!(sessions().any(|session| session.place[0] == Some("DE") && session.place[2].is_none()));
        for (project, expected) in world.projects.iter().zip(&expected) {
            let zone = jiff::tz::TimeZone::get(project.time_zone).expect("a zone");
            let mut sessions = expected.sessions.values();
            assert!(sessions.any(|session| buckets_of(&zone, session.ended_ms).1 > session.counted_in.1));
        }
        assert!(expected.iter().all(|expected| !expected.persons.is_empty()));
        let gaps =
            |numbers: &BTreeSet<u32>| numbers.last().is_some_and(|last| *last as usize >= numbers.len());
        assert!(expected[0].tabs.values().any(gaps));
        assert!(
            expected[0].events.keys().any(|id| expected[1].events.contains_key(id)),
            "no id is in two projects"
        );
    }
}
