//! `tallymark process`: from Redis into the store.

use std::sync::Arc;
use std::time::Duration;

use super::http;
use super::processing::Processing;
use crate::backends::{open_queue, open_store};
use crate::config::Options;
use crate::lifecycle;
use crate::out::say;
use crate::probes::{self, Metrics, Probed};

/// Runs a processor until a signal.
pub(crate) async fn process(options: Options) -> anyhow::Result<()> {
    anyhow::ensure!(
        options.redis_url.is_some(),
        "a processor takes events from Redis: give --redis-url, or run `tallymark serve`, which needs nothing beside it"
    );
    let metrics = Metrics::start()?;
    let listening = match options.listen {
        Some(_) => Some(http::listen(&options).await?),
        None => None,
    };
    let store = open_store(&options).await?;
    let queue = open_queue(&options, None).await?;
    let shutdown = lifecycle::shutdown_on_signals()?;
    let processing = Processing::start(&options, &store, &queue, shutdown.clone())?;
    let probed = Probed {
        collector: None,
        store: Some(store.clone()),
        queue: Some(Arc::clone(&queue)),
        lag_max: Some(Duration::from_secs(options.ready_lag_seconds)),
        shutdown: shutdown.clone(),
        metrics,
    };
    match listening {
        Some((listener, address)) => {
            say!("Processing; probes: {}/ready", http::public_url(&options, address));
            http::answer(listener, probes::router(probed), shutdown.clone()).await?;
        }
        None => tracing::info!("processing"),
    }
    shutdown.cancelled().await;
    processing.end(&*queue, &store).await?;
    tracing::info!("stopped");
    Ok(())
}
