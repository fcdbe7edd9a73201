//! `tallymark serve`: every stage in one process.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use tallymark_collector::{Collector, CollectorConfig, SystemClock, router};
use tallymark_processor::{Processor, ProcessorConfig};
use tallymark_query::QueryApi;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::http::{self, Readiness};
use super::publish;
use crate::backends::{open_queue, open_registry, open_store};
use crate::config::{Options, RoleOptions};
use crate::data_dir::OwnedDataDir;
use crate::{clock, demo, lifecycle, web};

/// Runs everything until a signal.
pub(crate) async fn serve(options: Options, role: RoleOptions) -> anyhow::Result<()> {
    let data_dir = OwnedDataDir::take(&options.data_dir)?;
    let store = open_store(&options).await?;
    let queue = open_queue(&options, Some(&data_dir)).await?;
    let registry = open_registry(&options, Some(&store))?;
    let collector =
        Collector::new(CollectorConfig::default(), Arc::clone(&queue), registry, Arc::new(SystemClock));
    let (listener, address) = http::listen(&options).await?;
    let public_url = http::public_url(&options, address);
    let shutdown = lifecycle::shutdown_on_signals()?;

    let stop_processing = CancellationToken::new();
    let tasks = TaskTracker::new();
    let processor =
        Processor::new(store.clone(), Arc::clone(&queue), processor_config(&options), clock::asked());
    let processing = tasks.spawn(run_processor(processor, stop_processing.clone(), shutdown.clone()));
    if let Some(publisher) = publish::publisher(&options, &store)? {
        tasks.spawn(publisher.run(stop_processing.clone()));
    }
    tasks.close();

    let demo = demo::prepare(role, &options, &store, &*queue).await?;
    let readiness = Readiness {
        collector: Some(collector.clone()),
        store: Some(store.clone()),
        shutdown: shutdown.clone(),
    };
    let app = Router::new()
        .merge(router(collector.clone()))
        .merge(tallymark_query::router(QueryApi { store: store.clone(), now: clock::asked() }))
        .merge(http::probes(readiness))
        .merge(web::router(demo.as_ref()));
    web::announce(&public_url, demo.as_ref());
    http::answer(listener, app, shutdown).await?;

    // What was acknowledged is in the queue; what is read from it is committed; then the files are closed.
    collector.drain().await;
    stop_processing.cancel();
    tasks.wait().await;
    queue.close().await;
    store.close().await;
    processing
        .await
        .context("the processor failed; what was acknowledged is in the queue and counts after a restart")?;
    tracing::info!("stopped");
    Ok(())
}

/// Runs a processor. When it ends, by a bug too, the process is to end: a server that acknowledges and never counts
/// would go unnoticed.
pub(super) async fn run_processor(
    processor: Processor,
    stop: CancellationToken,
    shutdown: CancellationToken,
) {
    let _ends_the_process = shutdown.drop_guard();
    processor.run(stop).await;
}

/// How the processor works, as configured.
pub(super) fn processor_config(options: &Options) -> ProcessorConfig {
    ProcessorConfig {
        batch_events_max: usize::try_from(options.batch_max).unwrap_or(usize::MAX),
        linger: Duration::from_millis(options.linger_ms),
        ..ProcessorConfig::default()
    }
}
