//! Folds what commits appended into the rollups, again and again.

use std::time::Duration;

use tallymark_store::Store;
use tokio_util::sync::CancellationToken;

/// Between two runs. Reads fold what is not compacted yet, so this bounds their extra work, not their
/// freshness.
const INTERVAL: Duration = Duration::from_secs(1);

pub(crate) async fn run(store: Store, shutdown: CancellationToken) {
    loop {
        let wait = match store.compact_all().await {
            Ok(compacted) => {
                if compacted.deltas > 0 {
                    tracing::debug!(deltas = compacted.deltas, rows = compacted.rows, "compacted");
                }
                INTERVAL
            }
            Err(error) if error.is_conflict() => Duration::ZERO,
            Err(error) => {
                tracing::warn!(%error, "could not compact; trying again");
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
