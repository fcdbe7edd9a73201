//! What is counted and measured here. The server shows it; every series stands there from the start.

use std::time::Duration;

use metrics::{Counter, Histogram, counter, describe_counter, describe_histogram, histogram};
use tallymark_protocol::{CaptureAnswer, DiscardReason};

use crate::refusal::Refusal;

/// Handles of series, looked up once: a look-up by name costs more than the counting.
pub(crate) struct Measures {
    accepted_requests: Counter,
    refused_requests: Vec<(&'static str, Counter)>,
    accepted_events: Counter,
    /// By the reason's place in [`DiscardReason::ALL`].
    rejected_events: [Counter; DiscardReason::ALL.len()],
    seconds: Histogram,
    body_bytes: Counter,
}

impl Measures {
    /// Series of the recorder that is installed now.
    pub(crate) fn new() -> Self {
        describe();
        let requests =
            |answer: &'static str| counter!("tallymark_capture_requests_total", "answer" => answer);
        let events = |verdict: &'static str| counter!("tallymark_capture_events_total", "verdict" => verdict);
        let measures = Self {
            accepted_requests: requests("accepted"),
            refused_requests: Refusal::NAMES.iter().map(|name| (*name, requests(name))).collect(),
            accepted_events: events("accepted"),
            rejected_events: DiscardReason::ALL.map(|reason| events(reason.as_str())),
            seconds: histogram!("tallymark_capture_seconds"),
            body_bytes: counter!("tallymark_capture_body_bytes_total"),
        };
        let refused = measures.refused_requests.iter().map(|(_, counter)| counter);
        let rejected = measures.rejected_events.iter();
        let others = [&measures.accepted_requests, &measures.accepted_events, &measures.body_bytes];
        refused.chain(rejected).chain(others).for_each(|counter| counter.increment(0));
        measures
    }

    /// Bytes of a body, as they came.
    pub(crate) fn body(&self, bytes: usize) {
        self.body_bytes.increment(bytes as u64);
    }

    /// A request that was answered.
    pub(crate) fn answered(&self, answer: &Result<CaptureAnswer, Refusal>, took: Duration) {
        self.seconds.record(took.as_secs_f64());
        match answer {
            Ok(answer) => {
                self.accepted_requests.increment(1);
                self.accepted_events.increment(answer.accepted as u64);
                for rejection in &answer.rejected {
                    self.rejected_events[rejection.reason as usize].increment(1);
                }
            }
            Err(refusal) => self.refused(refusal),
        }
    }

    /// A request that was refused; how long it took is not measured.
    pub(crate) fn refused(&self, refusal: &Refusal) {
        let name = refusal.name();
        if let Some((_, counter)) = self.refused_requests.iter().find(|(known, _)| *known == name) {
            counter.increment(1);
        }
    }
}

fn describe() {
    describe_counter!("tallymark_capture_requests_total", "Requests to the capture paths, by answer");
    describe_counter!(
        "tallymark_capture_events_total",
        "Events in answered envelopes: accepted (queued; repeats are found later), or why not"
    );
    describe_histogram!(
        "tallymark_capture_seconds",
        "From a request's headers to its answer, the body's arrival and the append included"
    );
    describe_counter!("tallymark_capture_body_bytes_total", "Bytes of bodies, as they came");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_stand_in_the_order_of_their_declaration() {
        for (index, reason) in DiscardReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
        }
    }
}
