//! Delivered envelopes until each is committed and acked, or counted as failed.

use tallymark_store::StoreError;
use tokio_util::sync::CancellationToken;

use crate::alone;
use crate::attempt::{Patience, Prepared, Stage, ack, commit_once};
use crate::causes::with_causes;

/// Commits and acks `prepared`. Tries for as long as trying may help; a batch that can never work is halved
/// until the envelopes that are at fault stand alone, and that counts as a failure of theirs. Returns early
/// on shutdown: what was not acked is delivered again.
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
                for handle in part.handles {
                    alone::failed(stage, handle, &reason).await;
                }
            }
        }
    }
}

enum Tried {
    Committed,
    Refused(StoreError),
    Stopped,
}

async fn commit_patiently(stage: Stage<'_>, part: &Prepared, shutdown: &CancellationToken) -> Tried {
    let mut patience = Patience::default();
    loop {
        let error = match commit_once(stage, part).await {
            Ok(()) => return Tried::Committed,
            Err(error) => error,
        };
        if error.is_final() {
            return Tried::Refused(error);
        }
        if !patience.wait(&error, shutdown).await {
            return Tried::Stopped;
        }
    }
}
