//! Entries that are processed alone, because they failed or are under suspicion, and what becomes of those that
//! fail again and again.

use tallymark_queue::{Delivery, Handle, QueueError};
use tokio_util::sync::CancellationToken;

use crate::attempt::{Patience, Prepared, Stage, ack, commit_once};
use crate::causes::with_causes;
use crate::enrich::Enricher;
use crate::measure;

/// How often an entry may fail alone before it is set aside. Each try is a reclaim apart: what a deploy, a
/// processor of another version or a row made a moment later would have mended is mended by the third.
pub(crate) const TRIES_MAX: u32 = 3;

/// Deliveries after which an entry is under suspicion of ending the process: reclaimed three times, each time from
/// somebody who neither committed it nor found it at fault. Once or twice is a deploy.
const SUSPECT_DELIVERIES: u32 = 4;

/// Whether an entry is to be processed alone.
pub(crate) const fn is_suspect(delivery: &Delivery) -> bool {
    delivery.tries >= SUSPECT_DELIVERIES
}

/// Enriches one delivery into `prepared`, or says why that cannot work. A panic is the entry's, not its neighbours'.
pub(crate) fn enrich(
    enricher: &mut Enricher,
    prepared: &mut Prepared,
    delivery: Delivery,
) -> Result<(), String> {
    let envelope = delivery.envelope.map_err(|undecodable| undecodable.to_string())?;
    let enriched = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| enricher.enrich(envelope)));
    let enriched = enriched.map_err(|panic| {
        *enricher = Enricher::default(); // whatever state it was left in
        let text = panic.downcast_ref::<&str>().map(ToString::to_string);
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        format!("enriching it panicked: {}", text.unwrap_or_default())
    })?;
    prepared.push(delivery.handle, enriched);
    Ok(())
}

/// Counts a failure of an entry that was processed alone; the last one that it may have sets it aside.
pub(crate) async fn failed(stage: Stage<'_>, handle: Handle, reason: &str) {
    match stage.queue.begin_alone(handle).await {
        Ok(0) => {} // somebody else settled it
        Ok(tries) => failed_so_often(stage, handle, tries, reason).await,
        Err(error) => {
            tracing::warn!(%error, %handle, reason, "an entry failed, and that could not be written down")
        }
    }
}

async fn failed_so_often(stage: Stage<'_>, handle: Handle, tries: u32, reason: &str) {
    if tries >= TRIES_MAX {
        return set_aside(stage, handle, reason).await;
    }
    tracing::error!(%handle, reason, tries, tries_max = TRIES_MAX, "an entry failed; it is tried again");
}

async fn set_aside(stage: Stage<'_>, handle: Handle, reason: &str) {
    match stage.queue.dead_letter(handle, reason, (stage.now)()).await {
        Ok(()) => {
            measure::dead_letter();
            tracing::error!(%handle, reason, "an entry cannot be processed; it is with the dead letters now");
        }
        Err(error @ QueueError::Full { .. }) => {
            measure::dead_letter_refused();
            tracing::error!(%error, %handle, reason, "no room for another dead letter; the entry stays pending");
        }
        Err(error) => {
            tracing::warn!(%error, %handle, reason, "could not set an entry aside; it will be delivered again");
        }
    }
}

/// Processes an entry that is under suspicion, with nothing beside it. Its try is written down first, so that one
/// which ends the process counts; a try that ends for the store's reasons, or for shutdown, is taken back.
pub(crate) async fn settle_alone(stage: Stage<'_>, delivery: Delivery, shutdown: &CancellationToken) {
    let handle = delivery.handle;
    let Some(mut tries) = begin(stage, handle).await else { return };
    let mut part = Prepared::default();
    if let Err(reason) = enrich(&mut Enricher::default(), &mut part, delivery) {
        return failed_so_often(stage, handle, tries, &reason).await;
    }
    let mut patience = Patience::default();
    loop {
        let error = match commit_once(stage, &part).await {
            Ok(()) => return ack(stage.queue, &part.handles).await,
            Err(error) if error.is_final() => {
                return failed_so_often(stage, handle, tries, &with_causes(&error)).await;
            }
            Err(error) => error,
        };
        if let Err(error) = stage.queue.withdraw_alone(handle).await {
            tracing::warn!(%error, %handle, "a try that the store cut short could not be taken back");
        }
        if !patience.wait(&error, shutdown).await {
            return;
        }
        match begin(stage, handle).await {
            Some(again) => tries = again,
            None => return,
        }
    }
}

/// Writes a try down. `None` where there is nothing to try: the entry is gone, was tried too often, or the try cannot
/// be written down.
async fn begin(stage: Stage<'_>, handle: Handle) -> Option<u32> {
    match stage.queue.begin_alone(handle).await {
        Ok(0) => None,
        Ok(tries) if tries > TRIES_MAX => {
            let reason = format!(
                "processing it alone never came to an end: {TRIES_MAX} times the process ended first"
            );
            set_aside(stage, handle, &reason).await;
            None
        }
        Ok(tries) => Some(tries),
        Err(error) => {
            tracing::warn!(%error, %handle, "could not write a try down; the entry waits");
            None
        }
    }
}
