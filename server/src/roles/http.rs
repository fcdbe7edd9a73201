//! What a role answers over HTTP, until shutdown.

use std::future::IntoFuture as _;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use tallymark_collector::{Check, Collector, health};
use tallymark_store::Store;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::Options;

/// How long requests may take to end once the process is to stop; the rest of the drain comes after.
const REQUESTS_MAX: Duration = Duration::from_secs(4);

/// What `/ready` asks.
#[derive(Clone)]
pub(super) struct Readiness {
    pub(super) collector: Option<Collector>,
    pub(super) store: Option<Store>,
    pub(super) shutdown: CancellationToken,
}

#[derive(Serialize)]
struct Ready {
    is_ready: bool,
    checks: Vec<Check>,
}

/// `/health` and `/ready`, which every role with HTTP answers.
pub(super) fn probes(readiness: Readiness) -> Router {
    Router::new().route("/health", get(health)).route("/ready", get(ready)).with_state(readiness)
}

async fn ready(State(readiness): State<Readiness>) -> impl IntoResponse {
    let mut checks = Vec::new();
    if readiness.shutdown.is_cancelled() {
        checks.push(Check { name: "shutdown", is_ready: false, detail: "draining".to_owned() });
    }
    if let Some(collector) = &readiness.collector {
        checks.push(collector.check().await);
    }
    if let Some(store) = &readiness.store {
        let answer = store.ping().await;
        let detail = answer.as_ref().map_or_else(ToString::to_string, |()| "answers".to_owned());
        checks.push(Check { name: "store", is_ready: answer.is_ok(), detail });
    }
    let is_ready = checks.iter().all(|check| check.is_ready);
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Ready { is_ready, checks }))
}

/// Listens where the configuration says.
pub(super) async fn listen(options: &Options) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(options.listen).await.with_context(|| {
        format!(
            "cannot listen on {}; choose another address with --listen (port 0 takes a free one)",
            options.listen
        )
    })?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// The address under which browsers reach this server.
pub(super) fn public_url(options: &Options, address: SocketAddr) -> String {
    match &options.public_url {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None if address.ip().is_unspecified() => format!("http://localhost:{}", address.port()),
        None => format!("http://{address}"),
    }
}

/// Answers requests until shutdown, then finishes those that have begun. A client that never ends its request does not
/// keep the rest of the process from ending well.
pub(super) async fn answer(
    listener: TcpListener,
    router: Router,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let serving = axum::serve(listener, router).with_graceful_shutdown(shutdown.clone().cancelled_owned());
    let overdue = async {
        shutdown.cancelled().await;
        tokio::time::sleep(REQUESTS_MAX).await;
    };
    tokio::select! {
        served = serving.into_future() => served.context("the HTTP server stopped"),
        () = overdue => {
            tracing::warn!("requests that have not ended are left");
            Ok(())
        }
    }
}
