//! The queue: Redis Streams, or embedded in the data directory.

use std::sync::Arc;

use anyhow::Context;
use tallymark_queue::{EmbeddedConfig, EmbeddedQueue, Queue, RedisConfig, RedisQueue};

use crate::config::Options;
use crate::data_dir::OwnedDataDir;

/// Opens the queue in Redis, or the embedded one in a directory that this process owns.
pub(crate) async fn open_queue(
    options: &Options,
    data_dir: Option<&OwnedDataDir>,
) -> anyhow::Result<Arc<dyn Queue>> {
    if options.redis_url.is_some() {
        let queue = open_redis(options)?;
        check_redis(&queue).await?;
        return Ok(Arc::new(queue));
    }
    let data_dir = data_dir.context("the embedded queue needs a data directory of its own")?;
    let config = EmbeddedConfig::new(data_dir.join("queue"));
    Ok(Arc::new(EmbeddedQueue::open(config).await.context("cannot open the embedded queue")?))
}

/// The queue in Redis alone. It connects when it is first used.
pub(crate) fn open_redis(options: &Options) -> anyhow::Result<RedisQueue> {
    let url = options.redis_url.clone().context("there is no --redis-url")?;
    let config = RedisConfig { prefix: options.redis_prefix.clone(), ..RedisConfig::new(url) };
    RedisQueue::new(&config).context("cannot use the queue in Redis (--redis-url)")
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
    if facts.evicts() {
        tracing::error!("Redis may evict acknowledged events: set maxmemory-policy to noeviction");
    }
    if !facts.is_append_only {
        tracing::error!(
            "Redis keeps nothing over a restart: set appendonly to yes, or acknowledged events can be lost"
        );
    }
    Ok(())
}
