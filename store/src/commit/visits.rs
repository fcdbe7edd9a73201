//! Part of the second step: visits whose client made no session get the server's.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};

use uuid::Uuid;

use super::Tx;
use crate::StoreError;
use crate::model::{EnrichedEvent, VisitorDay, VisitorDayKey};

/// A session of the server's making that is part of another now, because an earlier event, or one between the two,
/// came late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MovedSession {
    pub(crate) project_id: i32,
    pub(crate) from: Uuid,
    pub(crate) into: Uuid,
}

type Days = HashMap<VisitorDayKey, VisitorDay>;

impl Tx {
    /// Gives each new event that has a visitor and no session of its client's one of the server's: by the project's
    /// timeout, within the UTC day in which it happened. Answers the sessions that are part of others now.
    ///
    /// From here to the transaction's end the visitors' days are held: nobody else touches their sessions, or says
    /// which of them an event is of. Does nothing where all events have sessions.
    pub(super) async fn sessionize(
        &mut self,
        events: &mut [Cow<'_, EnrichedEvent>],
    ) -> Result<Vec<MovedSession>, StoreError> {
        let parts = self.fold_visits(events)?;
        if parts.is_empty() {
            return Ok(Vec::new());
        }
        let (days, moved) = self.merge_visits(parts).await?;
        for event in events {
            let Some(key) = visitor_day(event) else { continue };
            let session_id = days[&key].session_at(event.row.occurred_at);
            let row = &mut event.to_mut().row;
            row.session_id = Some(session_id);
            row.server_session = true;
        }
        Ok(moved)
    }

    /// The days of the visits among `events`, in key order, as if there were no others.
    fn fold_visits(&mut self, events: &[Cow<'_, EnrichedEvent>]) -> Result<Vec<VisitorDay>, StoreError> {
        let mut days: BTreeMap<VisitorDayKey, VisitorDay> = BTreeMap::new();
        for event in events {
            let Some(key) = visitor_day(event) else { continue };
            let timeout_ms = self.rules(key.0)?.session_timeout_ms;
            let part = VisitorDay::of(key.0, key.2, event.row.occurred_at);
            match days.entry(key) {
                std::collections::btree_map::Entry::Vacant(vacant) => {
                    vacant.insert(part);
                }
                std::collections::btree_map::Entry::Occupied(mut day) => {
                    day.get_mut().visits.merge(&part.visits, timeout_ms);
                }
            }
        }
        Ok(days.into_values().collect())
    }

    /// Merges `parts` into the stored days, as sessions are merged: inserts those that are missing, locks the others
    /// in key order, and writes what changed. Answers the days as they are now.
    async fn merge_visits(
        &mut self,
        parts: Vec<VisitorDay>,
    ) -> Result<(Days, Vec<MovedSession>), StoreError> {
        let inserted = self.statements.insert_missing_visitor_days(&parts).await?;
        let inserted: HashSet<_> = inserted.into_iter().collect();
        let (new, known): (Vec<_>, Vec<_>) =
            parts.into_iter().partition(|part| inserted.contains(&part.key()));
        let mut days: Days = new.into_iter().map(|day| (day.key(), day)).collect();
        let mut moved = Vec::new();
        if known.is_empty() {
            return Ok((days, moved));
        }
        let keys: Vec<VisitorDayKey> = known.iter().map(VisitorDay::key).collect();
        let stored = self.statements.lock_visitor_days(&keys).await?;
        let mut stored: Days = stored.into_iter().map(|day| (day.key(), day)).collect();
        let mut updates = Vec::with_capacity(known.len());
        for part in known {
            let Some(before) = stored.remove(&part.key()) else {
                return Err(StoreError::Conflict(sqlx::Error::RowNotFound));
            };
            let project_id = part.project_id;
            let mut day = before.clone();
            day.visits.merge(&part.visits, self.rules(project_id)?.session_timeout_ms);
            moved.extend(day.moved_from(&before).map(|(from, into)| MovedSession { project_id, from, into }));
            if day != before {
                updates.push(day.clone());
            }
            days.insert(day.key(), day);
        }
        if !updates.is_empty() {
            self.statements.update_visitor_days(&updates).await?;
        }
        moved.sort_unstable_by_key(|session| (session.project_id, session.from));
        Ok((days, moved))
    }
}

/// The visitor's day that an event is of, if its client made no session.
fn visitor_day(event: &EnrichedEvent) -> Option<VisitorDayKey> {
    let row = &event.row;
    match row.session_id {
        None => Some((row.project_id, row.occurred_at.utc_day(), row.visitor_id?)),
        Some(_) => None,
    }
}
