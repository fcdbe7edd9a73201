//! What collectors know about projects: through Redis, or from the store beside them.

use std::path::PathBuf;
use std::sync::Arc;

use tallymark_registry::{LocalRegistry, RedisRegistry, Registry};
use tallymark_store::Store;

use super::registry_redis;
use crate::config::Options;

/// What a collector asks about write keys: Redis, where `process` publishes, or the store beside it.
pub(crate) fn open_registry(options: &Options, store: Option<&Store>) -> anyhow::Result<Arc<dyn Registry>> {
    let kept_in = options.data_dir.join("registry");
    match (registry_redis(options), store) {
        (Some(redis), _) => Ok(Arc::new(RedisRegistry::new(redis, Some(kept_in))?)),
        (None, Some(store)) => Ok(Arc::new(local_registry(store.clone(), kept_in))),
        (None, None) => anyhow::bail!("a collector alone needs Redis (--redis-url)"),
    }
}

fn local_registry(store: Store, kept_in: PathBuf) -> LocalRegistry {
    LocalRegistry::new(Some(kept_in), move |write_key: String| {
        let store = store.clone();
        async move { Ok(store.write_key(&write_key).await?) }
    })
}
