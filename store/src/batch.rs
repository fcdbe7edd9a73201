//! What a commit is given: envelopes whose events are ready to be counted.

use tallymark_protocol::{DiscardReason, UnixMs};
use uuid::Uuid;

use crate::model::EnrichedEvent;

/// Envelopes to commit together.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// The envelopes, in any order.
    pub envelopes: Vec<EnvelopeRow>,
}

/// One envelope: its receipt, and what was in it. `received` = `events` + `refused`.
#[derive(Clone, Debug)]
pub struct EnvelopeRow {
    /// Whose.
    pub project_id: i32,
    /// Given once, by the collector.
    pub envelope_id: Uuid,
    /// The collector's time.
    pub received_at: UnixMs,
    /// Events in the body.
    pub received: u32,
    /// Reasons of the events that are not to be counted.
    pub refused: Vec<DiscardReason>,
    /// Numbers of the events of each tab, refused ones too.
    pub numbered: Vec<(Uuid, u32)>,
    /// The events to count.
    pub events: Vec<EnrichedEvent>,
}

impl Batch {
    /// How many events its envelopes hold.
    #[must_use]
    pub fn events_len(&self) -> usize {
        self.envelopes.iter().map(|envelope| envelope.events.len()).sum()
    }
}
