//! Where collectors meet.

use tallymark_redis_link::LinkConfig;

/// The Redis through which collectors share what they know.
#[derive(Clone, Debug)]
pub struct RedisConfig {
    /// How it is reached.
    pub link: LinkConfig,
    /// What all keys begin with.
    pub prefix: String,
}

impl RedisConfig {
    /// A key under the prefix. Braces make a Redis Cluster keep all of them on one node: what one script or one
    /// transaction touches has to be together, and none of it is much.
    pub(crate) fn key(&self, name: &str) -> String {
        format!("{}{{registry}}:{name}", self.prefix)
    }
}
