//! `GET /ready`: whether this role can do its work now. Every reason is said, not only the first.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::Serialize;
use tallymark_collector::Check;
use tallymark_queue::Queue;
use tallymark_store::Store;

use super::{ANSWER_TIMEOUT, Probed};
use crate::clock;

#[derive(Serialize)]
struct Ready {
    is_ready: bool,
    checks: Vec<Check>,
}

/// 200 when every check passes, else 503.
pub(super) async fn ready(State(probed): State<Probed>) -> impl IntoResponse {
    let mut checks = Vec::new();
    if probed.shutdown.is_cancelled() {
        checks.push(Check { name: "shutdown", is_ready: false, detail: "draining".to_owned() });
    }
    if let Some(collector) = &probed.collector {
        checks.push(collector.check().await);
    }
    if let (Some(queue), Some(lag_max)) = (&probed.queue, probed.lag_max) {
        checks.push(lag(&**queue, lag_max).await);
    }
    if let Some(store) = &probed.store {
        checks.push(answers(store).await);
    }
    let is_ready = checks.iter().all(|check| check.is_ready);
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Ready { is_ready, checks }))
}

async fn answers(store: &Store) -> Check {
    let (is_ready, detail) = match tokio::time::timeout(ANSWER_TIMEOUT, store.ping()).await {
        Ok(Ok(())) => (true, "answers".to_owned()),
        Ok(Err(error)) => (false, error.to_string()),
        Err(_) => (false, no_answer()),
    };
    Check { name: "store", is_ready, detail }
}

async fn lag(queue: &dyn Queue, lag_max: Duration) -> Check {
    let name = "lag";
    let backlog = match tokio::time::timeout(ANSWER_TIMEOUT, queue.backlog()).await {
        Ok(Ok(backlog)) => backlog,
        Ok(Err(error)) => return Check { name, is_ready: false, detail: error.to_string() },
        Err(_) => return Check { name, is_ready: false, detail: no_answer() },
    };
    let Some(oldest) = backlog.oldest_received_at else {
        return Check { name, is_ready: true, detail: "nothing waits".to_owned() };
    };
    let waited = Duration::from_millis(u64::try_from(clock::now().0 - oldest.0).unwrap_or(0));
    let detail = format!(
        "the oldest of {} envelopes has waited {} s; {} s are well",
        backlog.entries,
        waited.as_secs(),
        lag_max.as_secs()
    );
    Check { name, is_ready: waited <= lag_max, detail }
}

fn no_answer() -> String {
    format!("no answer within {} s", ANSWER_TIMEOUT.as_secs())
}
