//! `tallymark process`: from Redis into the store.

use super::processing::Processing;
use crate::backends::{open_queue, open_store};
use crate::config::Options;
use crate::lifecycle;

/// Runs a processor until a signal.
pub(crate) async fn process(options: Options) -> anyhow::Result<()> {
    anyhow::ensure!(
        options.redis_url.is_some(),
        "a processor takes events from Redis: give --redis-url, or run `tallymark serve`, which needs nothing beside it"
    );
    let store = open_store(&options).await?;
    let queue = open_queue(&options, None).await?;
    let shutdown = lifecycle::shutdown_on_signals()?;
    let processing = Processing::start(&options, &store, &queue, shutdown.clone())?;
    tracing::info!("processing");
    shutdown.cancelled().await;
    processing.end(&*queue, &store).await?;
    tracing::info!("stopped");
    Ok(())
}
