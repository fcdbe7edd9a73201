//! The Lua scripts, and the keys they work on.

use redis::Script;

/// The keys of one partition. Braces make a Redis Cluster keep them on one node, as one script needs.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    pub(super) partition: u16,
    pub(super) stream: String,
    pub(super) bytes: String,
    pub(super) dead: String,
    pub(super) dead_bytes: String,
    pub(super) tries: String,
}

impl Keys {
    pub(super) fn new(prefix: &str, partition: u16) -> Self {
        Self {
            partition,
            stream: format!("{prefix}events:{{{partition}}}"),
            bytes: format!("{prefix}events:{{{partition}}}:bytes"),
            dead: format!("{prefix}dead-letters:{{{partition}}}"),
            dead_bytes: format!("{prefix}dead-letters:{{{partition}}}:bytes"),
            tries: format!("{prefix}tries:{{{partition}}}"),
        }
    }
}

/// Sent by their hash; Redis is given the text where it does not know it (any more).
pub(super) struct Scripts {
    pub(super) append: Script,
    pub(super) read: Script,
    pub(super) reclaim: Script,
    pub(super) ack: Script,
    pub(super) dead_letter: Script,
    pub(super) dead_letters: Script,
    pub(super) replay: Script,
    pub(super) begin_alone: Script,
    pub(super) withdraw_alone: Script,
    pub(super) backlog: Script,
    pub(super) leave: Script,
    pub(super) partitions: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            append: Script::new(include_str!("scripts/append.lua")),
            read: Script::new(include_str!("scripts/read.lua")),
            reclaim: Script::new(include_str!("scripts/reclaim.lua")),
            ack: Script::new(include_str!("scripts/ack.lua")),
            dead_letter: Script::new(include_str!("scripts/dead_letter.lua")),
            dead_letters: Script::new(include_str!("scripts/dead_letters.lua")),
            replay: Script::new(include_str!("scripts/replay.lua")),
            begin_alone: Script::new(include_str!("scripts/begin_alone.lua")),
            withdraw_alone: Script::new(include_str!("scripts/withdraw_alone.lua")),
            backlog: Script::new(include_str!("scripts/backlog.lua")),
            leave: Script::new(include_str!("scripts/leave.lua")),
            partitions: Script::new(include_str!("scripts/partitions.lua")),
        }
    }
}
