//! One attempt at a commit: what it takes, and how long to wait for the next.

use std::time::Duration;

use tallymark_queue::{Handle, Queue};
use tallymark_store::{Batch, EnvelopeRow, Store, StoreError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::causes::with_causes;
use crate::clock::Now;
use crate::commit::commit;
use crate::measure;

/// Conflicts with other processors that are met at once, before waiting longer between tries.
const CONFLICTS_MAX: u32 = 5;
const WAIT_MIN: Duration = Duration::from_millis(100);
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Envelopes ready to commit, with what to ack.
#[derive(Debug, Default)]
pub(crate) struct Prepared {
    pub(crate) handles: Vec<Handle>,
    pub(crate) batch: Batch,
    /// Days in which its events lie: those that are not usual may need a partition.
    pub(crate) days: Vec<i32>,
}

impl Prepared {
    pub(crate) fn push(&mut self, handle: Handle, envelope: EnvelopeRow) {
        self.handles.push(handle);
        self.days.extend(envelope.events.iter().map(|event| event.row.day));
        self.days.sort_unstable();
        self.days.dedup();
        self.batch.envelopes.push(envelope);
    }

    pub(crate) fn halves(mut self) -> (Self, Self) {
        let middle = self.handles.len() / 2;
        let second = Self {
            handles: self.handles.split_off(middle),
            batch: Batch { envelopes: self.batch.envelopes.split_off(middle) },
            days: self.days.clone(),
        };
        (self, second)
    }
}

/// Between what a batch is settled.
#[derive(Clone, Copy)]
pub(crate) struct Stage<'a> {
    pub(crate) store: &'a Store,
    pub(crate) queue: &'a dyn Queue,
    pub(crate) now: &'a Now,
}

/// One try. The days first, each time: a day that could not be made ready while the store was away is asked for
/// again.
pub(crate) async fn commit_once(stage: Stage<'_>, part: &Prepared) -> Result<(), StoreError> {
    let started = Instant::now();
    stage.store.ensure_days((stage.now)(), &part.days).await?;
    let committed = commit(stage.store, &part.batch).await?;
    measure::committed(&committed, started.elapsed());
    Ok(())
}

/// Between tries that the store cut short.
#[derive(Debug)]
pub(crate) struct Patience {
    conflicts: u32,
    wait: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { conflicts: 0, wait: WAIT_MIN }
    }
}

impl Patience {
    /// Waits before the next try. `false` when there is to be none, because of shutdown.
    pub(crate) async fn wait(&mut self, error: &StoreError, shutdown: &CancellationToken) -> bool {
        if error.is_conflict() && self.conflicts < CONFLICTS_MAX {
            self.conflicts += 1;
            return true;
        }
        #[expect(clippy::cast_possible_truncation, reason = "at most WAIT_MAX")]
        let wait_ms = self.wait.as_millis() as u64;
        tracing::warn!(error = with_causes(error), wait_ms, "the store did not take a batch; trying again");
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return false,
            () = tokio::time::sleep(self.wait) => {}
        }
        self.wait = (self.wait * 2).min(WAIT_MAX);
        true
    }
}

/// Forgets what is committed.
pub(crate) async fn ack(queue: &dyn Queue, handles: &[Handle]) {
    if let Err(error) = queue.ack(handles).await {
        // Harmless: delivered again, the receipts let it fall out.
        tracing::warn!(%error, entries = handles.len(), "could not ack what was committed");
    }
}
