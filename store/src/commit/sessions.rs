//! Third step: the sessions that the new events belong to, before and after.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::{FreshEvents, Tx};
use crate::StoreError;
use crate::model::{SessionRow, fold_sessions};

/// A session that the commit touched.
#[derive(Clone, Debug)]
pub struct ChangedSession {
    /// As it was counted so far: not at all, as itself, or, where the server made it, as the sessions that became one.
    /// All are of the same visitor.
    pub before: Vec<SessionRow>,
    /// As it is counted from now on.
    pub after: SessionRow,
}

/// What sessions were that are part of others now, by the key of these.
type Absorbed = HashMap<(i32, Uuid), Vec<SessionRow>>;

impl Tx {
    /// Merges the new events into the stored sessions: takes away those that are part of others now, inserts those
    /// that are missing, then locks the rest in key order, folds, and writes them in one statement.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn merge_sessions(
        &mut self,
        fresh: &FreshEvents<'_>,
    ) -> Result<Vec<ChangedSession>, StoreError> {
        let mut absorbed = self.absorb(fresh).await?;
        let of_events = fresh.events.iter().filter_map(|event| SessionRow::of(event));
        let of_sessions = absorbed.iter().flat_map(|((_, session_id), rows)| {
            rows.iter().map(|row| SessionRow { session_id: *session_id, ..row.clone() })
        });
        let mut parts = fold_sessions(of_events.chain(of_sessions));
        for part in &mut parts {
            let buckets = self.rules(part.project_id)?.buckets.of(part.started_at);
            part.counted_in = Some(buckets);
        }
        if parts.is_empty() {
            return Ok(Vec::new());
        }
        let inserted: HashSet<_> =
            self.statements.insert_missing_sessions(&parts).await?.into_iter().collect();
        let (new, known): (Vec<_>, Vec<_>) =
            parts.into_iter().partition(|part| inserted.contains(&part.key()));
        let mut changed: Vec<ChangedSession> = new
            .into_iter()
            .map(|after| ChangedSession { before: absorbed.remove(&after.key()).unwrap_or_default(), after })
            .collect();
        if !known.is_empty() {
            self.merge_known(known, &mut absorbed, &mut changed).await?;
        }
        Ok(changed)
    }

    /// Takes away the sessions that are part of others now, and gives these their events.
    async fn absorb(&mut self, fresh: &FreshEvents<'_>) -> Result<Absorbed, StoreError> {
        let mut absorbed = Absorbed::new();
        if fresh.moved.is_empty() {
            return Ok(absorbed);
        }
        let into: HashMap<(i32, Uuid), Uuid> =
            fresh.moved.iter().map(|moved| ((moved.project_id, moved.from), moved.into)).collect();
        let keys: Vec<(i32, Uuid)> = fresh.moved.iter().map(|moved| (moved.project_id, moved.from)).collect();
        for row in self.statements.take_sessions(&keys).await? {
            let Some(session_id) = into.get(&row.key()) else { continue };
            absorbed.entry((row.project_id, *session_id)).or_default().push(row);
        }
        self.statements.move_events(&fresh.moved).await?;
        Ok(absorbed)
    }

    /// `parts` are of sessions that are stored.
    async fn merge_known(
        &mut self,
        parts: Vec<SessionRow>,
        absorbed: &mut Absorbed,
        changed: &mut Vec<ChangedSession>,
    ) -> Result<(), StoreError> {
        let keys: Vec<(i32, Uuid)> = parts.iter().map(SessionRow::key).collect();
        let mut stored: HashMap<_, _> =
            self.statements.lock_sessions(&keys).await?.into_iter().map(|row| (row.key(), row)).collect();
        let mut updates = Vec::with_capacity(parts.len());
        for part in parts {
            // Not there although inserting it met a conflict: somebody erased it just now; count it as new.
            let Some(stored) = stored.remove(&part.key()) else {
                return Err(StoreError::Conflict(sqlx::Error::RowNotFound));
            };
            let mut after = stored.clone();
            after.merge(part);
            if after.started_at != stored.started_at {
                after.counted_in = Some(self.rules(after.project_id)?.buckets.of(after.started_at));
            }
            updates.push(after.clone());
            let mut before = absorbed.remove(&after.key()).unwrap_or_default();
            before.push(stored);
            changed.push(ChangedSession { before, after });
        }
        self.statements.update_sessions(&updates).await
    }
}
