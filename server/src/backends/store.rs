//! The store: PostgreSQL, or SQLite in the data directory.

use anyhow::Context;
use tallymark_store::Store;

use crate::config::Options;
use crate::data_dir;

/// Opens the store that the configuration names, its schema brought up to date.
pub(crate) async fn open_store(options: &Options) -> anyhow::Result<Store> {
    let store = reach_store(options).await?;
    store.migrate().await.context("cannot bring the store's schema up to date (--database-url)")?;
    Ok(store)
}

/// Opens the store that the configuration names as it is. PostgreSQL need not be there yet.
pub(crate) async fn reach_store(options: &Options) -> anyhow::Result<Store> {
    let address = match &options.database_url {
        Some(url) => url.clone(),
        None => {
            data_dir::ensure(&options.data_dir)?;
            format!("sqlite:{}", options.data_dir.join("tallymark.db").display())
        }
    };
    Store::open(&address).await.context("cannot open the store (--database-url)")
}
