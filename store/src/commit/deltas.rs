//! Sixth step: what all of it adds to the rollups and to the outcomes.

use std::collections::BTreeMap;

use super::{ChangedSession, FreshEvents, ProjectRules, Tx};
use crate::StoreError;
use crate::model::{
    Buckets, Counts, DeltaFold, Dimension, SessionRow, event_contributions, session_contributions,
};

/// What a commit adds, by project.
pub type Deltas = BTreeMap<i32, DeltaFold>;

/// Σ f(new event) + Σ (g(after) − Σ g(before)), and the outcome of every event.
///
/// # Errors
/// [`StoreError::UnknownProject`] for events of a project whose envelopes were not claimed.
pub fn deltas(
    tx: &mut Tx,
    fresh: &FreshEvents<'_>,
    changed: &[ChangedSession],
) -> Result<Deltas, StoreError> {
    let mut deltas = Deltas::new();
    for (project_id, received_at, outcome) in &fresh.outcomes {
        deltas.entry(*project_id).or_default().add_outcome(*received_at, *outcome, 1);
    }
    for event in &fresh.events {
        let rules = tx.rules(event.row.project_id)?;
        let buckets = rules.buckets.of(event.row.occurred_at);
        let visitor = event.row.visitor_id.map(|visitor_id| rules.hasher.hash(visitor_id));
        let fold = deltas.entry(event.row.project_id).or_default();
        event_contributions(&event.row, |dimension, value, counts| {
            fold.add((buckets, dimension), value, counts, visitor);
        });
    }
    for session in changed {
        let project_id = session.after.project_id;
        add_session(tx.rules(project_id)?, deltas.entry(project_id).or_default(), session);
    }
    Ok(deltas)
}

impl Tx {
    /// Appends `deltas`; the compactor folds them in.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn append_deltas(&mut self, deltas: &Deltas) -> Result<(), StoreError> {
        let rows: Vec<(i32, Vec<u8>)> =
            deltas.iter().map(|(project_id, fold)| (*project_id, fold.to_bytes())).collect();
        if rows.is_empty() {
            return Ok(());
        }
        self.statements.append_deltas(&rows).await
    }
}

type Row = ((Buckets, Dimension), String);

/// Adds g(after) − Σ g(before).
fn add_session(rules: &mut ProjectRules, fold: &mut DeltaFold, session: &ChangedSession) {
    let mut before: Vec<(Row, Counts)> = Vec::new();
    for row in &session.before {
        before.append(&mut rows_of(rules, row));
    }
    let visitor = rules.hasher.hash(session.after.visitor_id);
    for ((at, value), mut counts) in rows_of(rules, &session.after) {
        // A row that the visitor's session was in already counts its visitor.
        let mut newcomer = counts_visitors(at.1);
        while let Some(place) = before.iter().position(|(before, _)| before.0 == at && before.1 == value) {
            counts.add(&before.swap_remove(place).1.negated());
            newcomer = false;
        }
        if newcomer || !counts.is_zero() {
            fold.add(at, &value, &counts, newcomer.then_some(visitor));
        }
    }
    for ((at, value), counts) in before {
        fold.add(at, &value, &counts.negated(), None);
        if counts_visitors(at.1) {
            fold.mark_stale(at, &value);
        }
    }
}

/// Whether g feeds the row's visitors.
fn counts_visitors(dimension: Dimension) -> bool {
    dimension != Dimension::Total && dimension.counts_visitors()
}

fn rows_of(rules: &mut ProjectRules, session: &SessionRow) -> Vec<(Row, Counts)> {
    let buckets = session.counted_in.unwrap_or_else(|| rules.buckets.of(session.started_at));
    let mut rows = Vec::with_capacity(10);
    session_contributions(session, |dimension, value, counts| {
        rows.push((((buckets, dimension), value.to_owned()), *counts));
    });
    rows
}
