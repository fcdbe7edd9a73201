//! Delivered envelopes until each is committed and acked, or set aside.

use std::time::Duration;

use tallymark_queue::{Handle, Queue};
use tallymark_store::{Batch, EnvelopeRow, Store, StoreError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::causes::with_causes;
use crate::clock::Now;
use crate::commit::{Committed, commit};
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

    fn halves(mut self) -> (Self, Self) {
        let middle = self.handles.len() / 2;
        let second = Self {
            handles: self.handles.split_off(middle),
            batch: Batch { envelopes: self.batch.envelopes.split_off(middle) },
            days: self.days.clone(),
        };
        (self, second)
    }
}

/// Commits and acks `prepared`. Tries for as long as trying may help; a batch that can never work is halved
/// until the envelopes that are at fault stand alone, and these are set aside with the reason. Returns
/// early on shutdown: what was not acked is delivered again.
pub(crate) async fn settle(stage: Stage<'_>, prepared: Prepared, shutdown: &CancellationToken) {
    let queue = stage.queue;
    let mut parts = vec![prepared];
    while let Some(part) = parts.pop() {
        match commit_patiently(stage, &part, shutdown).await {
            Tried::Committed => ack(queue, &part.handles).await,
            Tried::Stopped => return,
            Tried::Refused(_) if part.handles.len() > 1 => {
                let (first, second) = part.halves();
                parts.extend([second, first]);
            }
            Tried::Refused(error) => {
                let reason = with_causes(&error);
                let envelope_id = part.batch.envelopes.first().map(|envelope| envelope.envelope_id);
                tracing::error!(?envelope_id, reason, "an envelope cannot be committed; set it aside");
                for handle in part.handles {
                    if let Err(error) = queue.dead_letter(handle, &reason, (stage.now)()).await {
                        tracing::warn!(%error, "could not set the envelope aside; it will be delivered again");
                    }
                }
            }
        }
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
async fn commit_once(stage: Stage<'_>, part: &Prepared) -> Result<Committed, StoreError> {
    stage.store.ensure_days((stage.now)(), &part.days).await?;
    commit(stage.store, &part.batch).await
}

enum Tried {
    Committed,
    Refused(StoreError),
    Stopped,
}

async fn commit_patiently(stage: Stage<'_>, part: &Prepared, shutdown: &CancellationToken) -> Tried {
    let (mut conflicts, mut wait) = (0, WAIT_MIN);
    loop {
        let started = Instant::now();
        let error = match commit_once(stage, part).await {
            Ok(committed) => {
                measure::committed(&committed, started.elapsed());
                return Tried::Committed;
            }
            Err(error) => error,
        };
        if error.is_conflict() && conflicts < CONFLICTS_MAX {
            conflicts += 1;
            continue;
        }
        if error.is_final() {
            return Tried::Refused(error);
        }
        #[expect(clippy::cast_possible_truncation, reason = "at most WAIT_MAX")]
        let wait_ms = wait.as_millis() as u64;
        tracing::warn!(error = with_causes(&error), wait_ms, "the store did not take a batch; trying again");
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return Tried::Stopped,
            () = tokio::time::sleep(wait) => wait = (wait * 2).min(WAIT_MAX),
        }
    }
}

async fn ack(queue: &dyn Queue, handles: &[Handle]) {
    if let Err(error) = queue.ack(handles).await {
        // Harmless: delivered again, the receipts let it fall out.
        tracing::warn!(%error, entries = handles.len(), "could not ack what was committed");
    }
}
