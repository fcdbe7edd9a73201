//! A store against what the world expected.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use serde_json::Value;
use tallymark_store::model::{EventRow, RollupKey, SeqRanges, SessionRow};
use tallymark_store::{RollupCounts, Store};
use uuid::Uuid;

use super::{Faults, Sending, raw_rows};
use crate::world::{Expected, ExpectedEvent, ExpectedRow, ExpectedSession, Grain};

/// To this many a sketch is exact.
const EXACT_MAX: usize = 256;

pub(super) async fn with_expected(
    store: &Store,
    project_id: i32,
    expected: &Expected,
    sending: Sending,
) -> anyhow::Result<Faults> {
    let mut faults = Faults::new();
    let rows = raw_rows(store, project_id).await?;
    let events = rows.events.iter().map(|row| (row.id, event(row))).collect();
    compare(&mut faults, "event", &events, &expected.events);
    let sessions = rows.sessions.iter().map(|row| (row.session_id, session(row))).collect();
    let wanted = expected.sessions.iter().map(|(id, session)| (*id, wanted_session(session))).collect();
    compare(&mut faults, "session", &sessions, &wanted);
    let persons = rows.identifications.iter().map(|row| (row.visitor_id, row.user_id.clone())).collect();
    compare(&mut faults, "person of visitor", &persons, &expected.persons);
    let tabs = rows.tabs.iter().map(|row| (row.tab_id, row.seen.to_string())).collect();
    let wanted = expected.tabs.iter().map(|(id, numbers)| (*id, ranges(numbers))).collect();
    compare(&mut faults, "numbers of tab", &tabs, &wanted);

    compare_outcomes(&mut faults, store, project_id, expected, sending).await?;
    let rollups = store.rollups(project_id).await?;
    for (grain, rows) in [(Grain::Hour, &rollups.hours), (Grain::Day, &rollups.days)] {
        let stored = rows.iter().map(|(key, row)| (place(key), numbers(row))).collect();
        let wanted = expected.rollups.iter().filter(|(key, _)| key.0 == grain);
        let wanted = wanted
            .map(|((_, dimension, bucket, value), row)| {
                let place = (*dimension, *bucket, value.clone());
                let visitors = stored_visitors(&stored, &place, row);
                (place, wanted_numbers(row, visitors))
            })
            .collect();
        compare(&mut faults, &format!("{grain:?}"), &stored, &wanted);
    }
    Ok(faults)
}

async fn compare_outcomes(
    faults: &mut Faults,
    store: &Store,
    project_id: i32,
    expected: &Expected,
    sending: Sending,
) -> anyhow::Result<()> {
    let mut outcomes = BTreeMap::<String, i64>::new();
    for (_, outcome, events) in store.outcomes_by_hour(project_id).await? {
        *outcomes.entry(outcome).or_default() += events;
    }
    let mut received: i64 = store.received_by_hour(project_id).await?.iter().map(|(_, events)| events).sum();
    if sending == Sending::UntilAnswered {
        // What came more often than planned came as a repeat.
        for (outcome, events) in outcomes.iter_mut().filter(|(outcome, _)| *outcome != "accepted") {
            let planned = expected.outcomes.get(outcome).copied().unwrap_or(0);
            let more = (*events - planned).max(0);
            *events -= more;
            received -= more;
        }
        outcomes.retain(|_, events| *events > 0);
    }
    compare(faults, "outcome", &outcomes, &expected.outcomes);
    if received != expected.received {
        faults.push(format!("{received} events were received, {} were sent", expected.received));
    }
    Ok(())
}

fn compare<K: Ord + Debug, V: PartialEq + Debug>(
    faults: &mut Faults,
    what: &str,
    stored: &BTreeMap<K, V>,
    expected: &BTreeMap<K, V>,
) {
    for (key, wanted) in expected {
        match stored.get(key) {
            None => faults.push(format!("{what} {key:?} is missing: {wanted:?}")),
            Some(found) if found != wanted => {
                faults.push(format!("{what} {key:?}:\n    is       {found:?}\n    expected {wanted:?}"));
            }
            Some(_) => {}
        }
    }
    let extra = stored.iter().filter(|(key, _)| !expected.contains_key(key));
    faults.extend(extra.map(|(key, found)| format!("{what} {key:?} is not expected: {found:?}")));
}

