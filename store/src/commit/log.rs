//! Last step: what the commit did, for operators.

use tallymark_protocol::Outcome;

use super::{Claimed, FreshEvents, Tx};
use crate::StoreError;
use crate::commit_log::CommitRow;

impl Tx {
    /// Writes down what this commit counts. A batch of which every envelope had been counted before leaves no row.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn log_commit(
        &mut self,
        claimed: &Claimed<'_>,
        fresh: &FreshEvents<'_>,
    ) -> Result<(), StoreError> {
        if claimed.is_empty() {
            return Ok(());
        }
        let mut done = CommitRow {
            took_ms: i32::try_from(self.began.elapsed().as_millis()).unwrap_or(i32::MAX),
            envelopes: i64::try_from(claimed.len()).unwrap_or(i64::MAX),
            ..CommitRow::default()
        };
        for (.., outcome) in &fresh.outcomes {
            match outcome {
                Outcome::Accepted => done.accepted += 1,
                Outcome::Duplicate => done.duplicates += 1,
                Outcome::Discarded(_) => done.discarded += 1,
            }
        }
        self.statements.log_commit(&done).await
    }
}
