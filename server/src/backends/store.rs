//! The store: PostgreSQL, or SQLite in the data directory.

use std::time::Duration;

use anyhow::Context;
use tallymark_store::Store;

use crate::config::Options;
use crate::data_dir;

/// How often a store that is away is asked again for its schema.
const ASK_AGAIN_EVERY: Duration = Duration::from_secs(2);

/// Opens the store that the configuration names, its schema brought up to date.
pub(crate) async fn open_store(options: &Options) -> anyhow::Result<Store> {
    let store = reach_store(options).await?;
    migrate(&store).await?;
    Ok(store)
}

async fn migrate(store: &Store) -> anyhow::Result<()> {
    store.migrate().await.context("cannot bring the store's schema up to date (--database-url)")
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

/// A schema that is to be brought up to date as soon as the store is there.
pub(crate) struct LateSchema(Store);

/// Like [`open_store`], but a PostgreSQL that is away does not keep a process from taking events: its schema is brought up
/// to date later, by who runs what this returns.
pub(crate) async fn open_store_when_there(options: &Options) -> anyhow::Result<(Store, Option<LateSchema>)> {
    let store = reach_store(options).await?;
    match store.ping().await {
        Err(error) if error.is_away() => {
            tracing::warn!(
                "the database is away (--database-url): events of projects that are known here are taken, and counted \
                 when it is back"
            );
            let late = LateSchema(store.clone());
            Ok((store, Some(late)))
        }
        _ => {
            migrate(&store).await?;
            Ok((store, None))
        }
    }
}

impl LateSchema {
    /// Returns when it is done.
    pub(crate) async fn bring_up_to_date(self) {
        let mut said = None;
        loop {
            tokio::time::sleep(ASK_AGAIN_EVERY).await;
            if self.0.ping().await.is_err() {
                continue;
            }
            match self.0.migrate().await {
                Ok(()) => break tracing::info!("the database is there; its schema is up to date"),
                Err(error) => {
                    let text = format!("{:#}", anyhow::Error::from(error));
                    if said.as_ref() != Some(&text) {
                        tracing::error!(
                            error = text,
                            "cannot bring the store's schema up to date; trying again"
                        );
                    }
                    said = Some(text);
                }
            }
        }
    }
}
