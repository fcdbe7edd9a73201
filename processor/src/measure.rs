//! What was committed, as metrics and as a line for who looks closely.

use std::time::Duration;

use metrics::{counter, histogram};
use tallymark_protocol::Outcome;

use crate::commit::Committed;

/// Counts a commit.
pub(crate) fn committed(committed: &Committed, took: Duration) {
    let discarded = committed.discarded.iter().map(|(reason, events)| (Outcome::Discarded(*reason), *events));
    let kept = [(Outcome::Accepted, committed.accepted), (Outcome::Duplicate, committed.duplicates)];
    for (outcome, events) in kept.into_iter().chain(discarded) {
        counter!("tallymark_events_total", "outcome" => outcome.as_str()).increment(events as u64);
    }
    histogram!("tallymark_commit_seconds").record(took);
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let discarded: usize = committed.discarded.values().sum();
    tracing::debug!(
        envelopes = committed.envelopes,
        accepted = committed.accepted,
        duplicates = committed.duplicates,
        discarded,
        took_ms,
        "committed a batch"
    );
}

/// Counts an entry that was set aside.
pub(crate) fn dead_letter() {
    counter!("tallymark_dead_letters_total").increment(1);
}

/// Counts an entry that was to be set aside and stays pending, since there is no room for more.
pub(crate) fn dead_letter_refused() {
    counter!("tallymark_dead_letters_refused_total").increment(1);
}
