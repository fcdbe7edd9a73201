//! Third step: the sessions that the new events belong to, before and after.

use std::collections::HashMap;

use uuid::Uuid;

use super::Tx;
use crate::StoreError;
use crate::model::SessionRow;

/// A session that the commit touched.
#[derive(Clone, Debug)]
pub struct ChangedSession {
    /// As it was counted so far; `None` for a new one.
    pub before: Option<SessionRow>,
    /// As it is counted from now on.
    pub after: SessionRow,
}

impl Tx {
    /// Merges `parts` (of different sessions, in key order) into the stored sessions: inserts those that are
    /// missing, then locks the others in key order, folds, and writes them in one statement.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn merge_sessions(
        &mut self,
        parts: Vec<SessionRow>,
    ) -> Result<Vec<ChangedSession>, StoreError> {
        let mut parts = parts;
        for part in &mut parts {
            let buckets = self.rules(part.project_id)?.buckets.of(part.started_at);
            part.counted_in = Some(buckets);
        }
        if parts.is_empty() {
            return Ok(Vec::new());
        }
        let inserted = self.statements.insert_missing_sessions(&parts).await?;
        let inserted: std::collections::HashSet<_> = inserted.into_iter().collect();
        let (new, known): (Vec<_>, Vec<_>) =
            parts.into_iter().partition(|part| inserted.contains(&part.key()));
        let mut changed: Vec<ChangedSession> =
            new.into_iter().map(|after| ChangedSession { before: None, after }).collect();
        if known.is_empty() {
            return Ok(changed);
        }
        let keys: Vec<(i32, Uuid)> = known.iter().map(SessionRow::key).collect();
        let mut stored: HashMap<_, _> =
            self.statements.lock_sessions(&keys).await?.into_iter().map(|row| (row.key(), row)).collect();
        let mut updates = Vec::with_capacity(known.len());
        for part in known {
            // Not there although inserting it met a conflict: somebody erased it just now; count it as new.
            let Some(before) = stored.remove(&part.key()) else {
                return Err(StoreError::Conflict(sqlx::Error::RowNotFound));
            };
            let mut after = before.clone();
            after.merge(part);
            if after.started_at != before.started_at {
                after.counted_in = Some(self.rules(after.project_id)?.buckets.of(after.started_at));
            }
            updates.push(after.clone());
            changed.push(ChangedSession { before: Some(before), after });
        }
        self.statements.update_sessions(&updates).await?;
        Ok(changed)
    }
}
