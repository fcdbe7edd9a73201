//! The buckets that all collectors share, in Redis: one script a call, and nobody waits long for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use redis::{RedisResult, Script};
use tallymark_protocol::UnixMs;
use tallymark_redis_link::Link;
use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::level::{DEBT_MINUTES_MAX, ROUNDING, STEP_BACK_MAX};
use super::{Bucket, LocalRateTokens, RateTokens, Taken, Tokens};
use crate::{RedisConfig, RegistryError, no_redis};

/// How long a request waits for Redis before this collector decides alone.
pub const DECIDED_WITHIN: Duration = Duration::from_millis(250);

/// How often a Redis that is away is tried again. No request does; until then each collector decides alone.
pub const TRY_AGAIN_EVERY: Duration = Duration::from_secs(1);

const SCRIPT: &str = include_str!("tokens.lua");

/// Tokens in Redis; those of [`LocalRateTokens`] while Redis is away.
///
/// Redis's own clock decides what is refilled: those of collectors differ.
pub struct RedisRateTokens {
    shared: Arc<Shared>,
    tasks: TaskTracker,
    /// Ends the trying when the tokens are dropped.
    shutdown: DropGuard,
}

struct Shared {
    link: Link,
    config: RedisConfig,
    script: Script,
    decided_within: Duration,
    local: LocalRateTokens,
    is_away: AtomicBool,
    went_away: Notify,
}

#[derive(Clone, Copy)]
enum Doing {
    Take,
    Charge,
}

impl Doing {
    fn word(self) -> &'static str {
        match self {
            Self::Take => "take",
            Self::Charge => "charge",
        }
    }
}

impl RedisRateTokens {
    /// Tokens in the Redis of `config`, over a connection of their own. Connects when it is first asked; must be called
    /// within a Tokio runtime, where a task looks for a Redis that is away until the tokens are closed or dropped.
    ///
    /// # Errors
    /// [`RegistryError::NoRedis`] when `config` leads to no Redis, or a file that it names cannot be used.
    pub fn new(config: RedisConfig) -> Result<Self, RegistryError> {
        Self::deciding_within(config, DECIDED_WITHIN)
    }

    /// Like [`new`](Self::new), with another time to wait for Redis.
    ///
    /// # Errors
    /// Like [`new`](Self::new).
    pub fn deciding_within(config: RedisConfig, decided_within: Duration) -> Result<Self, RegistryError> {
        let shared = Arc::new(Shared {
            link: Link::new(config.link.clone()).map_err(no_redis)?,
            config,
            script: Script::new(SCRIPT),
            decided_within,
            local: LocalRateTokens::new(),
            is_away: AtomicBool::new(false),
            went_away: Notify::new(),
        });
        let (shutdown, tasks) = (CancellationToken::new(), TaskTracker::new());
        let looking = Arc::clone(&shared).look_for_redis();
        tasks.spawn(shutdown.clone().run_until_cancelled_owned(looking));
        tasks.close();
        Ok(Self { shared, tasks, shutdown: shutdown.drop_guard() })
    }

    /// Whether this collector decides alone for now.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self.shared.is_away.load(Ordering::Relaxed)
    }

    /// Ends the looking for Redis and waits until it has ended.
    pub async fn close(self) {
        drop(self.shutdown);
        self.tasks.wait().await;
    }
}

#[async_trait]
impl RateTokens for RedisRateTokens {
    async fn take(&self, wanted: &[Tokens], now: UnixMs) -> Taken {
        match self.shared.ask(Doing::Take, wanted).await {
            Some(0) => Taken::Yes,
            Some(wait_ms) => Taken::Limited { retry_after: Duration::from_millis(wait_ms) },
            None => self.shared.local.take(wanted, now).await,
        }
    }

    async fn charge(&self, wanted: &[Tokens], now: UnixMs) {
        if self.shared.ask(Doing::Charge, wanted).await.is_none() {
            self.shared.local.charge(wanted, now).await;
        }
    }
}

impl Shared {
    /// How many milliseconds to wait, if at all; `None` where Redis does not say so in time.
    async fn ask(&self, doing: Doing, wanted: &[Tokens]) -> Option<u64> {
        if wanted.is_empty() {
            return Some(0);
        }
        if self.is_away.load(Ordering::Relaxed) {
            metrics::counter!("tallymark_rate_limits_decided_alone_total").increment(1);
            return None;
        }
        let error = match tokio::time::timeout(self.decided_within, self.run(doing, wanted)).await {
            Ok(Ok(wait_ms)) => return Some(wait_ms),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} ms", self.decided_within.as_millis()),
        };
        if !self.is_away.swap(true, Ordering::Relaxed) {
            tracing::warn!(error, "rate limits are not shared for now: each collector decides alone");
            self.went_away.notify_one();
        }
        metrics::counter!("tallymark_rate_limits_decided_alone_total").increment(1);
        None
    }

    async fn run(&self, doing: Doing, wanted: &[Tokens]) -> RedisResult<u64> {
        let mut script = self.script.prepare_invoke();
        script.arg(doing.word()).arg(DEBT_MINUTES_MAX).arg(STEP_BACK_MAX.as_micros() as u64).arg(ROUNDING);
        for of in wanted {
            script.key(self.key(of.bucket)).arg(of.per_minute).arg(of.tokens);
        }
        let script = &script;
        self.link.call(|mut connection| async move { script.invoke_async(&mut connection).await }).await
    }

    fn key(&self, bucket: Bucket) -> String {
        self.config.key(&match bucket {
            Bucket::Project(project_id) => format!("rate:{project_id}"),
            Bucket::Address { project_id, hash } => format!("rate:{project_id}:{hash:016x}"),
        })
    }

    /// For ever: waits until Redis went away, and then for a Redis that takes writes.
    async fn look_for_redis(self: Arc<Self>) {
        loop {
            self.went_away.notified().await;
            loop {
                tokio::time::sleep(TRY_AGAIN_EVERY).await;
                match self.probe().await {
                    Ok(()) => break,
                    Err(error) => tracing::debug!(%error, "rate limits cannot be shared yet"),
                }
            }
            self.is_away.store(false, Ordering::Relaxed);
            tracing::info!("rate limits are shared again");
        }
    }

    /// A write, since a replica and a Redis whose memory is full answer everything else.
    async fn probe(&self) -> RedisResult<()> {
        let mut write = redis::cmd("SET");
        write.arg(self.config.key("rate:probe")).arg(1).arg("PX").arg(1_000);
        let write = &write;
        self.link.call(|mut connection| async move { write.query_async(&mut connection).await }).await
    }
}
