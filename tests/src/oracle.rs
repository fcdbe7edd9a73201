//! Tells whether a store is right: against itself, from raw rows, and against what the world expected.
//!
//! The rules are written here once more, without the model's merge: sort the events of a session and look.

mod compare;
mod visits;

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use jiff::tz::TimeZone;
use tallymark_store::Store;
use tallymark_store::model::{EventRow, Identification, SessionRow, TabRow};
use uuid::Uuid;

use crate::world::{World, buckets_of};

/// Sentences about what is wrong; none, where all is right.
type Faults = Vec<String>;

/// Faults that are shown; the rest are counted.
const SHOWN_MAX: usize = 30;
const PAGE: u32 = 1_000;

/// The raw rows of one project.
#[derive(Debug, Default)]
pub struct RawRows {
    /// Events, in key order.
    pub events: Vec<EventRow>,
    /// Sessions, in key order.
    pub sessions: Vec<SessionRow>,
    /// The ledger, in key order.
    pub tabs: Vec<TabRow>,
    /// Identifications, in key order.
    pub identifications: Vec<Identification>,
}

/// Reads all raw rows of a project.
///
/// # Errors
/// Those of the store.
pub async fn raw_rows(store: &Store, project_id: i32) -> anyhow::Result<RawRows> {
    let mut rows = RawRows::default();
    loop {
        let last = rows.events.last().map(|event| (event.day, event.id));
        let page = store.events_after(project_id, last, PAGE).await?;
        if page.is_empty() {
            break;
        }
        rows.events.extend(page);
    }
    macro_rules! read_all {
        ($field:ident, $read:ident, $key:ident) => {
            loop {
                let last = rows.$field.last().map(|row| row.$key);
                let page = store.$read(project_id, last, PAGE).await?;
                if page.is_empty() {
                    break;
                }
                rows.$field.extend(page);
            }
        };
    }
    read_all!(sessions, sessions_after, session_id);
    read_all!(tabs, tabs_after, tab_id);
    read_all!(identifications, identifications_after, visitor_id);
    Ok(rows)
}

/// What is known of how a world was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sending {
    /// Each request once, as it stands there.
    AsPlanned,
    /// Each at least once: those without an answer were sent again.
    UntilAnswered,
}

/// Compacts, and fails where the store contradicts itself or the world.
///
/// # Errors
/// Lists what is wrong.
pub async fn assert_true(store: &Store, world: &World, project_ids: &[i32]) -> anyhow::Result<()> {
    assert_sent(store, world, project_ids, Sending::AsPlanned).await
}

/// The same for a world whose requests were sent again until somebody answered: there may be more duplicates,
/// and events that were refused more often. All else must be as it is without.
///
/// # Errors
/// Lists what is wrong.
pub async fn assert_true_but_for_retries(
    store: &Store,
    world: &World,
    project_ids: &[i32],
) -> anyhow::Result<()> {
    assert_sent(store, world, project_ids, Sending::UntilAnswered).await
}

async fn assert_sent(
    store: &Store,
    world: &World,
    project_ids: &[i32],
    sending: Sending,
) -> anyhow::Result<()> {
    store.compact_all().await?;
    let mut faults = Faults::new();
    for (place, project_id) in project_ids.iter().enumerate() {
        let expected = world.expected(place, *project_id);
        let mut found = contradictions(store, *project_id).await?;
        found.append(&mut compare::with_expected(store, *project_id, &expected, sending).await?);
        faults.extend(found.into_iter().map(|fault| format!("project {place}: {fault}")));
    }
    report(&faults)
}

/// Compacts, and fails where the store contradicts itself: for traffic of which nothing is known beforehand.
///
/// # Errors
/// Lists what is wrong.
pub async fn assert_consistent(store: &Store, project_ids: &[i32]) -> anyhow::Result<()> {
    store.compact_all().await?;
    let mut faults = Faults::new();
    for project_id in project_ids {
        faults.append(&mut contradictions(store, *project_id).await?);
    }
    report(&faults)
}

fn report(faults: &Faults) -> anyhow::Result<()> {
    if faults.is_empty() {
        return Ok(());
    }
    let shown = &faults[..faults.len().min(SHOWN_MAX)];
    bail!("{} faults:\n  {}", faults.len(), shown.join("\n  "))
}

/// Where a project's rows contradict each other.
async fn contradictions(store: &Store, project_id: i32) -> anyhow::Result<Faults> {
    let mut faults: Faults = store
        .rollups(project_id)
        .await?
        .differences(&store.recount(project_id).await?)
        .into_iter()
        .map(|difference| format!("rollups (here) and recount (there): {difference}"))
        .collect();
    let project = store.project(project_id).await?.context("the project is there")?;
    let zone = TimeZone::get(&project.time_zone)?;
    let rows = raw_rows(store, project_id).await?;
    check_sessions(&rows, &zone, &mut faults);
    visits::check(&rows, i64::from(project.session_timeout_minutes) * 60_000, &mut faults);
    check_identifications(&rows, &mut faults);
    check_outcomes(store, project_id, rows.events.len(), &mut faults).await?;
    Ok(faults)
}

