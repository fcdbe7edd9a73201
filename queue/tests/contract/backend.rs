//! The backends under test, each with a place of its own.

use std::sync::Arc;

use tallymark_protocol::UnixMs;
use tallymark_queue::{
    DEAD_LETTERS_BYTES_MAX, EmbeddedConfig, EmbeddedQueue, Queue, RedisConfig, RedisQueue, SpoolConfig,
    SpooledQueue,
};
use tempfile::TempDir;

pub(crate) enum Backend {
    Embedded {
        dir: TempDir,
    },
    Redis {
        url: String,
        prefix: String,
        partitions: u16,
    },
    /// A spool before a Redis that is there all the time.
    Spooled {
        redis: Box<Backend>,
        dir: TempDir,
    },
}

impl Backend {
    pub(crate) fn embedded() -> Self {
        Self::Embedded { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn redis(partitions: u16) -> Self {
        let prefix = format!("tallymark-test:{:016x}:", getrandom::u64().unwrap());
        Self::Redis { url: redis_url(), prefix, partitions }
    }

    pub(crate) fn spooled() -> Self {
        Self::Spooled { redis: Box::new(Self::redis(1)), dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) async fn open(&self) -> Arc<dyn Queue> {
        self.open_bounded(1 << 20).await
    }

    pub(crate) async fn open_bounded(&self, backlog_bytes_max: u64) -> Arc<dyn Queue> {
        self.open_with(backlog_bytes_max, DEAD_LETTERS_BYTES_MAX).await
    }

    pub(crate) async fn open_with(
        &self,
        backlog_bytes_max: u64,
        dead_letters_bytes_max: u64,
    ) -> Arc<dyn Queue> {
        match self {
            Self::Embedded { dir } => {
                let config = EmbeddedConfig {
                    backlog_bytes_max,
                    dead_letters_bytes_max,
                    segment_bytes: 4_096,
                    ..EmbeddedConfig::new(dir.path())
                };
                Arc::new(EmbeddedQueue::open(config).await.unwrap())
            }
            Self::Redis { url, prefix, partitions } => {
                let config = RedisConfig {
                    backlog_bytes_max,
                    dead_letters_bytes_max,
                    prefix: prefix.clone(),
                    partitions: *partitions,
                    ..RedisConfig::new(url.clone())
                };
                Arc::new(RedisQueue::new(&config).unwrap())
            }
            Self::Spooled { redis, dir } => {
                let first = Box::pin(redis.open_with(backlog_bytes_max, dead_letters_bytes_max)).await;
                // One directory a collector: a second consumer is another process.
                let spool = tempfile::tempdir_in(dir.path()).unwrap().keep();
                let spool = EmbeddedQueue::open(EmbeddedConfig::new(spool)).await.unwrap();
                let now = Arc::new(|| UnixMs(1_763_622_010_000));
                Arc::new(SpooledQueue::start(first, spool, SpoolConfig::new(now)))
            }
        }
    }

    /// A second consumer of the same queue: another process on Redis, the same process when embedded.
    pub(crate) async fn other_consumer(&self, queue: &Arc<dyn Queue>) -> Arc<dyn Queue> {
        match self {
            Self::Embedded { .. } => Arc::clone(queue),
            Self::Redis { .. } | Self::Spooled { .. } => self.open().await,
        }
    }

    pub(crate) async fn reopen(&self, queue: Arc<dyn Queue>) -> Arc<dyn Queue> {
        queue.close().await;
        self.open().await
    }

    pub(crate) async fn reopen_with(
        &self,
        queue: Arc<dyn Queue>,
        backlog_bytes_max: u64,
        dead_letters_bytes_max: u64,
    ) -> Arc<dyn Queue> {
        queue.close().await;
        self.open_with(backlog_bytes_max, dead_letters_bytes_max).await
    }
}

/// Redis tests need a Redis, and say so: a test that passes because it did nothing is worse than none.
#[expect(clippy::disallowed_methods, reason = "tests are told where their Redis is by the environment")]
fn redis_url() -> String {
    std::env::var("TALLYMARK_TEST_REDIS_URL").expect(
        "TALLYMARK_TEST_REDIS_URL is not set: run `cargo xtask test`, which starts a Redis for the tests",
    )
}
