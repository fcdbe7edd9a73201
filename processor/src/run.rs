//! The processor as a process: everything that runs until shutdown.

use std::sync::Arc;
use std::time::Duration;

use tallymark_queue::{BatchLimit, Delivery, Queue, QueueError};
use tallymark_store::{Kind, Store};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::Now;
use crate::enrich::Enricher;
use crate::settle::{Prepared, Stage, settle};
use crate::{compactor, days};

/// How a processor works.
#[derive(Clone, Copy, Debug)]
pub struct ProcessorConfig {
    /// Events of one transaction, at most.
    pub batch_events_max: usize,
    /// How long to wait for the first envelope of a batch. Under load batches fill while the one before commits.
    pub linger: Duration,
    /// How long an entry may stay with a consumer before another takes it over; longer than any commit.
    pub reclaim_idle: Duration,
}

impl Default for ProcessorConfig {
    fn default() -> Self {
        Self {
            batch_events_max: 5_000,
            linger: Duration::from_millis(500),
            reclaim_idle: Duration::from_secs(60),
        }
    }
}

/// Prepared batches that wait for the one that is committing: the next is enriched meanwhile, no more.
const PREPARED_MAX: usize = 1;
const RETRY: Duration = Duration::from_secs(1);

/// Commits under way at once. While PostgreSQL works on one, the rows of another are encoded; no result depends on
/// their order. SQLite has one writer: a second commit would only wait in its way.
#[must_use]
pub const fn parallel_commits(kind: Kind) -> usize {
    match kind {
        Kind::Postgres => 2,
        Kind::Sqlite => 1,
    }
}

/// Moves envelopes from the queue into the store.
#[derive(Clone)]
pub struct Processor {
    store: Store,
    queue: Arc<dyn Queue>,
    config: ProcessorConfig,
    now: Now,
}

impl Processor {
    /// A processor between `queue` and `store`.
    #[must_use]
    pub fn new(store: Store, queue: Arc<dyn Queue>, config: ProcessorConfig, now: Now) -> Self {
        Self { store, queue, config, now }
    }

    /// Runs until `shutdown`; then finishes the commits under way, and returns. What was read and not committed
    /// is delivered again.
    ///
    /// # Panics
    /// Where one of its tasks does: who runs it ends the process, so that somebody notices.
    pub async fn run(self, shutdown: CancellationToken) {
        let (prepared, ready) = mpsc::channel(PREPARED_MAX);
        let mut tasks = JoinSet::new();
        tasks.spawn(days::run(self.store.clone(), Arc::clone(&self.now), shutdown.clone()));
        tasks.spawn(compactor::run(self.store.clone(), shutdown.clone()));
        tasks.spawn(self.clone().read(prepared.clone(), shutdown.clone()));
        tasks.spawn(self.clone().reclaim(prepared, shutdown.clone()));
        tasks.spawn(self.commit(ready, shutdown));
        tasks.join_all().await;
    }

    async fn read(self, prepared: mpsc::Sender<Prepared>, shutdown: CancellationToken) {
        let mut enricher = Enricher::default();
        loop {
            // Room first: what is read is committed next, and nothing waits in memory for long.
            let Ok(room) = prepared.reserve().await else { return };
            let deliveries = tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                read = self.queue.read(self.limit(), self.config.linger) => read,
            };
            match deliveries {
                Ok(deliveries) if deliveries.is_empty() => {}
                Ok(deliveries) => room.send(self.prepare(&mut enricher, deliveries).await),
                Err(QueueError::Closed) => return,
                Err(error) => {
                    tracing::warn!(%error, "could not read the queue; trying again");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    async fn reclaim(self, prepared: mpsc::Sender<Prepared>, shutdown: CancellationToken) {
        let mut enricher = Enricher::default();
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(self.config.reclaim_idle / 4) => {}
            }
            match self.queue.reclaim(self.limit(), self.config.reclaim_idle).await {
                Ok(deliveries) if deliveries.is_empty() => {}
                Ok(deliveries) => {
                    tracing::info!(entries = deliveries.len(), "took over what a consumer left behind");
                    let batch = self.prepare(&mut enricher, deliveries).await;
                    if prepared.send(batch).await.is_err() {
                        return;
                    }
                }
                Err(QueueError::Closed) => return,
                Err(error) => tracing::warn!(%error, "could not take over left entries; trying again"),
            }
        }
    }

    async fn commit(self, mut ready: mpsc::Receiver<Prepared>, shutdown: CancellationToken) {
        let parallel = parallel_commits(self.store.kind());
        let mut under_way = JoinSet::new();
        loop {
            if under_way.len() >= parallel {
                if let Some(Err(error)) = under_way.join_next().await {
                    std::panic::resume_unwind(error.into_panic()); // nothing aborts these tasks
                }
                continue;
            }
            let batch = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                batch = ready.recv() => batch,
            };
            let Some(batch) = batch else { break };
            let (processor, shutdown) = (self.clone(), shutdown.clone());
            under_way.spawn(async move {
                let stage = Stage { store: &processor.store, queue: &*processor.queue, now: &processor.now };
                settle(stage, batch, &shutdown).await;
            });
        }
        under_way.join_all().await; // a commit is never cancelled half-way
    }

    async fn prepare(&self, enricher: &mut Enricher, deliveries: Vec<Delivery>) -> Prepared {
        let mut prepared = Prepared::default();
        for delivery in deliveries {
            match delivery.envelope {
                Ok(envelope) => prepared.push(delivery.handle, enricher.enrich(envelope)),
                Err(undecodable) => {
                    tracing::error!(error = %undecodable, "an entry cannot be read; set it aside");
                    if let Err(error) = self.queue.dead_letter(delivery.handle, &undecodable.error, (self.now)()).await {
                        tracing::warn!(%error, "could not set the entry aside; it will be delivered again");
                    }
                }
            }
        }
        prepared
    }

    fn limit(&self) -> BatchLimit {
        BatchLimit { events_max: self.config.batch_events_max, ..BatchLimit::default() }
    }
}
