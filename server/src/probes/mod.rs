//! What operators' tools ask a role: `/health`, `/ready`, `/metrics`.

mod metrics;
mod ready;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use tallymark_collector::{Collector, health};
use tallymark_queue::Queue;
use tallymark_store::Store;
use tokio_util::sync::CancellationToken;

pub(crate) use self::metrics::{Metrics, register_outcomes};

/// How long a probe waits for an answer: whoever asks has a timeout of a few seconds of their own.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// What a role consists of, as far as its probes ask it.
#[derive(Clone)]
pub(crate) struct Probed {
    pub(crate) collector: Option<Collector>,
    pub(crate) store: Option<Store>,
    /// The queue, where this role appends to it or reads from it.
    pub(crate) queue: Option<Arc<dyn Queue>>,
    /// How long the oldest envelope may have waited. `None`: processing is not this role's work.
    pub(crate) lag_max: Option<Duration>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) metrics: Metrics,
}

/// `/health`, `/ready` and `/metrics`.
pub(crate) fn router(probed: Probed) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/ready", get(ready::ready))
        .route("/metrics", get(metrics::metrics))
        .with_state(probed)
}
