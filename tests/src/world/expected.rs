//! What must come out, reckoned from the plan: group by, and count.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use jiff::tz::TimeZone;
use jiff::{RoundMode, Timestamp, Unit, ZonedRound};
use serde_json::Value;
use uuid::Uuid;

use super::Project;
use super::fact::Fact;
use super::ids;
use super::send::Request;
use super::sessions::{self, SessionIds};

/// How wide a bucket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grain {
    /// A local hour.
    Hour,
    /// A local day.
    Day,
}

/// The numbers of one row of a rollup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExpectedRow {
    /// `$pageview` events.
    pub pageviews: i64,
    /// Events of every name.
    pub events: i64,
    /// Sessions that began in the bucket.
    pub sessions: i64,
    /// Sessions of one pageview in which the visitor did nothing else.
    pub bounces: i64,
    /// First to last event of the sessions, together.
    pub duration_ms: i64,
    /// Visible, active time.
    pub engaged_ms: i64,
    /// Who was there.
    pub visitors: BTreeSet<Uuid>,
}

/// Rows by grain, dimension as the query API calls it, start of the bucket in Unix milliseconds, and value.
pub type ExpectedRollups = BTreeMap<(Grain, &'static str, i64, String), ExpectedRow>;

/// An event's row.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpectedEvent {
    /// UTC day of its key.
    pub day: i64,
    /// When it happened.
    pub at_ms: i64,
    /// What happened.
    pub name: String,
    /// The device.
    pub visitor_id: Option<Uuid>,
    /// The session.
    pub session_id: Option<Uuid>,
    /// The person.
    pub user_id: Option<String>,
    /// As sent.
    pub url: Option<String>,
    /// The URL's host.
    pub hostname: Option<String>,
    /// The URL's path.
    pub path: Option<String>,
    /// Kept only where it leads away from the site.
    pub referrer: Option<String>,
    /// The site's own grouping.
    pub category: Option<String>,
    /// Which app sent it.
    pub event_source: Option<String>,
    /// What a `$pageleave` reports.
    pub engaged_ms: Option<i64>,
    /// The sender's, where the project keeps addresses.
    pub address: Option<IpAddr>,
    /// The rest.
    pub props: Option<Value>,
}

/// A session's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedSession {
    /// The device.
    pub visitor_id: Uuid,
    /// First event.
    pub started_ms: i64,
    /// Last event.
    pub ended_ms: i64,
    /// Start of the local hour and day of its first event.
    pub counted_in: (i64, i64),
    /// Pageviews.
    pub pageviews: i64,
    /// Events of every name.
    pub events: i64,
    /// Visible, active time.
    pub engaged_ms: i64,
    /// Whether it is a bounce.
    pub bounce: bool,
    /// Path of the first pageview.
    pub entry_page: Option<String>,
    /// Path of the last pageview.
    pub exit_page: Option<String>,
    /// Host of the first pageview, else of the first event.
    pub hostname: Option<String>,
    /// Where it came from, likewise.
    pub source: Option<String>,
    /// Browser family, operating system family, kind of device.
    pub visit: [Option<&'static str>; 3],
    /// Country, region, city.
    pub place: [Option<&'static str>; 3],
}

/// Everything that is known of one project beforehand.
#[derive(Clone, Debug)]
pub struct Expected {
    /// Events of all requests.
    pub received: i64,
    /// What became of them, by the outcome's name.
    pub outcomes: BTreeMap<String, i64>,
    /// The rows of events, by id.
    pub events: BTreeMap<Uuid, ExpectedEvent>,
    /// The rows of sessions, by id.
    pub sessions: BTreeMap<Uuid, ExpectedSession>,
    /// The rows of rollups, compacted.
    pub rollups: ExpectedRollups,
    /// The person of each visitor that named one.
    pub persons: BTreeMap<Uuid, String>,
    /// The numbers of each tab that were sent.
    pub tabs: BTreeMap<Uuid, BTreeSet<u32>>,
}

/// The local hour and day that hold `at_ms`, by their starts.
///
/// # Panics
/// On instants outside the years that calendars have.
#[must_use]
pub fn buckets_of(zone: &TimeZone, at_ms: i64) -> (i64, i64) {
    let local = Timestamp::from_millisecond(at_ms).expect("an instant of a world").to_zoned(zone.clone());
    let hour = local.round(ZonedRound::new().smallest(Unit::Hour).mode(RoundMode::Trunc));
    let day = local.start_of_day();
    let ms = |zoned: Result<jiff::Zoned, _>| {
        zoned.map(|zoned| zoned.timestamp().as_millisecond()).expect("an instant of a world")
    };
    (ms(hour), ms(day))
}

pub(super) fn of<'r>(
    requests: impl Iterator<Item = &'r Request>,
    project: &Project,
    project_id: i32,
) -> Expected {
    let zone = TimeZone::get(project.time_zone).expect("the world's zones exist");
    let (mut received, mut outcomes) = (0, BTreeMap::<String, i64>::new());
    let mut tabs = BTreeMap::<Uuid, BTreeSet<u32>>::new();
    let mut facts: BTreeMap<Uuid, &Fact> = BTreeMap::new();
    let mut sent = 0;
    for request in requests {
        received += i64::try_from(request.events()).expect("few");
        let numbered = request.facts().map(|fact| &fact.tab).chain(request.bad().map(|bad| &bad.tab));
        for (tab, seq) in numbered.flatten() {
            tabs.entry(ids::within_project(project_id, tab)).or_default().insert(*seq);
        }
        for bad in request.bad() {
            *outcomes.entry(bad.reason.to_owned()).or_default() += 1;
        }
        for fact in request.facts() {
            sent += 1;
            facts.insert(fact.id(), fact);
        }
    }
    let accepted = i64::try_from(facts.len()).expect("few");
    outcomes.insert("accepted".to_owned(), accepted);
    outcomes.insert("duplicate".to_owned(), sent - accepted);
    outcomes.retain(|_, events| *events > 0);
    let facts: Vec<&Fact> = facts.into_values().collect();
    let session_ids = sessions::ids(&facts, project_id, project.session_timeout_ms());
    let sessions = sessions::of(&facts, &session_ids, &zone, project_id);
    Expected {
        received,
        outcomes,
        rollups: rollups(&facts, &sessions, &zone, project_id),
        events: facts
            .iter()
            .map(|fact| (fact.id(), event(fact, project, project_id, &session_ids)))
            .collect(),
        sessions,
        persons: persons(&facts, project_id),
        tabs,
    }
}

