//! How a collector behaves where the wire leaves it free.

use std::time::Duration;

use crate::TrustedProxies;

/// A collector's settings.
#[derive(Clone, Debug)]
pub struct CollectorConfig {
    /// How long a body may take to arrive. A phone on a bad network needs seconds for a full envelope; who
    /// needs longer holds a connection for nothing.
    pub body_timeout: Duration,
    /// How long the queue may take to have an envelope durably, before the client is told to come again.
    pub append_timeout: Duration,
    /// What `Retry-After` says when the queue or the registry cannot be used. Trackers add jitter.
    pub retry_after: Duration,
    /// Bytes of bodies that are in memory at once, from their arrival until the queue has them; beyond it the client is
    /// told to come again. Ten seconds of 3 MiB: as long as an append may take, at a rate that few sites have.
    pub bodies_bytes_max: usize,
    /// Proxies whose word on a sender's address and country is taken.
    pub trusted_proxies: TrustedProxies,
}

impl Default for CollectorConfig {
    fn default() -> Self {
        Self {
            body_timeout: Duration::from_secs(30),
            append_timeout: Duration::from_secs(10),
            retry_after: Duration::from_secs(5),
            bodies_bytes_max: 32 * 1024 * 1024,
            trusted_proxies: TrustedProxies::default(),
        }
    }
}
