//! Folds what commits appended into the rollups, again and again.

use std::time::Duration;

use tallymark_store::Store;
use tokio_util::sync::CancellationToken;

use crate::causes::with_causes;

/// Between two runs, at least. Reads fold what is not compacted yet, so this bounds their extra work, not their
/// freshness.
const INTERVAL: Duration = Duration::from_secs(1);
/// After a run that took longer, this many times as long: the compactor takes a tenth of the time, and folds more at
/// once the more there is to do.
const REST: u32 = 9;
/// At most: what is not compacted has to be folded by every read.
const INTERVAL_MAX: Duration = Duration::from_secs(10);

pub(crate) async fn run(store: Store, shutdown: CancellationToken) {
    loop {
        let started = tokio::time::Instant::now();
        let wait = match store.compact_all().await {
            Ok(compacted) => {
                if compacted.deltas > 0 {
                    tracing::debug!(deltas = compacted.deltas, rows = compacted.rows, "compacted");
                }
                (started.elapsed() * REST).clamp(INTERVAL, INTERVAL_MAX)
            }
            Err(error) if error.is_conflict() => Duration::ZERO,
            Err(error) => {
                tracing::warn!(error = with_causes(&error), "could not compact; trying again");
                INTERVAL * 5
            }
        };
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}
