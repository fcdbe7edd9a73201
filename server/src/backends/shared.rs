//! What collectors share beside projects: rate tokens and salts. Through Redis, or alone.

use std::sync::Arc;

use anyhow::Context;
use tallymark_registry::{
    LocalRateTokens, LocalSalts, NoSalts, RateTokens, RedisConfig, RedisRateTokens, RedisSalts, Salts, Secret,
};

use super::redis_link;
use crate::clock;
use crate::config::Options;

/// The Redis through which collectors share, where the configuration names one.
pub(crate) fn registry_redis(options: &Options) -> Option<RedisConfig> {
    Some(RedisConfig { link: redis_link(options)?, prefix: options.redis_prefix.clone() })
}

/// Rate limits over all collectors, or of this process.
pub(crate) fn open_tokens(options: &Options) -> anyhow::Result<Arc<dyn RateTokens>> {
    Ok(match registry_redis(options) {
        Some(redis) => {
            Arc::new(RedisRateTokens::new(redis).context("cannot share rate limits (--redis-url)")?)
        }
        None => Arc::new(LocalRateTokens::new()),
    })
}

/// The daily salts: of all collectors, of this process, or none.
pub(crate) fn open_salts(options: &Options) -> anyhow::Result<Arc<dyn Salts>> {
    let Some(redis) = registry_redis(options) else {
        // A collector alone owns its data directory.
        return Ok(Arc::new(LocalSalts::open(options.data_dir.join("salts"), clock::asked())));
    };
    let Some(file) = &options.secret_file else {
        tracing::warn!(
            "without --secret-file collectors cannot share salts: visitors without cookies are not counted, and \
             their events are answered with 503; make a secret by: head -c 32 /dev/urandom > FILE"
        );
        return Ok(Arc::new(NoSalts));
    };
    let secret = Secret::read(file).context("cannot use --secret-file")?;
    let salts = RedisSalts::new(redis, secret, clock::asked()).context("cannot share salts (--redis-url)")?;
    Ok(Arc::new(salts))
}