fn event(row: &EventRow) -> ExpectedEvent {
    let props = row.props.as_ref().map(|props| serde_json::from_str::<Value>(props.get()));
    ExpectedEvent {
        day: i64::from(row.day),
        at_ms: row.occurred_at.0,
        name: row.name.clone(),
        visitor_id: row.visitor_id,
        session_id: row.session_id,
        user_id: row.user_id.clone(),
        url: row.url.clone(),
        hostname: row.hostname.clone(),
        path: row.path.clone(),
        referrer: row.referrer.clone(),
        category: row.category.clone(),
        event_source: row.event_source.clone(),
        engaged_ms: row.engaged_ms.map(i64::from),
        address: row.address,
        props: props.map(|props| props.unwrap_or(Value::Null)),
    }
}

/// A session in words that both sides can be brought into.
type SessionWords = (Uuid, [i64; 7], bool, Vec<Option<String>>);

fn session(row: &SessionRow) -> SessionWords {
    let (hour, day) = row.counted_in.map_or((0, 0), |buckets| (buckets.hour.0, buckets.day.0));
    let counts = [i64::from(row.pageviews), i64::from(row.events)];
    let [pageviews, events] = counts;
    let visit = [&row.browser, &row.os, &row.device, &row.country, &row.region, &row.city];
    let texts = [&row.entry_page, &row.exit_page, &row.hostname, &row.source].into_iter().chain(visit);
    let numbers = [row.started_at.0, row.ended_at.0, hour, day, pageviews, events, row.engaged_ms];
    (row.visitor_id, numbers, row.is_bounce(), texts.cloned().collect())
}

fn wanted_session(session: &ExpectedSession) -> SessionWords {
    let (hour, day) = session.counted_in;
    let numbers = [
        session.started_ms,
        session.ended_ms,
        hour,
        day,
        session.pageviews,
        session.events,
        session.engaged_ms,
    ];
    let visit = session.visit.into_iter().chain(session.place).map(|value| value.map(str::to_owned));
    let ExpectedSession { entry_page, exit_page, hostname, source, .. } = session.clone();
    let texts = [entry_page, exit_page, hostname, source].into_iter().chain(visit).collect();
    (session.visitor_id, numbers, session.bounce, texts)
}

/// Numbers as the ledger writes them.
fn ranges(numbers: &BTreeSet<u32>) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, end)) if *end + 1 == *number => *end = *number,
            _ => ranges.push((*number, *number)),
        }
    }
    let texts =
        ranges.iter().map(|(from, to)| if from == to { from.to_string() } else { format!("{from}-{to}") });
    let text = texts.collect::<Vec<_>>().join(",");
    debug_assert!(SeqRanges::parse(&text).is_some(), "{text}");
    text
}

type Place = (&'static str, i64, String);
/// Pageviews, events, sessions, bounces, duration, engaged time; visitors.
type Numbers = ([i64; 6], u64);

fn place(key: &RollupKey) -> Place {
    (key.dimension.api_name(), key.bucket.0, key.value.clone())
}

fn numbers(row: &RollupCounts) -> Numbers {
    let counts = row.counts;
    let numbers = [
        counts.pageviews,
        counts.events,
        counts.sessions,
        counts.bounces,
        counts.duration_ms,
        counts.engaged_ms,
    ];
    (numbers, row.visitors)
}

fn wanted_numbers(row: &ExpectedRow, visitors: u64) -> Numbers {
    let numbers = [row.pageviews, row.events, row.sessions, row.bounces, row.duration_ms, row.engaged_ms];
    (numbers, visitors)
}

/// How many visitors to expect: exactly those of the world, or, where sketches estimate, what is stored if
/// that is near.
fn stored_visitors(stored: &BTreeMap<Place, Numbers>, place: &Place, row: &ExpectedRow) -> u64 {
    let visitors = row.visitors.len();
    let estimate = stored.get(place).map_or(0, |numbers| numbers.1);
    let near = estimate.abs_diff(visitors as u64) * 1_000 <= visitors as u64 * 25;
    if visitors > EXACT_MAX && near { estimate } else { visitors as u64 }
}
