//! The backends under test, each with a place of its own.

use std::sync::Arc;

use tallymark_queue::{EmbeddedConfig, EmbeddedQueue, Queue, RedisConfig, RedisQueue};
use tempfile::TempDir;

pub(crate) enum Backend {
    Embedded { dir: TempDir },
    Redis { url: String, prefix: String, partitions: u16 },
}

impl Backend {
    pub(crate) fn embedded() -> Self {
        Self::Embedded { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn redis(partitions: u16) -> Self {
        let prefix = format!("tallymark-test:{:016x}:", getrandom::u64().unwrap());
        Self::Redis { url: redis_url(), prefix, partitions }
    }

    pub(crate) async fn open(&self) -> Arc<dyn Queue> {
        self.open_bounded(1 << 20).await
    }

    pub(crate) async fn open_bounded(&self, backlog_bytes_max: u64) -> Arc<dyn Queue> {
        match self {
            Self::Embedded { dir } => {
                let config = EmbeddedConfig {
                    backlog_bytes_max,
                    segment_bytes: 4_096,
                    ..EmbeddedConfig::new(dir.path())
                };
                Arc::new(EmbeddedQueue::open(config).await.unwrap())
            }
            Self::Redis { url, prefix, partitions } => {
                let config = RedisConfig {
                    backlog_bytes_max,
                    prefix: prefix.clone(),
                    partitions: *partitions,
                    ..RedisConfig::new(url.clone())
                };
                Arc::new(RedisQueue::new(&config).unwrap())
            }
        }
    }

    /// A second consumer of the same queue: another process on Redis, the same process when embedded.
    pub(crate) async fn other_consumer(&self, queue: &Arc<dyn Queue>) -> Arc<dyn Queue> {
        match self {
            Self::Embedded { .. } => Arc::clone(queue),
            Self::Redis { .. } => self.open().await,
        }
    }

    pub(crate) async fn reopen(&self, queue: Arc<dyn Queue>) -> Arc<dyn Queue> {
        queue.close().await;
        self.open().await
    }
}

/// Redis tests need a Redis, and say so: a test that passes because it did nothing is worse than none.
#[expect(clippy::disallowed_methods, reason = "tests are told where their Redis is by the environment")]
fn redis_url() -> String {
    std::env::var("TALLYMARK_TEST_REDIS_URL").expect(
        "TALLYMARK_TEST_REDIS_URL is not set: run `cargo xtask test`, which starts a Redis for the tests",
    )
}