fn event(fact: &Fact, project: &Project, project_id: i32, session_ids: &SessionIds) -> ExpectedEvent {
    ExpectedEvent {
        day: fact.day(),
        at_ms: fact.at_ms,
        name: fact.name.clone(),
        visitor_id: fact.visitor_id(project_id),
        session_id: session_ids.get(&fact.id()).copied(),
        user_id: fact.user_id.clone(),
        url: fact.url.clone(),
        hostname: fact.hostname.clone(),
        path: fact.path.clone(),
        referrer: fact.referrer.clone().filter(|_| fact.source.is_some()),
        category: fact.category.clone(),
        event_source: fact.event_source.clone(),
        engaged_ms: fact.engaged_ms,
        address: fact.spot.address().filter(|_| project.keeps_addresses),
        props: fact.props(),
    }
}

fn persons(facts: &[&Fact], project_id: i32) -> BTreeMap<Uuid, String> {
    let mut facts: Vec<&Fact> = facts.to_vec();
    facts.sort_by_key(|fact| (fact.at_ms, fact.id()));
    let mut persons = BTreeMap::new();
    for fact in facts {
        if let (Some(visitor_id), Some(user_id)) = (fact.visitor_id(project_id), &fact.user_id) {
            persons.entry(visitor_id).or_insert_with(|| user_id.clone());
        }
    }
    persons
}

fn rollups(
    facts: &[&Fact],
    sessions: &BTreeMap<Uuid, ExpectedSession>,
    zone: &TimeZone,
    project_id: i32,
) -> ExpectedRollups {
    let mut rollups = ExpectedRollups::new();
    for fact in facts {
        let numbers = ExpectedRow {
            pageviews: i64::from(fact.name == "$pageview"),
            events: 1,
            engaged_ms: fact.engaged_ms.unwrap_or(0),
            visitors: fact.visitor_id(project_id).into_iter().collect(),
            ..ExpectedRow::default()
        };
        let values = [
            ("total", Some("")),
            ("event:name", Some(fact.name.as_str())),
            ("event:page", fact.path.as_deref()),
            ("event:hostname", fact.hostname.as_deref()),
            ("event:category", fact.category.as_deref()),
            ("event:event_source", fact.event_source.as_deref()),
        ];
        for (dimension, value) in values {
            if let Some(value) = value {
                add(&mut rollups, buckets_of(zone, fact.at_ms), dimension, value, &numbers);
            }
        }
    }
    for session in sessions.values() {
        add_session(&mut rollups, session);
    }
    rollups
}

fn add_session(rollups: &mut ExpectedRollups, session: &ExpectedSession) {
    let only_session = ExpectedRow {
        sessions: 1,
        bounces: i64::from(session.bounce),
        duration_ms: session.ended_ms - session.started_ms,
        ..ExpectedRow::default()
    };
    add(rollups, session.counted_in, "total", "", &only_session);
    let without_visitors = ExpectedRow {
        pageviews: session.pageviews,
        events: session.events,
        engaged_ms: session.engaged_ms,
        ..only_session
    };
    let exit_page = session.exit_page.as_deref().unwrap_or("(none)");
    add(rollups, session.counted_in, "visit:exit_page", exit_page, &without_visitors);
    let all = ExpectedRow { visitors: [session.visitor_id].into(), ..without_visitors };
    let [browser, os, device] = session.visit.map(|value| value.unwrap_or("(unknown)"));
    let [country, region, city] = session.place.map(|value| value.unwrap_or("(unknown)"));
    let values = [
        ("visit:entry_page", session.entry_page.as_deref().unwrap_or("(none)")),
        ("visit:source", session.source.as_deref().unwrap_or("(direct)")),
        ("visit:browser", browser),
        ("visit:os", os),
        ("visit:device", device),
        ("visit:country", country),
        ("visit:region", region),
        ("visit:city", city),
    ];
    for (dimension, value) in values {
        add(rollups, session.counted_in, dimension, value, &all);
    }
}

fn add(
    rollups: &mut ExpectedRollups,
    (hour, day): (i64, i64),
    dimension: &'static str,
    value: &str,
    numbers: &ExpectedRow,
) {
    for (grain, bucket) in [(Grain::Hour, hour), (Grain::Day, day)] {
        let row = rollups.entry((grain, dimension, bucket, value.to_owned())).or_default();
        row.pageviews += numbers.pageviews;
        row.events += numbers.events;
        row.sessions += numbers.sessions;
        row.bounces += numbers.bounces;
        row.duration_ms += numbers.duration_ms;
        row.engaged_ms += numbers.engaged_ms;
        row.visitors.extend(&numbers.visitors);
    }
}
