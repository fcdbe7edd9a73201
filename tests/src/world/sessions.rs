//! Which events are one session, and what it comes to.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use uuid::Uuid;

use super::expected::{ExpectedSession, buckets_of};
use super::fact::Fact;
use super::ids;

/// The session of each event that has one, by the event's id.
pub(super) type SessionIds = BTreeMap<Uuid, Uuid>;

/// Sorts events into sessions: the client's own, and for those of a visitor whose client made none the visits of each
/// UTC day, which end with a pause longer than `timeout_ms`.
pub(super) fn ids(facts: &[&Fact], project_id: i32, timeout_ms: i64) -> SessionIds {
    let mut ids = SessionIds::new();
    let mut sessionless: BTreeMap<(Uuid, i64), Vec<&Fact>> = BTreeMap::new();
    for fact in facts {
        let Some(visitor_id) = fact.visitor_id(project_id) else { continue };
        match fact.session_id(project_id) {
            Some(session_id) => drop(ids.insert(fact.id(), session_id)),
            None => {
                let day = fact.at_ms.div_euclid(ids::DAY_MS);
                sessionless.entry((visitor_id, day)).or_default().push(fact);
            }
        }
    }
    for ((visitor_id, _), mut facts) in sessionless {
        facts.sort_by_key(|fact| fact.at_ms);
        let (mut began_ms, mut last_ms) = (facts[0].at_ms, facts[0].at_ms);
        for fact in facts {
            if fact.at_ms - last_ms > timeout_ms {
                began_ms = fact.at_ms;
            }
            last_ms = fact.at_ms;
            ids.insert(fact.id(), ids::server_session(project_id, visitor_id, began_ms));
        }
    }
    ids
}

/// The sessions that `facts` come to.
pub(super) fn of(
    facts: &[&Fact],
    session_ids: &SessionIds,
    zone: &TimeZone,
    project_id: i32,
) -> BTreeMap<Uuid, ExpectedSession> {
    let mut by_session: BTreeMap<Uuid, Vec<&Fact>> = BTreeMap::new();
    for fact in facts {
        if let Some(session_id) = session_ids.get(&fact.id()) {
            by_session.entry(*session_id).or_default().push(fact);
        }
    }
    by_session
        .into_iter()
        .map(|(session_id, mut facts)| {
            facts.sort_by_key(|fact| (fact.at_ms, fact.id()));
            (session_id, session(&facts, zone, project_id))
        })
        .collect()
}

/// `facts` are of one session, in their order.
fn session(facts: &[&Fact], zone: &TimeZone, project_id: i32) -> ExpectedSession {
    let (first, last) = (facts[0], facts[facts.len() - 1]);
    let pageviews: Vec<&&Fact> = facts.iter().filter(|fact| fact.name == "$pageview").collect();
    let entry = pageviews.first().map_or(first, |fact| fact);
    let beside = facts.iter().map(|fact| fact.name.as_str()).filter(|name| *name != "$pageview");
    let passive = ["$pageleave", "$web_vital", "$gap", "$identify", "$error"];
    let did_nothing = beside.into_iter().all(|name| passive.contains(&name));
    ExpectedSession {
        visitor_id: first.visitor_id(project_id).expect("a session has a visitor"),
        started_ms: first.at_ms,
        ended_ms: last.at_ms,
        counted_in: buckets_of(zone, first.at_ms),
        pageviews: i64::try_from(pageviews.len()).expect("few"),
        events: i64::try_from(facts.len()).expect("few"),
        engaged_ms: facts.iter().filter_map(|fact| fact.engaged_ms).sum(),
        bounce: pageviews.len() == 1 && did_nothing,
        entry_page: pageviews.first().and_then(|fact| fact.path.clone()),
        exit_page: pageviews.last().and_then(|fact| fact.path.clone()),
        hostname: entry.hostname.clone(),
        source: entry.source.clone(),
        visit: [entry.device.browser, entry.device.os, entry.device.device],
        place: [entry.spot.country, entry.spot.region, entry.spot.city],
    }
}
