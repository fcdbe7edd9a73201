//! `GET /metrics`: counters and gauges for Prometheus.
//!
//! Counters are counted where things happen, by the stages; what is a state (the backlog) is asked when
//! somebody looks.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use axum::extract::{ConnectInfo, State};
use axum::http::header::{CONTENT_TYPE, FORWARDED};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use metrics::{counter, describe_counter, describe_gauge, gauge};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tallymark_protocol::{DiscardReason, Outcome};
use tallymark_queue::Queue;

use super::{ANSWER_TIMEOUT, Probed};
use crate::clock;

/// Upper bounds of histograms of seconds: from a local Redis to a client that gives up.
const SECONDS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0];
/// Upper bounds of histograms of numbers of things.
const NUMBERS: [f64; 8] = [1.0, 2.0, 5.0, 10.0, 50.0, 200.0, 1_000.0, 5_000.0];
/// How often histograms are folded when nobody looks: what was measured waits in memory until then.
const FOLD_EVERY: Duration = Duration::from_secs(5);

/// The process's counters.
#[derive(Clone)]
pub(crate) struct Metrics(PrometheusHandle);

impl Metrics {
    /// Begins to count. Once a process, within its runtime.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let builder = PrometheusBuilder::new()
            .set_buckets(&NUMBERS)
            .and_then(|builder| {
                let seconds = metrics_exporter_prometheus::Matcher::Suffix("_seconds".to_owned());
                builder.set_buckets_for_metric(seconds, &SECONDS)
            })
            .context("cannot set up metrics")?;
        let handle = builder.install_recorder().context("cannot set up metrics")?;
        describe();
        register();
        let folded = handle.clone();
        #[expect(
            clippy::disallowed_methods,
            reason = "it lives as long as the process: nobody is to wait for it"
        )]
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(FOLD_EVERY).await;
                folded.run_upkeep();
            }
        });
        Ok(Self(handle))
    }
}

fn describe() {
    describe_counter!(
        "tallymark_events_total",
        "Events by what became of them; received = the sum. Counted by processors, after the commit"
    );
    describe_gauge!("tallymark_queue_entries", "Envelopes that wait or are being processed");
    describe_gauge!("tallymark_queue_bytes", "Their bytes; what the bound of the backlog is about");
    describe_gauge!("tallymark_queue_pending", "The envelopes among them that a processor has taken");
    describe_gauge!("tallymark_queue_oldest_seconds", "How long the oldest envelope has waited");
    describe_gauge!(
        "tallymark_dead_letters",
        "Envelopes that were set aside: see tallymark dead-letter list"
    );
    describe_counter!("tallymark_dead_letters_total", "Envelopes that were set aside by this process");
    describe_counter!(
        "tallymark_dead_letters_refused_total",
        "Envelopes that were to be set aside and stay pending: the dead letters are at their bound"
    );
    describe_gauge!("tallymark_spool_entries", "Envelopes that wait on this machine's disk for Redis");
    describe_gauge!("tallymark_spool_bytes", "Their bytes; what the bound of the spool is about");
    describe_counter!("tallymark_spool_appends_total", "Envelopes that were spooled, Redis being away");
    describe_counter!("tallymark_redis_reconnects_total", "Connections to Redis that were made anew");
    describe_counter!("tallymark_redis_connect_failures_total", "Tries to connect to Redis that failed");
    describe_counter!(
        "tallymark_rate_limits_decided_alone_total",
        "Rate limits decided without the other collectors, Redis being away or slow"
    );
    describe_gauge!("tallymark_build_info", "Always 1; the version is a label");
    gauge!("tallymark_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}

/// Counters of what should never happen: an alarm about their rate needs a first value, before it does.
const RARE: [&str; 6] = [
    "tallymark_dead_letters_total",
    "tallymark_dead_letters_refused_total",
    "tallymark_spool_appends_total",
    "tallymark_redis_reconnects_total",
    "tallymark_redis_connect_failures_total",
    "tallymark_rate_limits_decided_alone_total",
];

fn register() {
    for name in RARE {
        counter!(name).absolute(0);
    }
}

/// Every outcome stands there from the start, at nothing: a rate needs a first value.
pub(crate) fn register_outcomes() {
    let discards = DiscardReason::ALL.map(Outcome::Discarded);
    for outcome in [Outcome::Accepted, Outcome::Duplicate].into_iter().chain(discards) {
        counter!("tallymark_events_total", "outcome" => outcome.as_str()).absolute(0);
    }
}

/// The metrics, for whoever is on this machine or in its private network. The world, which reaches the
/// same port, is told nothing.
pub(super) async fn metrics(
    State(probed): State<Probed>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Response {
    let is_forwarded = headers.contains_key(FORWARDED) || headers.contains_key("x-forwarded-for");
    if is_forwarded || !is_near(peer) {
        let told = "metrics are answered on this machine and in its private network, not through a proxy\n";
        return (StatusCode::FORBIDDEN, told).into_response();
    }
    if let Some(queue) = &probed.queue {
        look_at(&**queue).await;
    }
    let text = "text/plain; version=0.0.4; charset=utf-8";
    ([(CONTENT_TYPE, text)], probed.metrics.0.render()).into_response()
}

async fn look_at(queue: &dyn Queue) {
    // A queue that does not answer leaves the gauges as they were; its counters of errors move.
    let Ok(Ok(backlog)) = tokio::time::timeout(ANSWER_TIMEOUT, queue.backlog()).await else { return };
    let oldest_ms = backlog.oldest_received_at.map_or(0, |oldest| (clock::now().0 - oldest.0).max(0));
    #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
    {
        gauge!("tallymark_queue_entries").set(backlog.entries as f64);
        gauge!("tallymark_queue_bytes").set(backlog.bytes as f64);
        gauge!("tallymark_queue_pending").set(backlog.pending as f64);
        gauge!("tallymark_dead_letters").set(backlog.dead_letters as f64);
        gauge!("tallymark_queue_oldest_seconds").set(oldest_ms as f64 / 1_000.0);
    }
}

fn is_near(peer: SocketAddr) -> bool {
    match peer.ip().to_canonical() {
        std::net::IpAddr::V4(address) => {
            address.is_loopback() || address.is_private() || address.is_link_local()
        }
        std::net::IpAddr::V6(address) => {
            address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_should_never_happen_is_shown_as_nothing_before_it_does() {
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, register);
        let shown = recorder.handle().render();
        for name in RARE {
            assert!(shown.contains(&format!("{name} 0")), "{shown}");
        }
    }

    #[test]
    fn only_what_is_near_is_near() {
        for near in
            ["127.0.0.1:1", "10.1.2.3:1", "192.168.0.1:1", "[::1]:1", "[fd00::1]:1", "[::ffff:10.0.0.1]:1"]
        {
            assert!(is_near(near.parse().unwrap()), "{near}");
        }
        for far in ["203.0.113.7:1", "[2001:db8::1]:1", "[::ffff:203.0.113.7]:1"] {
            assert!(!is_near(far.parse().unwrap()), "{far}");
        }
    }
}
