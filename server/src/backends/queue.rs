//! The queue: Redis Streams, or embedded in the data directory.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use tallymark_queue::{
    EmbeddedConfig, EmbeddedQueue, Queue, RedisConfig, RedisQueue, SpoolConfig, SpooledQueue,
};

use super::redis_link;
use crate::clock;
use crate::config::Options;
use crate::data_dir::OwnedDataDir;

/// Opens the queue in Redis, or the embedded one in a directory that this process owns. With such a directory the
/// queue in Redis has a spool there.
pub(crate) async fn open_queue(
    options: &Options,
    data_dir: Option<&OwnedDataDir>,
) -> anyhow::Result<Arc<dyn Queue>> {
    if options.redis_url.is_some() {
        let queue = open_redis(options)?;
        check_redis(&queue).await?;
        return match data_dir {
            Some(data_dir) => open_spooled(options, data_dir, Arc::new(queue)).await,
            None => Ok(Arc::new(queue)),
        };
    }
    let data_dir = data_dir.context("the embedded queue needs a data directory of its own")?;
    let mut config = EmbeddedConfig::new(data_dir.join("queue"));
    config.backlog_bytes_max = options.backlog_bytes_max.unwrap_or(config.backlog_bytes_max);
    let queue = EmbeddedQueue::open(config).await.context("cannot open the embedded queue")?;
    take_over(&queue, &data_dir.join("spool")).await;
    Ok(Arc::new(queue))
}

/// Takes what waits where this process does not read, since the last one was with Redis and this one is not, or the
/// other way round.
async fn take_over(queue: &EmbeddedQueue, left: &Path) {
    let dir = left.display();
    match queue.take_over(left).await {
        Ok(0) => {}
        Ok(entries) => tracing::info!(entries, %dir, "took over acknowledged envelopes that waited here"),
        Err(error) => {
            let error = format!("{:#}", anyhow::Error::from(error));
            tracing::error!(error, %dir, "acknowledged envelopes may wait here; the next start tries to take them over");
        }
    }
}

/// Puts a spool before Redis: what it cannot take now waits on this machine's disk.
async fn open_spooled(
    options: &Options,
    data_dir: &OwnedDataDir,
    redis: Arc<dyn Queue>,
) -> anyhow::Result<Arc<dyn Queue>> {
    let mut config = EmbeddedConfig::new(data_dir.join("spool"));
    config.backlog_bytes_max = options.spool_bytes_max.unwrap_or(config.backlog_bytes_max);
    let spool = EmbeddedQueue::open(config).await.context("cannot open the spool (--data-dir)")?;
    take_over(&spool, &data_dir.join("queue")).await;
    Ok(Arc::new(SpooledQueue::start(redis, spool, SpoolConfig::new(clock::asked()))))
}

/// The queue in Redis alone. It connects when it is first used.
pub(crate) fn open_redis(options: &Options) -> anyhow::Result<RedisQueue> {
    let mut config = RedisConfig::at(redis_link(options).context("there is no --redis-url")?);
    config.prefix.clone_from(&options.redis_prefix);
    config.partitions = options.redis_partitions;
    config.backlog_bytes_max = options.backlog_bytes_max.unwrap_or(config.backlog_bytes_max);
    RedisQueue::new(&config).context(
        "cannot use the queue in Redis; --redis-url has the form redis://[user:password@]host[:port][/db], or rediss://…; \
         files for it are --redis-password-file and --redis-ca-file",
    )
}

/// Says what this Redis cannot promise. One that is away for now is no reason not to start.
async fn check_redis(queue: &RedisQueue) -> anyhow::Result<()> {
    let facts = match queue.facts().await {
        Ok(facts) => facts,
        Err(error) => {
            let error = format!("{:#}", anyhow::Error::from(error));
            tracing::warn!(error, "Redis does not answer yet; going on without it (--redis-url)");
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
