//! Fourth step: which numbers of each tab's events were seen.

use std::collections::{BTreeMap, HashMap, HashSet};

use uuid::Uuid;

use super::{Claimed, Tx};
use crate::StoreError;
use crate::model::{SeqRanges, TabRow};

impl Tx {
    /// Adds the numbers of the batch's events, refused and repeated ones too, to the ledger.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn merge_tabs(&mut self, claimed: &Claimed<'_>) -> Result<(), StoreError> {
        let parts = fold(claimed);
        if parts.is_empty() {
            return Ok(());
        }
        let inserted: HashSet<_> = self.statements.insert_missing_tabs(&parts).await?.into_iter().collect();
        let known: Vec<TabRow> = parts.into_iter().filter(|part| !inserted.contains(&part.key())).collect();
        if known.is_empty() {
            return Ok(());
        }
        let keys: Vec<(i32, Uuid)> = known.iter().map(TabRow::key).collect();
        let mut stored: HashMap<_, _> =
            self.statements.lock_tabs(&keys).await?.into_iter().map(|row| (row.key(), row)).collect();
        let mut updates = Vec::with_capacity(known.len());
        for part in known {
            let Some(mut row) = stored.remove(&part.key()) else {
                return Err(StoreError::Conflict(sqlx::Error::RowNotFound));
            };
            row.merge(&part);
            updates.push(row);
        }
        self.statements.update_tabs(&updates).await
    }
}

fn fold(claimed: &Claimed<'_>) -> Vec<TabRow> {
    let mut tabs: BTreeMap<(i32, Uuid), TabRow> = BTreeMap::new();
    for envelope in &claimed.envelopes {
        for &(tab_id, seq) in &envelope.numbered {
            let tab = tabs.entry((envelope.project_id, tab_id)).or_insert_with(|| TabRow {
                project_id: envelope.project_id,
                tab_id,
                first_at: envelope.received_at,
                last_at: envelope.received_at,
                seen: SeqRanges::default(),
            });
            tab.first_at = tab.first_at.min(envelope.received_at);
            tab.last_at = tab.last_at.max(envelope.received_at);
            tab.seen.insert(seq);
        }
    }
    tabs.into_values().collect()
}
