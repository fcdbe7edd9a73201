//! Fifth step: which person each visitor belongs to.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use super::Tx;
use crate::StoreError;
use crate::commit::FreshEvents;
use crate::model::Identification;

impl Tx {
    /// Keeps, for each visitor that named a person, the earliest time it did.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn merge_identities(&mut self, fresh: &FreshEvents<'_>) -> Result<(), StoreError> {
        let mut earliest: BTreeMap<(i32, Uuid), Identification> = BTreeMap::new();
        for event in &fresh.events {
            let row = &event.row;
            let (Some(visitor_id), Some(user_id)) = (row.visitor_id, &row.user_id) else { continue };
            let identification = Identification {
                project_id: row.project_id,
                visitor_id,
                user_id: user_id.clone(),
                occurred_at: row.occurred_at,
                event_id: row.id,
            };
            let kept = earliest.entry(identification.key()).or_insert_with(|| identification.clone());
            if identification.precedes(kept) {
                *kept = identification;
            }
        }
        if earliest.is_empty() {
            return Ok(());
        }
        // Most of them are known: a returning person names itself with every event.
        let keys: Vec<(i32, Uuid)> = earliest.keys().copied().collect();
        let known: HashMap<_, _> =
            self.statements.identifications(&keys).await?.into_iter().map(|row| (row.key(), row)).collect();
        let earlier: Vec<Identification> = earliest
            .into_values()
            .filter(|row| known.get(&row.key()).is_none_or(|known| row.precedes(known)))
            .collect();
        if earlier.is_empty() {
            return Ok(());
        }
        self.statements.keep_earliest(&earlier).await
    }
}
