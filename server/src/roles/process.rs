//! `tallymark process`: from Redis into the store.

use anyhow::Context;
use tallymark_processor::Processor;
use tokio_util::task::TaskTracker;

use super::publish;
use super::serve::{processor_config, run_processor};
use crate::backends::{open_queue, open_store};
use crate::config::Options;
use crate::{clock, lifecycle};

/// Runs a processor until a signal.
pub(crate) async fn process(options: Options) -> anyhow::Result<()> {
    anyhow::ensure!(
        options.redis_url.is_some(),
        "a processor takes events from Redis: give --redis-url, or run `tallymark serve`, which needs nothing beside it"
    );
    let store = open_store(&options).await?;
    let queue = open_queue(&options, None).await?;
    let shutdown = lifecycle::shutdown_on_signals()?;
    let tasks = TaskTracker::new();
    if let Some(publisher) = publish::publisher(&options, &store)? {
        tasks.spawn(publisher.run(shutdown.clone()));
    }
    let processor = Processor::new(
        store.clone(),
        std::sync::Arc::clone(&queue),
        processor_config(&options),
        clock::asked(),
    );
    tracing::info!("processing");
    let processing = tasks.spawn(run_processor(processor, shutdown.clone(), shutdown));
    tasks.close();
    tasks.wait().await;
    queue.close().await;
    store.close().await;
    processing
        .await
        .context("the processor failed; what was acknowledged is in the queue and counts after a restart")?;
    tracing::info!("stopped");
    Ok(())
}
