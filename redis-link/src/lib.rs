//! A connection to Redis that outlives what happens to a Redis: restarts, failovers, silence, a new password.
//!
//! Below the queue and the registry, which both speak to Redis through a [`Link`]. It finds the server, logs in, and
//! replaces its connection when the server at the other end is gone, silent or no longer the one that takes writes.
//! It never decides what a command means, never waits longer than its limits, and never keeps a secret that is in a
//! file: files are read at every connect.
//!
//! ```
//! use tallymark_redis_link::{Link, LinkConfig};
//!
//! async fn ask(link: &Link) -> redis::RedisResult<String> {
//!     link.call(|mut connection| async move { redis::cmd("PING").query_async(&mut connection).await }).await
//! }
//!
//! let link = Link::new(LinkConfig::new("redis://localhost/"))?;
//! # Ok::<(), redis::RedisError>(())
//! ```

mod address;
mod config;
mod link;

pub use config::LinkConfig;
pub use link::{CONNECT_PAUSE, CONNECT_TIMEOUT, Link, Linked};
