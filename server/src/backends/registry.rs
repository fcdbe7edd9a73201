//! What collectors know about projects: through Redis, or from the store beside them.

use std::sync::Arc;

use tallymark_protocol::settings::ProjectSettings;
use tallymark_registry::{LocalRegistry, RedisRegistry, Registry};
use tallymark_store::{Store, WriteKeyRow};

use crate::config::Options;

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
