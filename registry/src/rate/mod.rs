//! Rate limits: buckets of tokens, one token an event. A bucket holds a minute's worth and fills evenly.

mod level;
mod local;
mod redis;

use std::time::Duration;

use async_trait::async_trait;
use tallymark_protocol::UnixMs;

pub use self::level::DEBT_MINUTES_MAX;
pub use self::local::LocalRateTokens;
pub use self::redis::{DECIDED_WITHIN, RedisRateTokens, TRY_AGAIN_EVERY};

/// Whose tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bucket {
    /// All of a project's events.
    Project(i32),
    /// What one address sends to a project. The hash is keyed by the day's salt: it names nobody.
    Address {
        /// The project.
        project_id: i32,
        /// The address, hashed.
        hash: u64,
    },
}

/// What is wanted of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// Whose.
    pub bucket: Bucket,
    /// The limit: how many the bucket holds, and how many it gains in a minute.
    pub per_minute: u32,
    /// How many are wanted.
    pub tokens: u32,
}

/// Whether there were tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Every bucket had one, and gave what was wanted.
    Yes,
    /// A bucket was empty, and none gave anything. It has a token again after this long.
    Limited {
        /// At least a second when it is told to a client.
        retry_after: Duration,
    },
}

/// Buckets that collectors share, or one process has for itself.
///
/// Nothing here fails: where the shared buckets are away, local ones decide, each collector by itself.
#[async_trait]
pub trait RateTokens: Send + Sync + 'static {
    /// Takes tokens of all of `wanted`, or of none. A bucket that has at least one gives as many as are wanted:
    /// what it lacks is a debt that has to be refilled first, of [`DEBT_MINUTES_MAX`] minutes' worth at most. So an envelope
    /// is taken whole, however large, and the limit holds over time. Buckets that are shared go by their own clock, not
    /// by `now`.
    async fn take(&self, wanted: &[Tokens], now: UnixMs) -> Taken;

    /// Takes tokens without asking: for events that have turned out to be in an envelope that was let in.
    async fn charge(&self, wanted: &[Tokens], now: UnixMs);
}
