//! Second step: the events that are new.

use std::borrow::Cow;
use std::collections::HashSet;

use tallymark_protocol::{DiscardReason, Outcome, UnixMs};
use uuid::Uuid;

use super::{Claimed, MovedSession, Tx, event_key};
use crate::StoreError;
use crate::model::{EnrichedEvent, EventRow};

/// What became of a batch's events.
#[derive(Debug, Default)]
pub struct FreshEvents<'b> {
    /// The events that are stored now and were not before, in key order. Those with a visitor have a session.
    pub events: Vec<Cow<'b, EnrichedEvent>>,
    /// The outcome of every event of the batch, refused ones too, with its project and hour of receipt.
    pub outcomes: Vec<(i32, UnixMs, Outcome)>,
    /// Sessions that are part of others now, in key order.
    pub(super) moved: Vec<MovedSession>,
}

impl Tx {
    /// Inserts the events that are not stored. Repeats by id, within the batch or against the store, fall out
    /// as duplicates; events of days that were pruned fall out as too late. Events with a visitor and no session of
    /// their client's get one of the server's.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where another commit inserted one of them meanwhile.
    pub async fn insert_new_events<'b>(
        &mut self,
        claimed: &Claimed<'b>,
    ) -> Result<FreshEvents<'b>, StoreError> {
        let mut fresh = FreshEvents::default();
        let mut events = Vec::new();
        for envelope in &claimed.envelopes {
            let horizon_day = self.rules(envelope.project_id)?.horizon_day.unwrap_or(i32::MIN);
            let receipt = (envelope.project_id, envelope.received_at);
            let mut discard =
                |reason| fresh.outcomes.push((receipt.0, receipt.1, Outcome::Discarded(reason)));
            envelope.refused.iter().for_each(|reason| discard(*reason));
            for event in &envelope.events {
                if event.row.day < horizon_day {
                    discard(DiscardReason::TooLate);
                } else {
                    events.push((event, receipt));
                }
            }
        }
        // Among repeats within the batch the one received first stays, whatever the order of delivery.
        events.sort_by_key(|(event, receipt)| (event_key(event), receipt.1));
        let stored = self.stored(&events).await?;
        let mut before = None;
        for (event, (project_id, received_at)) in events {
            let key = event_key(event);
            let repeat = before == Some(key) || stored.contains(&key);
            before = Some(key);
            let outcome = if repeat { Outcome::Duplicate } else { Outcome::Accepted };
            fresh.outcomes.push((project_id, received_at, outcome));
            if !repeat {
                fresh.events.push(Cow::Borrowed(event));
            }
        }
        fresh.moved = self.sessionize(&mut fresh.events).await?;
        let rows: Vec<&EventRow> = fresh.events.iter().map(|event| &event.row).collect();
        if !rows.is_empty() {
            self.statements.insert_events(&rows).await?;
        }
        Ok(fresh)
    }

    async fn stored<R>(
        &mut self,
        events: &[(&EnrichedEvent, R)],
    ) -> Result<HashSet<(i32, i32, Uuid)>, StoreError> {
        let mut keys: Vec<(i32, i32, Uuid)> = events.iter().map(|(event, _)| event_key(event)).collect();
        keys.dedup();
        keys.sort_unstable_by_key(|&(project_id, day, id)| (day, project_id, id));
        let mut stored = HashSet::new();
        for keys in keys.chunk_by(|a, b| a.1 == b.1) {
            let day = keys[0].1;
            let keys: Vec<(i32, Uuid)> = keys.iter().map(|&(project_id, _, id)| (project_id, id)).collect();
            let found = self.statements.stored_events(day, &keys).await?;
            stored.extend(found.into_iter().map(|(project_id, id)| (project_id, day, id)));
        }
        Ok(stored)
    }
}
