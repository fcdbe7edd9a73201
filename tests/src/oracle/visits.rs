//! Whether the sessions that the server made are those that its rule makes of the events.

use std::collections::{BTreeMap, BTreeSet};

use tallymark_store::model::EventRow;
use uuid::Uuid;

use super::{Faults, RawRows};

const DAY_MS: i64 = 86_400_000;

/// Every visitor's event has a session; where the server made it, all events of a visit share it, nobody else has it,
/// and visits are what pauses longer than `timeout_ms` leave of a visitor's UTC day. Holds while the timeout stays.
pub(super) fn check(rows: &RawRows, timeout_ms: i64, faults: &mut Faults) {
    let mut days: BTreeMap<(Uuid, i64), Vec<&EventRow>> = BTreeMap::new();
    for event in &rows.events {
        if event.visitor_id.is_some() != event.session_id.is_some() {
            faults.push(format!("event {} has a visitor or a session, and not both", event.id));
        }
        if let (Some(visitor_id), true) = (event.visitor_id, event.server_session) {
            let day = event.occurred_at.0.div_euclid(DAY_MS);
            days.entry((visitor_id, day)).or_default().push(event);
        }
    }
    let mut seen = BTreeSet::new();
    for ((visitor_id, day), mut events) in days {
        events.sort_by_key(|event| event.occurred_at);
        for visit in events.chunk_by(|a, b| b.occurred_at.0 - a.occurred_at.0 <= timeout_ms) {
            let sessions: BTreeSet<Option<Uuid>> = visit.iter().map(|event| event.session_id).collect();
            let of = format!("the visit of {visitor_id} on day {day} from {}", visit[0].occurred_at.0);
            if sessions.len() != 1 {
                faults.push(format!("{of} is {} sessions", sessions.len()));
            }
            if !sessions.iter().all(|session_id| seen.insert(*session_id)) {
                faults.push(format!("{of} has the session of another"));
            }
        }
    }
}
