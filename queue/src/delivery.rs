//! What readers get, and what they say about it.

use std::fmt;

use bytes::Bytes;
use tallymark_protocol::UnixMs;

use crate::QueuedEnvelope;

/// One entry, delivered.
#[derive(Debug)]
pub struct Delivery {
    /// By which to ack it or set it aside.
    pub handle: Handle,
    /// How often it was delivered, this time included. Redis counts for as long as the entry lives; the
    /// embedded queue forgets it when it is closed well, and so counts how often the process died over it.
    pub tries: u32,
    /// The envelope, or what stands in its place.
    pub envelope: Result<QueuedEnvelope, Undecodable>,
}

/// An entry that cannot be read: written by a later version, or damaged. It goes to the dead letters.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the entry cannot be read: {error}")]
pub struct Undecodable {
    /// The entry as it is stored.
    pub bytes: Bytes,
    /// Why it cannot be read.
    pub error: String,
}

/// Names an entry within its queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Handle {
    pub(crate) partition: u16,
    /// Redis: the stream id's milliseconds. Embedded: the segment.
    pub(crate) major: u64,
    /// Redis: the stream id's number. Embedded: the byte offset within the segment.
    pub(crate) minor: u64,
    /// What the entry counts in the backlog's bytes.
    pub(crate) bytes: u32,
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}-{}", self.partition, self.major, self.minor)
    }
}

/// How much to take at once. At least one entry is taken where there is one; no more are after any of
/// the bounds is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimit {
    /// Entries, that is envelopes.
    pub entries_max: usize,
    /// Accepted events in them.
    pub events_max: usize,
    /// Encoded bytes.
    pub bytes_max: usize,
}

impl Default for BatchLimit {
    /// A transaction that commits in tens of milliseconds and fits in memory many times over.
    fn default() -> Self {
        Self { entries_max: 500, events_max: 2_000, bytes_max: 8 * 1024 * 1024 }
    }
}

/// What waits in the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Entries not acked, delivered or not.
    pub entries: u64,
    /// Their encoded bytes; what the bound is about.
    pub bytes: u64,
    /// The entries among them that were delivered.
    pub pending: u64,
    /// Entries set aside.
    pub dead_letters: u64,
    /// When the oldest entry's envelope was received.
    pub oldest_received_at: Option<UnixMs>,
}
