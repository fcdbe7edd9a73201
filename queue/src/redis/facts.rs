//! What a Redis must be like to keep our promises, and what it says of itself.

use std::collections::HashMap;

use redis::RedisResult;

use super::RedisQueue;
use super::calls::to_queue_error;
use crate::QueueError;

/// When the append-only file is synced to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendFsync {
    /// Before each answer.
    Always,
    /// Each second.
    EverySecond,
    /// When the operating system likes.
    No,
}

/// What an acknowledgement of this Redis is worth when its process or machine dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Nothing acknowledged is lost.
    Kept,
    /// About the last second may be lost.
    LosesASecond,
    /// The last half minute or so may be lost, when the machine dies.
    LosesWhatIsNotWritten,
    /// It writes an append-only file; when it syncs it, it does not tell.
    Unknown,
    /// Everything since the last snapshot is lost, or everything: there is no append-only file, or it cannot be written.
    LosesAll,
}

/// What a Redis says of itself that matters to a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisFacts {
    /// As the server names it.
    pub version: String,
    /// Whether it is at least 7.0, which the scripts need.
    pub is_supported: bool,
    /// Whether it is a replica, which takes no writes: the address leads to the wrong server.
    pub is_replica: bool,
    /// Whether it is a node of a Redis Cluster, which is not supported yet.
    pub is_cluster: bool,
    /// Whether it writes an append-only file. Without one, a restart loses what was acknowledged.
    pub is_append_only: bool,
    /// Whether its last write to that file succeeded.
    pub is_append_only_written: bool,
    /// When it syncs that file; `None` where asking is forbidden, as in many a managed Redis.
    pub append_fsync: Option<AppendFsync>,
    /// What it may hold; 0 for as much as there is.
    pub memory_bytes_max: u64,
    /// What it holds.
    pub memory_used_bytes: u64,
    /// What it does when memory is short.
    pub memory_policy: String,
}

impl RedisFacts {
    /// Whether it throws any key away when memory is short, which would be acknowledged events.
    #[must_use]
    pub fn evicts(&self) -> bool {
        self.memory_bytes_max > 0 && self.memory_policy.starts_with("allkeys")
    }

    /// Whether it throws keys with an expiry away when memory is short: no events, but the salts of visitors without
    /// a cookie, who would count twice that day, and the rate limits.
    #[must_use]
    pub fn evicts_expiring(&self) -> bool {
        self.memory_bytes_max > 0 && self.memory_policy.starts_with("volatile")
    }

    /// What an acknowledgement is worth.
    #[must_use]
    pub fn durability(&self) -> Durability {
        match self.append_fsync {
            _ if !self.is_append_only || !self.is_append_only_written => Durability::LosesAll,
            Some(AppendFsync::Always) => Durability::Kept,
            Some(AppendFsync::EverySecond) => Durability::LosesASecond,
            Some(AppendFsync::No) => Durability::LosesWhatIsNotWritten,
            None => Durability::Unknown,
        }
    }

    fn new(info: &str, append_fsync: Option<&str>) -> Self {
        let field = |name: &str| {
            let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.unwrap_or_default().trim()
        };
        let version = field("redis_version").to_owned();
        let major: u32 = version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0);
        Self {
            is_supported: major >= 7,
            version,
            is_replica: field("role") == "slave",
            is_cluster: field("cluster_enabled") == "1",
            is_append_only: field("aof_enabled") == "1",
            is_append_only_written: field("aof_last_write_status") != "err",
            append_fsync: append_fsync.and_then(|when| match when {
                "always" => Some(AppendFsync::Always),
                "everysec" => Some(AppendFsync::EverySecond),
                "no" => Some(AppendFsync::No),
                _ => None,
            }),
            memory_bytes_max: field("maxmemory").parse().unwrap_or(0),
            memory_used_bytes: field("used_memory").parse().unwrap_or(0),
            memory_policy: field("maxmemory_policy").to_owned(),
        }
    }
}

impl RedisQueue {
    /// Asks the server what it is.
    ///
    /// # Errors
    /// [`QueueError::Unavailable`].
    pub async fn facts(&self) -> Result<RedisFacts, QueueError> {
        let asked = self.calls.link.call(|mut connection| async move {
            let info: String = redis::cmd("INFO").query_async(&mut connection).await?;
            let mut config = redis::cmd("CONFIG");
            let config: RedisResult<HashMap<String, String>> =
                config.arg("GET").arg("appendfsync").query_async(&mut connection).await;
            match config {
                Ok(config) => Ok((info, config.get("appendfsync").cloned())),
                Err(error) if error.is_io_error() => Err(error),
                Err(_) => Ok((info, None)), // forbidden
            }
        });
        let (info, append_fsync) =
            asked.await.map_err(|error| to_queue_error("ask Redis what it is", error))?;
        Ok(RedisFacts::new(&info, append_fsync.as_deref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WELL: &str = "# Server\r\nredis_version:7.0.15\r\nrole:master\r\ncluster_enabled:0\r\nmaxmemory:0\r\n\
        maxmemory_policy:noeviction\r\nused_memory:1000\r\naof_enabled:1\r\naof_last_write_status:ok\r\n";

    #[test]
    fn a_redis_as_it_should_be_keeps_what_it_acknowledged() {
        let facts = RedisFacts::new(WELL, Some("always"));
        assert!(facts.is_supported && !facts.is_replica && !facts.is_cluster && !facts.evicts(), "{facts:?}");
        assert_eq!((facts.durability(), facts.memory_used_bytes), (Durability::Kept, 1_000));
    }

    #[test]
    fn what_can_be_lost_is_named() {
        let durability = |info: &str, fsync| RedisFacts::new(info, fsync).durability();
        assert_eq!(durability(WELL, Some("everysec")), Durability::LosesASecond);
        assert_eq!(durability(WELL, Some("no")), Durability::LosesWhatIsNotWritten);
        assert_eq!(durability(WELL, None), Durability::Unknown);
        let off = WELL.replace("aof_enabled:1", "aof_enabled:0");
        assert_eq!(durability(&off, Some("always")), Durability::LosesAll);
        let broken = WELL.replace("write_status:ok", "write_status:err");
        assert_eq!(durability(&broken, Some("always")), Durability::LosesAll);
    }

    #[test]
    fn an_old_one_a_replica_and_one_that_evicts_are_known() {
        let info = "redis_version:6.2.14\r\nrole:slave\r\nmaxmemory:1000\r\nmaxmemory_policy:allkeys-lru\r\n";
        let facts = RedisFacts::new(info, None);
        assert!(!facts.is_supported && facts.is_replica && facts.evicts() && !facts.evicts_expiring());
        let volatile = RedisFacts::new(&info.replace("allkeys", "volatile"), None);
        assert!(!volatile.evicts() && volatile.evicts_expiring());
        let unbounded = RedisFacts::new(&info.replace("maxmemory:1000", "maxmemory:0"), None);
        assert!(!unbounded.evicts(), "with no limit nothing is evicted");
    }
}
