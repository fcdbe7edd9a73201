//! Watches what the store accepted against the projects' quotas.

use std::time::Duration;

use tallymark_store::Store;
use tokio_util::sync::CancellationToken;

use crate::clock;

/// How often quotas are looked at. What comes in meanwhile is counted beyond the quota.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Marks the projects that used their quota up, and takes the mark away when it no longer holds, until shutdown. Runs
/// beside every processor; several do the same and do no harm.
pub(super) async fn watch_quotas(store: Store, shutdown: CancellationToken) {
    let mut is_well = true;
    loop {
        match store.refresh_quotas(clock::now()).await {
            Ok(changed) => {
                is_well = true;
                for id in changed {
                    tracing::info!(project.id = id, changed = "quota_exceeded_until", "changed a project");
                }
            }
            Err(error) if is_well => {
                is_well = false;
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "could not look at quotas; trying again");
            }
            Err(_) => {} // said already
        }
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}
