//! The function that everybody must understand.

use std::collections::BTreeMap;

use tallymark_protocol::{DiscardReason, Outcome};
use tallymark_store::{Batch, Store, StoreError, deltas};

/// What a commit did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// Envelopes that were counted; the others of the batch had been before.
    pub envelopes: usize,
    /// Events that are stored now and were not before.
    pub accepted: usize,
    /// Events whose id was stored already.
    pub duplicates: usize,
    /// Events that were refused, here or by the collector: how many for each reason.
    pub discarded: BTreeMap<DiscardReason, usize>,
}

/// Counts a batch: one transaction, exactly once. Delivery is at least once; the ack comes after this.
///
/// What makes it once: receipts let a redelivered envelope fall out whole; the key of an event lets a repeat in
/// another envelope fall out; and everything that is counted is derived from the rows that were really
/// inserted or changed, in the same transaction.
///
/// # Errors
/// [`StoreError::Conflict`]: nothing happened, try again. After [`StoreError::Unavailable`] it is unknown
/// whether it happened: try again, the receipts will tell. Where [`StoreError::is_final`], it fails each time.
pub async fn commit(store: &Store, batch: &Batch) -> Result<Committed, StoreError> {
    let mut tx = store.begin().await?;
    let claimed = tx.claim_envelopes(batch).await?; // receipts: a redelivered envelope falls out whole
    let fresh = tx.insert_new_events(&claimed).await?; // repeats by id fall out; who has no session gets one
    let changed = tx.merge_sessions(&fresh).await?; // (before, after) of each touched session
    tx.merge_tabs(&claimed).await?; // numbers seen of each tab, for the ledger
    tx.merge_identities(&fresh).await?; // visitor → person
    let deltas = deltas(&mut tx, &fresh, &changed)?;
    tx.append_deltas(&deltas).await?; // rollups, outcomes
    tx.log_commit(&claimed, &fresh).await?; // for operators
    tx.commit().await?;

    let mut committed = Committed { envelopes: claimed.len(), ..Committed::default() };
    for (.., outcome) in &fresh.outcomes {
        match outcome {
            Outcome::Accepted => committed.accepted += 1,
            Outcome::Duplicate => committed.duplicates += 1,
            Outcome::Discarded(reason) => *committed.discarded.entry(*reason).or_default() += 1,
        }
    }
    Ok(committed)
}
