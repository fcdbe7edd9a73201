//! `tallymark query`: the read API alone.

use axum::Router;

use super::http;
use crate::admin::api;
use crate::backends::reach_store;
use crate::config::Options;
use crate::lifecycle;
use crate::out::say;
use crate::probes::{self, Metrics, Probed};

/// Answers queries until a signal.
pub(crate) async fn query(options: Options) -> anyhow::Result<()> {
    let store = reach_store(&options).await?;
    let (listener, address) = http::listen(&options).await?;
    let shutdown = lifecycle::shutdown_on_signals()?;
    let probed = Probed {
        collector: None,
        store: Some(store.clone()),
        queue: None,
        lag_max: None,
        shutdown: shutdown.clone(),
        metrics: Metrics::start()?,
    };
    let app =
        Router::new().merge(tallymark_query::router(api(&options, &store))).merge(probes::router(probed));
    say!("Queries: POST {}/api/v1/query", http::public_url(&options, address));
    http::answer(listener, app, shutdown).await?;
    store.close().await;
    Ok(())
}
