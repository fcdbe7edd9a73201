//! What is done each hour: the days to come are made ready for inserts, and old lines of the commits' log go.

use std::time::Duration;

use tallymark_store::Store;
use tokio_util::sync::CancellationToken;

use crate::causes::with_causes;
use crate::clock::Now;

/// Days are made three ahead: an hour's delay is nothing.
const INTERVAL: Duration = Duration::from_secs(3_600);
const RETRY: Duration = Duration::from_secs(5);

pub(crate) async fn run(store: Store, now: Now, shutdown: CancellationToken) {
    loop {
        let prepared = async {
            store.ensure_days(now(), &[]).await?;
            store.prune_commit_log(now()).await
        };
        let wait = match prepared.await {
            Ok(()) => INTERVAL,
            Err(error) => {
                tracing::warn!(
                    error = with_causes(&error),
                    "could not make the coming days' partitions and clear the log of commits; trying again"
                );
                RETRY
            }
        };
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}
