//! The processor as a process: everything that runs until shutdown.

use std::sync::Arc;
use std::time::Duration;

use tallymark_queue::{BatchLimit, Delivery, Queue, QueueError};
use tallymark_store::{Kind, Store};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::alone::{self, settle_alone};
use crate::attempt::{Prepared, Stage};
use crate::causes::with_causes;
use crate::clock::Now;
use crate::enrich::Enricher;
use crate::settle::settle;
use crate::{compactor, days};

/// How a processor works.
#[derive(Clone, Copy, Debug)]
pub struct ProcessorConfig {
    /// Events of one transaction, at most. Larger ones than the default are no faster, and a processor holds several at
    /// once: what they take of memory is in docs/benchmarks.md.
    pub batch_events_max: usize,
    /// How long to wait for the first envelope of a batch. Under load batches fill while the one before commits.
    pub linger: Duration,
    /// How long an entry may stay with a consumer before another takes it over; longer than any commit.
    pub reclaim_idle: Duration,
}

impl Default for ProcessorConfig {
    fn default() -> Self {
        Self {
            batch_events_max: 2_000,
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

/// What waits to be settled.
enum Work {
    Batch(Prepared),
    /// Under suspicion of ending the process.
    Alone(Box<Delivery>),
}

/// Waits for one of the commits under way, and fails as it did.
async fn finish_one(under_way: &mut JoinSet<()>) {
    if let Some(Err(error)) = under_way.join_next().await {
        std::panic::resume_unwind(error.into_panic()); // nothing aborts these tasks
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

    async fn read(self, prepared: mpsc::Sender<Work>, shutdown: CancellationToken) {
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
                Ok(deliveries) => {
                    let mut work = self.prepare(&mut enricher, deliveries).await.into_iter();
                    if let Some(first) = work.next() {
                        room.send(first);
                    }
                    for rest in work {
                        if prepared.send(rest).await.is_err() {
                            return;
                        }
                    }
                }
                Err(QueueError::Closed) => return,
                Err(error) => {
                    tracing::warn!(error = with_causes(&error), "could not read the queue; trying again");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    async fn reclaim(self, prepared: mpsc::Sender<Work>, shutdown: CancellationToken) {
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
                    for work in self.prepare(&mut enricher, deliveries).await {
                        if prepared.send(work).await.is_err() {
                            return;
                        }
                    }
                }
                Err(QueueError::Closed) => return,
                Err(error) => tracing::warn!(
                    error = with_causes(&error),
                    "could not take over left entries; trying again"
                ),
            }
        }
    }

    async fn commit(self, mut ready: mpsc::Receiver<Work>, shutdown: CancellationToken) {
        let parallel = parallel_commits(self.store.kind());
        let mut under_way = JoinSet::new();
        loop {
            if under_way.len() >= parallel {
                finish_one(&mut under_way).await;
                continue;
            }
            let work = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                work = ready.recv() => work,
            };
            let (processor, shutdown) = (self.clone(), shutdown.clone());
            match work {
                None => break,
                Some(Work::Batch(batch)) => {
                    under_way.spawn(async move { settle(processor.stage(), batch, &shutdown).await });
                }
                Some(Work::Alone(delivery)) => {
                    // With nothing beside it: whatever ends the process now is its own doing.
                    while !under_way.is_empty() {
                        finish_one(&mut under_way).await;
                    }
                    under_way
                        .spawn(async move { settle_alone(processor.stage(), *delivery, &shutdown).await });
                    finish_one(&mut under_way).await;
                }
            }
        }
        under_way.join_all().await; // a commit is never cancelled half-way
    }

    /// What is to be done with deliveries: one batch, and those that are to be processed alone.
    async fn prepare(&self, enricher: &mut Enricher, deliveries: Vec<Delivery>) -> Vec<Work> {
        let (suspects, trusted): (Vec<Delivery>, Vec<Delivery>) =
            deliveries.into_iter().partition(alone::is_suspect);
        let mut batch = Prepared::default();
        for delivery in trusted {
            let handle = delivery.handle;
            if let Err(reason) = alone::enrich(enricher, &mut batch, delivery) {
                alone::failed(self.stage(), handle, &reason).await;
            }
        }
        let batch = (!batch.handles.is_empty()).then_some(Work::Batch(batch));
        let suspects = suspects.into_iter().map(|delivery| Work::Alone(Box::new(delivery)));
        batch.into_iter().chain(suspects).collect()
    }

    fn stage(&self) -> Stage<'_> {
        Stage { store: &self.store, queue: &*self.queue, now: &self.now }
    }

    fn limit(&self) -> BatchLimit {
        BatchLimit { events_max: self.config.batch_events_max, ..BatchLimit::default() }
    }
}
