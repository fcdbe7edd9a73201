//! A processor and what runs beside it, from start to end.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tallymark_processor::{Processor, ProcessorConfig};
use tallymark_queue::Queue;
use tallymark_store::Store;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::publish;
use super::quotas::watch_quotas;
use crate::clock;
use crate::config::Options;
use crate::probes::register_outcomes;

/// Processing under way.
pub(super) struct Processing {
    stop: CancellationToken,
    tasks: TaskTracker,
    processor: JoinHandle<()>,
}

impl Processing {
    /// Starts a processor, a watch over quotas, and a publisher of projects where collectors read from Redis. When the processor ends, by a
    /// bug too, `shutdown` is cancelled: a process that acknowledges and never counts would go unnoticed.
    pub(super) fn start(
        options: &Options,
        store: &Store,
        queue: &Arc<dyn Queue>,
        shutdown: CancellationToken,
    ) -> anyhow::Result<Self> {
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        register_outcomes();
        if let Some(publisher) = publish::publisher(options, store)? {
            tasks.spawn(publisher.run(stop.clone()));
        }
        tasks.spawn(watch_quotas(store.clone(), stop.clone()));
        let config = ProcessorConfig {
            batch_events_max: usize::try_from(options.batch_max).unwrap_or(usize::MAX),
            linger: Duration::from_millis(options.linger_ms),
            reclaim_idle: Duration::from_secs(options.reclaim_idle_seconds),
        };
        let processor = Processor::new(store.clone(), Arc::clone(queue), config, clock::asked());
        let running = processor.run(stop.clone());
        let processor = tasks.spawn(async move {
            let _ends_the_process = shutdown.drop_guard();
            running.await;
        });
        tasks.close();
        Ok(Self { stop, tasks, processor })
    }

    /// Lets the commits under way end, and closes the queue and the store behind them.
    ///
    /// # Errors
    /// Where the processor had failed.
    pub(super) async fn end(self, queue: &dyn Queue, store: &Store) -> anyhow::Result<()> {
        self.stop.cancel();
        self.tasks.wait().await;
        queue.close().await;
        store.close().await;
        self.processor
            .await
            .context("the processor failed; what was acknowledged is in the queue and counts after a restart")
    }
}
