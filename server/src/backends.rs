//! Which store, queue and registry the configuration names.

use std::sync::Arc;

use anyhow::Context;
use tallymark_protocol::settings::ProjectSettings;
use tallymark_queue::{EmbeddedConfig, EmbeddedQueue, Queue, RedisConfig, RedisQueue};
use tallymark_registry::{LocalRegistry, RedisRegistry, Registry};
use tallymark_store::{Store, WriteKeyRow};

use crate::config::Options;
use crate::data_dir::{self, OwnedDataDir};

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

/// Opens the queue in Redis, or the embedded one in a directory that this process owns.
pub(crate) async fn open_queue(
    options: &Options,
    data_dir: Option<&OwnedDataDir>,
) -> anyhow::Result<Arc<dyn Queue>> {
    if let Some(url) = &options.redis_url {
        let mut config = RedisConfig::new(url.clone());
        config.prefix.clone_from(&options.redis_prefix);
        let queue = RedisQueue::new(&config).context("cannot use the queue in Redis (--redis-url)")?;
        check_redis(&queue).await?;
        return Ok(Arc::new(queue));
    }
    let data_dir = data_dir.context("the embedded queue needs a data directory of its own")?;
    let config = EmbeddedConfig::new(data_dir.join("queue"));
    Ok(Arc::new(EmbeddedQueue::open(config).await.context("cannot open the embedded queue")?))
}

/// Says what this Redis cannot promise. One that is away for now is no reason not to start.
async fn check_redis(queue: &RedisQueue) -> anyhow::Result<()> {
    let facts = match queue.facts().await {
        Ok(facts) => facts,
        Err(error) => {
            tracing::warn!(%error, "Redis does not answer yet");
            return Ok(());
        }
    };
    anyhow::ensure!(facts.is_supported, "Redis {} is too old: the queue needs 7.0 or newer", facts.version);
    if facts.evicts {
        tracing::error!("Redis may evict acknowledged events: set maxmemory-policy to noeviction");
    }
    if !facts.is_append_only {
        tracing::error!(
            "Redis keeps nothing over a restart: set appendonly to yes, or acknowledged events can be lost"
        );
    }
    Ok(())
}

/// What a collector asks about write keys: Redis, where `process` publishes, or the store beside it.
pub(crate) fn open_registry(options: &Options, store: Option<&Store>) -> anyhow::Result<Arc<dyn Registry>> {
    match (&options.redis_url, store) {
        (Some(url), _) => Ok(Arc::new(RedisRegistry::new(url, &options.redis_prefix)?)),
        (None, Some(store)) => Ok(Arc::new(local_registry(store.clone()))),
        (None, None) => anyhow::bail!("a collector alone needs Redis (--redis-url)"),
    }
}

fn local_registry(store: Store) -> LocalRegistry {
    LocalRegistry::new(move |write_key: String| {
        let store = store.clone();
        async move { Ok(store.write_key(&write_key).await?.map(|row| settings(&row))) }
    })
}

/// What collectors need to know of a project.
pub(crate) fn settings(row: &WriteKeyRow) -> ProjectSettings {
    ProjectSettings::new(row.project_id, row.version)
}
