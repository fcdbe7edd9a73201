//! First step: which envelopes were counted already.

use std::collections::HashSet;

use super::{ProjectRules, Tx};
use crate::StoreError;
use crate::batch::{Batch, EnvelopeRow};
use crate::model::{VisitorHasher, ZoneBuckets};

/// The envelopes of a batch that were not counted before, in key order.
#[derive(Debug)]
pub struct Claimed<'b> {
    pub(super) envelopes: Vec<&'b EnvelopeRow>,
}

impl Tx {
    /// Writes the receipts of the batch's envelopes and answers the envelopes that had none: a
    /// redelivered one falls out whole. Takes the settings that the counting depends on.
    ///
    /// # Errors
    /// [`StoreError::UnknownProject`] where an envelope is of a project that is not there.
    pub async fn claim_envelopes<'b>(&mut self, batch: &'b Batch) -> Result<Claimed<'b>, StoreError> {
        let mut envelopes: Vec<&EnvelopeRow> = batch.envelopes.iter().collect();
        envelopes.sort_unstable_by_key(|envelope| (envelope.project_id, envelope.envelope_id));
        envelopes.dedup_by_key(|envelope| (envelope.project_id, envelope.envelope_id));
        self.hold_rules(&envelopes).await?;
        let claimed: HashSet<_> = self.statements.insert_receipts(&envelopes).await?.into_iter().collect();
        envelopes.retain(|envelope| claimed.contains(&(envelope.project_id, envelope.envelope_id)));
        Ok(Claimed { envelopes })
    }

    async fn hold_rules(&mut self, envelopes: &[&EnvelopeRow]) -> Result<(), StoreError> {
        let mut projects: Vec<i32> = envelopes.iter().map(|envelope| envelope.project_id).collect();
        projects.dedup(); // the envelopes are sorted by project
        for stored in self.statements.lock_rules(&projects).await? {
            let rules = ProjectRules {
                buckets: ZoneBuckets::new(stored.zone),
                horizon_day: stored.horizon_day,
                session_timeout_ms: stored.session_timeout_ms,
                hasher: VisitorHasher::new(stored.sketch_key),
            };
            self.rules.insert(stored.project_id, rules);
        }
        match projects.into_iter().find(|project| !self.rules.contains_key(project)) {
            Some(missing) => Err(StoreError::UnknownProject(missing)),
            None => Ok(()),
        }
    }
}

impl Claimed<'_> {
    /// How many envelopes were not counted before.
    #[must_use]
    pub fn len(&self) -> usize {
        self.envelopes.len()
    }

    /// Whether all of the batch was counted before.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.envelopes.is_empty()
    }
}
