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

mod local;
mod rate;
mod redis;
mod salt;

use std::sync::Arc;

use async_trait::async_trait;
use tallymark_protocol::WriteKey;
use tallymark_protocol::settings::ProjectSettings;

pub use self::local::{LocalRegistry, REFRESH_EVERY, UNKNOWN_FOR};
pub use self::rate::{Bucket, LocalRateTokens, RateTokens, Taken, Tokens};
pub use self::redis::{POLL_EVERY, Published, RedisRegistry, Version};
pub use self::salt::{NoSalts, Salt, Salts};

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
}
