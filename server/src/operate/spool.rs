//! What a collector keeps on its own disk while Redis is away.

use serde::{Deserialize, Serialize};
use tallymark_queue::Queue;

/// What waits in the spool.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SpoolStatus {
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
    pub(crate) bytes_max: u64,
    /// Entries that the disk damaged; they are kept beside the spool.
    pub(crate) damaged: u64,
    /// Unix milliseconds.
    pub(crate) oldest_received_at: Option<i64>,
    /// Whether Redis is away, as this server sees it.
    pub(crate) is_away: bool,
}

impl SpoolStatus {
    /// The spool before `queue`, where there is one, and what is amiss with it.
    pub(super) fn of(queue: &dyn Queue) -> (Option<Self>, Vec<String>) {
        let Some(spool) = queue.spool() else { return (None, Vec::new()) };
        let mut degraded = Vec::new();
        if spool.is_away {
            degraded.push(format!("Redis is away: {} envelopes wait in the spool", spool.entries));
        }
        if !spool.has_room() {
            degraded.push(format!("the spool is nearly full: {} of {} bytes", spool.bytes, spool.bytes_max));
        }
        if spool.damaged > 0 {
            degraded.push(format!("{} entries of the spool are damaged and were set aside", spool.damaged));
        }
        let status = Self {
            entries: spool.entries,
            bytes: spool.bytes,
            bytes_max: spool.bytes_max,
            damaged: spool.damaged,
            oldest_received_at: spool.oldest_received_at.map(|at| at.0),
            is_away: spool.is_away,
        };
        (Some(status), degraded)
    }
}
