//! From the spool into the queue, beside live appends.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Shared;
use crate::embedded::Spooled;
use crate::{BatchLimit, Handle, Queue as _, QueueError};

/// What is handed on at once: little, so that live appends come between.
const STEP: BatchLimit = BatchLimit { entries_max: 64, events_max: 10_000, bytes_max: 1 << 20 };

/// Appends of a step that are under way together.
const TOGETHER: usize = 8;

/// The drain rests for as long as it worked, and leaves the queue at least half of its time. The longest rest.
const REST_MAX: Duration = Duration::from_millis(250);

/// How long one append of the drain may take.
const KNOCK_MAX: Duration = Duration::from_secs(10);

/// When what the disk would not give is asked for again.
const UNREADABLE_IDLE: Duration = Duration::from_secs(60);

/// How long to wait for spooled envelopes, before looking around.
const LINGER: Duration = Duration::from_secs(5);

/// Hands on until `stop`.
pub(super) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let step = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            step = next(&shared) => step,
        };
        match step {
            Ok(step) if step.is_empty() => probe(&shared).await,
            Ok(step) => {
                let started = Instant::now();
                hand_on(&shared, step, &stop).await;
                rest(&stop, started.elapsed().min(REST_MAX)).await;
            }
            Err(QueueError::Closed) => return,
            Err(error) => {
                tracing::error!(%error, "cannot read the spool; trying again");
                rest(&stop, shared.config.probe_every).await;
            }
        }
    }
}

async fn next(shared: &Shared) -> Result<Vec<Spooled>, QueueError> {
    let left = shared.spool.reclaim_encoded(STEP, UNREADABLE_IDLE).await?;
    if !left.is_empty() {
        return Ok(left);
    }
    // Whoever finds the queue away spools, and so wakes this.
    let linger = if shared.is_away() { shared.config.probe_every } else { LINGER };
    shared.spool.read_encoded(STEP, linger).await
}

/// Looks whether a queue that is away is back, where there is nothing to try it with.
async fn probe(shared: &Shared) {
    if shared.is_away() && shared.first.backlog().await.is_ok() {
        shared.came_back();
    }
}

async fn rest(stop: &CancellationToken, how_long: Duration) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = tokio::time::sleep(how_long) => {}
    }
}

async fn hand_on(shared: &Arc<Shared>, step: Vec<Spooled>, stop: &CancellationToken) {
    let mut step = step.into_iter();
    // The first goes alone: while the queue is away, it is the only one that knocks.
    if let Some(first) = step.next() {
        hand_on_one(shared, first, stop).await;
    }
    let mut together = JoinSet::new();
    for spooled in step {
        if together.len() >= TOGETHER {
            together.join_next().await;
        }
        let (shared, stop) = (Arc::clone(shared), stop.clone());
        together.spawn(async move { hand_on_one(&shared, spooled, &stop).await });
    }
    together.join_all().await;
    shared.measure();
}

/// Tries until the queue has it. Who is stopped before leaves it to the next process.
async fn hand_on_one(shared: &Shared, (handle, envelope): Spooled, stop: &CancellationToken) {
    let envelope = match envelope {
        Ok(envelope) => envelope,
        Err(damaged) => return set_aside(shared, handle, &damaged.error).await,
    };
    while !stop.is_cancelled() {
        // Longer than a live append may take: a connection that fell silent is only replaced when somebody has
        // waited for its answer.
        let append = tokio::time::timeout(KNOCK_MAX, shared.first.append_encoded(&envelope));
        let appended = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            appended = append => {
                appended.unwrap_or_else(|elapsed| Err(QueueError::unavailable("append", elapsed)))
            }
        };
        match appended {
            Ok(()) => {
                shared.came_back();
                if let Err(error) = shared.spool.ack(&[handle]).await {
                    tracing::warn!(%error, "an envelope was handed on and stays in the spool; it counts once");
                }
                return;
            }
            // It answers, and live appends are to hear the same.
            Err(QueueError::Full { .. }) => shared.came_back(),
            Err(QueueError::Unavailable { source, .. }) => shared.went_away(&source),
            Err(QueueError::Corrupt { detail }) => return set_aside(shared, handle, &detail).await,
            Err(QueueError::Closed) => return,
        }
        rest(stop, shared.config.probe_every).await;
    }
}

/// Keeps an entry that the disk damaged where an operator can look at it.
async fn set_aside(shared: &Shared, handle: Handle, reason: &str) {
    tracing::error!(%handle, reason, "an entry of the spool is damaged; it is kept in the spool's dead letters");
    if let Err(error) = shared.spool.dead_letter(handle, reason, (shared.config.now)()).await {
        tracing::error!(%error, %handle, "a damaged entry of the spool could not be set aside; it stays");
    }
}
