//! What a Redis must be like to keep our promises, and what it says of itself.

/// What `INFO` says that matters to a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisFacts {
    /// As the server names it.
    pub version: String,
    /// Whether it is at least 7.0, which the scripts need.
    pub is_supported: bool,
    /// Whether it writes an append-only file. Without one, a restart loses what was acknowledged.
    pub is_append_only: bool,
    /// Whether it throws keys away when memory is short, which would be acknowledged events.
    pub evicts: bool,
}

impl RedisFacts {
    pub(super) fn from_info(info: &str) -> Self {
        let field = |name: &str| {
            let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.unwrap_or_default().trim()
        };
        let version = field("redis_version").to_owned();
        let major: u32 = version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0);
        Self {
            is_supported: major >= 7,
            is_append_only: field("aof_enabled") == "1",
            // `volatile-*` only takes keys with an expiry; ours have none.
            evicts: field("maxmemory") != "0" && field("maxmemory_policy").starts_with("allkeys"),
            version,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_read_from_info() {
        let info = "# Server\r\nredis_version:6.2.14\r\nmaxmemory:1000\r\nmaxmemory_policy:allkeys-lru\r\naof_enabled:0\r\n";
        let facts = RedisFacts::from_info(info);
        assert_eq!(facts.version, "6.2.14");
        assert!(!facts.is_supported && facts.evicts && !facts.is_append_only);
        let info = "redis_version:7.0.15\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\naof_enabled:1\r\n";
        let facts = RedisFacts::from_info(info);
        assert!(facts.is_supported && !facts.evicts && facts.is_append_only);
    }
}
