//! Which session an event belongs to.

use tallymark_protocol::{DAY_MS, UnixMs, time_in_v7};
use uuid::Uuid;

/// Namespaces of the ids that are made of texts; random, and never to change.
const PROJECTS: Uuid = Uuid::from_u128(0x9c3e_0f52_7a41_4e0d_8b60_1f5d_2a97_c3b4);
const SESSIONS: Uuid = Uuid::from_u128(0x2f6b_81d0_93c7_4a5e_a1f4_70be_5d38_e612);

/// The namespace of a project's client-made ids.
pub(crate) fn project_namespace(project_id: i32) -> Uuid {
    Uuid::new_v5(&PROJECTS, &project_id.to_be_bytes())
}

/// The id of the session that a client calls `session`: the same for every event of it, in any order.
///
/// A client's session is cut every 24 hours from its beginning, so that a broken client that never begins
/// another cannot make one that lasts for ever. Its beginning is the time inside its `UUIDv7`, by the
/// same clock as the event's `key_at`: not corrected on either side, so that a wrong clock does not move
/// the cut. A session id that is no `UUIDv7` is cut by UTC days.
pub(crate) fn session_id(
    project_id: i32,
    visitor_id: Uuid,
    session: &str,
    key_at: UnixMs,
    occurred_at: UnixMs,
) -> Uuid {
    let began_at = Uuid::try_parse(session).ok().and_then(time_in_v7);
    let part = began_at.map_or_else(
        || i64::from(occurred_at.utc_day()),
        |began_at| (key_at.0.saturating_sub(began_at.0) / DAY_MS).max(0),
    );
    let mut name = Vec::with_capacity(28 + session.len());
    name.extend_from_slice(&project_id.to_be_bytes());
    name.extend_from_slice(visitor_id.as_bytes());
    name.extend_from_slice(&part.to_be_bytes());
    name.extend_from_slice(session.as_bytes());
    Uuid::new_v5(&SESSIONS, &name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const V7: &str = "0190163d-8694-739b-aea5-966c26f8ad91";
    const BEGAN: i64 = 0x0190_163d_8694;
    const VISITOR: Uuid = Uuid::from_u128(1);

    fn of(session: &str, key_at: i64, occurred_at: i64) -> Uuid {
        session_id(7, VISITOR, session, UnixMs(key_at), UnixMs(occurred_at))
    }

    #[test]
    fn a_session_is_cut_24_hours_after_it_began() {
        assert_eq!(of(V7, BEGAN, 0), of(V7, BEGAN + DAY_MS - 1, 0));
        assert_ne!(of(V7, BEGAN, 0), of(V7, BEGAN + DAY_MS, 0));
    }

    #[test]
    fn a_corrected_or_backward_clock_cuts_nothing() {
        assert_eq!(of(V7, BEGAN, BEGAN), of(V7, BEGAN + 1, BEGAN - 10 * DAY_MS));
        assert_eq!(of(V7, BEGAN, BEGAN), of(V7, BEGAN - DAY_MS, BEGAN));
    }

    #[test]
    fn other_ids_are_cut_by_utc_days() {
        assert_eq!(of("s-1", 0, DAY_MS), of("s-1", 5 * DAY_MS, 2 * DAY_MS - 1));
        assert_ne!(of("s-1", 0, DAY_MS), of("s-1", 0, 2 * DAY_MS));
    }

    #[test]
    fn projects_and_visitors_are_apart() {
        let other = session_id(8, VISITOR, V7, UnixMs(BEGAN), UnixMs(0));
        assert_ne!(of(V7, BEGAN, 0), other);
        let other = session_id(7, Uuid::from_u128(2), V7, UnixMs(BEGAN), UnixMs(0));
        assert_ne!(of(V7, BEGAN, 0), other);
    }
}
