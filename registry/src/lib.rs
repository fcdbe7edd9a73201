//! What collectors know about projects: a copy in memory, so that capturing never waits for the store.
//!
//! Beside the path of an event: the collector asks it for each request. Three things are shared:
//! settings by write key ([`Registry`]), rate tokens ([`RateTokens`]) and the salts under which addresses are
//! forgotten ([`Salts`]). Each has a form for many collectors, through Redis, and one for a process alone.
//!
//! The store is the truth; a copy is at most a few seconds old. It never guesses: a key that it cannot look up
//! is an error ([`RegistryError`]), not an unknown key, since a tracker stops for good at "unknown" and tries
//! again at "not now". It never holds an address.
//!
//! ```
//! use tallymark_protocol::WriteKey;
//! use tallymark_registry::{Registry, RegistryError};
//!
//! async fn project_of(registry: &dyn Registry, text: &str) -> Result<Option<i32>, RegistryError> {
//!     let Some(write_key) = WriteKey::parse(text) else { return Ok(None) };
//!     Ok(registry.project_by_write_key(write_key).await?.map(|project| project.project_id))
//! }
//! ```

mod config;
mod disk;
mod kept;
mod local;
mod lookups;
mod rate;
mod redis;
mod salt;

use std::sync::Arc;

use async_trait::async_trait;
use tallymark_protocol::WriteKey;
use tallymark_protocol::settings::ProjectSettings;

pub use tallymark_redis_link::LinkConfig;

pub use self::config::RedisConfig;
pub use self::local::{LocalRegistry, REFRESH_EVERY};
pub use self::lookups::UNKNOWN_FOR;
pub use self::rate::{
    Bucket, DEBT_MINUTES_MAX, DECIDED_WITHIN, LocalRateTokens, RateTokens, RedisRateTokens, TRY_AGAIN_EVERY,
    Taken, Tokens,
};
pub use self::redis::{POLL_EVERY, Published, RedisRegistry, Version};
pub use self::salt::{
    LIVES_ON, LOOK_EVERY, LocalSalts, NoSalts, Now, RedisSalts, SECRET_BYTES_MAX, SECRET_BYTES_MIN, Salt,
    Salts, Secret, SecretError,
};

/// What is known about projects.
#[async_trait]
pub trait Registry: Send + Sync + 'static {
    /// The project of `write_key`; `None` when surely no project has it.
    ///
    /// # Errors
    /// [`RegistryError`] when the key is not in memory and could not be looked up. The caller answers 503.
    async fn project_by_write_key(
        &self,
        write_key: WriteKey<'_>,
    ) -> Result<Option<Arc<ProjectSettings>>, RegistryError>;
}

/// The registry could not say.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// What it copies from did not answer, or not in time.
    #[error("projects cannot be looked up")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Nobody has published projects yet: a processor does at its start.
    #[error("no projects are published yet; start `tallymark process` or `tallymark serve` once")]
    NotPublished,
    /// What it was told leads to no Redis: a URL that is none, a file that cannot be read.
    #[error("this leads to no Redis")]
    NoRedis(#[source] Box<dyn std::error::Error + Send + Sync>),
}

fn unavailable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> RegistryError {
    RegistryError::Unavailable(error.into())
}

fn no_redis(error: ::redis::RedisError) -> RegistryError {
    RegistryError::NoRedis(error.into())
}