fn check_sessions(rows: &RawRows, zone: &TimeZone, faults: &mut Faults) {
    let mut by_session: BTreeMap<Uuid, Vec<&EventRow>> = BTreeMap::new();
    for event in &rows.events {
        if let Some(session_id) = event.session_id {
            by_session.entry(session_id).or_default().push(event);
        }
    }
    for session in &rows.sessions {
        let id = session.session_id;
        let Some(mut events) = by_session.remove(&id) else {
            faults.push(format!("session {id} has no events"));
            continue;
        };
        events.sort_by_key(|event| (event.occurred_at, event.id));
        let mut fault = |what: &str, stored: String, counted: String| {
            if stored != counted {
                faults.push(format!("session {id}: {what} is {stored}, its events say {counted}"));
            }
        };
        let stored = session_facts(session);
        for ((what, stored), counted) in stored.into_iter().zip(recounted(&events)) {
            fault(what, stored, counted);
        }
        let counted_in = session.counted_in.map(|buckets| (buckets.hour.0, buckets.day.0));
        let (hour, day) = buckets_of(zone, session.started_at.0);
        fault("the bucket", format!("{counted_in:?}"), format!("{:?}", Some((hour, day))));
    }
    faults.extend(by_session.into_keys().map(|id| format!("events of session {id}, which is not there")));
}

/// What a session's row says, in the order of [`recounted`].
fn session_facts(session: &SessionRow) -> [(&'static str, String); 13] {
    [
        ("visitor", session.visitor_id.to_string()),
        ("start", session.started_at.0.to_string()),
        ("end", session.ended_at.0.to_string()),
        ("pageviews", session.pageviews.to_string()),
        ("events", session.events.to_string()),
        ("interactions", session.interactions.to_string()),
        ("engaged_ms", session.engaged_ms.to_string()),
        ("bounce", session.is_bounce().to_string()),
        ("entry", session.entry.id.to_string()),
        ("exit", session.exit.id.to_string()),
        ("entry page", format!("{:?}", session.entry_page)),
        ("exit page", format!("{:?}", session.exit_page)),
        ("hostname and referrer", format!("{:?} {:?}", session.hostname, session.referrer)),
    ]
}

/// The same from its events, which come sorted.
fn recounted(events: &[&EventRow]) -> [String; 13] {
    let pages: Vec<&&EventRow> = events.iter().filter(|event| event.name == "$pageview").collect();
    let passive = ["$pageleave", "$web_vital", "$gap", "$identify", "$error"];
    let is_deed = |event: &&&EventRow| event.name != "$pageview" && !passive.contains(&event.name.as_str());
    let deeds = events.iter().filter(is_deed).count();
    let (first, last) = (events[0], events[events.len() - 1]);
    let entry = pages.first().map_or(first, |event| event);
    let exit = pages.last().map_or(last, |event| event);
    let engaged_ms: i64 = events.iter().filter_map(|event| event.engaged_ms).map(i64::from).sum();
    [
        first.visitor_id.map(|id| id.to_string()).unwrap_or_default(),
        first.occurred_at.0.to_string(),
        last.occurred_at.0.to_string(),
        pages.len().to_string(),
        events.len().to_string(),
        deeds.to_string(),
        engaged_ms.to_string(),
        (pages.len() == 1 && deeds == 0).to_string(),
        entry.id.to_string(),
        exit.id.to_string(),
        format!("{:?}", pages.first().and_then(|event| event.path.as_ref())),
        format!("{:?}", pages.last().and_then(|event| event.path.as_ref())),
        format!("{:?} {:?}", entry.hostname, entry.referrer),
    ]
}

fn check_identifications(rows: &RawRows, faults: &mut Faults) {
    let mut events: Vec<&EventRow> = rows.events.iter().collect();
    events.sort_by_key(|event| (event.occurred_at, event.id));
    let mut earliest: BTreeMap<Uuid, (String, Uuid)> = BTreeMap::new();
    for event in events {
        if let (Some(visitor_id), Some(user_id)) = (event.visitor_id, &event.user_id) {
            earliest.entry(visitor_id).or_insert_with(|| (user_id.clone(), event.id));
        }
    }
    let stored: BTreeMap<Uuid, (String, Uuid)> = rows
        .identifications
        .iter()
        .map(|row| (row.visitor_id, (row.user_id.clone(), row.event_id)))
        .collect();
    if stored != earliest {
        faults.push(format!("persons are {stored:?}, the events say {earliest:?}"));
    }
}

/// Received = accepted + duplicates + every discard, hour by hour; accepted = rows of events.
async fn check_outcomes(
    store: &Store,
    project_id: i32,
    events: usize,
    faults: &mut Faults,
) -> anyhow::Result<()> {
    let (mut by_hour, mut accepted) = (BTreeMap::<i64, i64>::new(), 0);
    for (hour, outcome, events) in store.outcomes_by_hour(project_id).await? {
        *by_hour.entry(hour.0).or_default() += events;
        accepted += if outcome == "accepted" { events } else { 0 };
    }
    let received = store.received_by_hour(project_id).await?.into_iter();
    let received: BTreeMap<i64, i64> =
        received.map(|(hour, events)| (hour.0, events)).filter(|(_, events)| *events > 0).collect();
    if by_hour != received {
        faults.push(format!("received by hour {received:?}, outcomes {by_hour:?}"));
    }
    if usize::try_from(accepted).ok() != Some(events) {
        faults.push(format!("{accepted} events are counted as accepted, {events} are there"));
    }
    Ok(())
}
