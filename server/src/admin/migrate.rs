//! `tallymark migrate`

use crate::backends::open_store;
use crate::config::Options;
use crate::out::say;

/// Brings the schema up to date.
pub(crate) async fn migrate(options: Options) -> anyhow::Result<()> {
    open_store(&options).await?.close().await; // opening migrates
    say!("The schema is up to date.");
    Ok(())
}
