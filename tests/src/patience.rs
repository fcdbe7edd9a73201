//! Waiting for what comes when it comes.

use std::time::Duration;

use anyhow::Context;

/// For anything that a machine under load may take its time for.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Asks again and again, for as long as [`PATIENCE`] lasts.
///
/// # Errors
/// When that is over, with `what` was waited for; or what `ask` answers.
pub async fn until(what: &str, mut ask: impl AsyncFnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let asking = async {
        while !ask().await? {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, asking).await.with_context(|| format!("waited in vain until {what}"))?
}
