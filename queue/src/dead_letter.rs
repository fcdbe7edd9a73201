//! Entries that were set aside.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use bytes::Bytes;
use serde::Deserialize;
use tallymark_protocol::UnixMs;
use uuid::Uuid;

use crate::{QueuedEnvelope, Undecodable, encoded};

/// Bytes of dead letters that are kept, by default. Thousands of the largest envelopes: whoever reaches it
/// has one fault many times, and needs to look at it, not at more of the same. Beyond it entries stay
/// pending.
pub const DEAD_LETTERS_BYTES_MAX: u64 = 256 << 20;

/// Bytes after which a page of dead letters ends: it is in memory as a whole, in Redis too.
pub(crate) const PAGE_BYTES_MAX: usize = 4 << 20;

/// Names a dead letter within its queue. Later ones are greater, within a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeadLetterId {
    pub(crate) partition: u16,
    /// Redis: the stream id's milliseconds. Embedded: the segment where the entry stood.
    pub(crate) major: u64,
    /// Redis: the stream id's number. Embedded: the byte offset where the entry stood.
    pub(crate) minor: u64,
}

impl DeadLetterId {
    /// The id just before this one, which may name nothing; `None` before the least of a partition, which
    /// names nothing either.
    pub(crate) fn before(self) -> Option<Self> {
        if let Some(minor) = self.minor.checked_sub(1) {
            return Some(Self { minor, ..self });
        }
        let major = self.major.checked_sub(1)?;
        Some(Self { major, minor: u64::MAX, ..self })
    }
}

impl fmt::Display for DeadLetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}-{}", self.partition, self.major, self.minor)
    }
}

/// A text that is no [`DeadLetterId`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this names no dead letter: it looks like 0:1763622005000-0")]
pub struct NoDeadLetterId;

impl From<ParseIntError> for NoDeadLetterId {
    fn from(_: ParseIntError) -> Self {
        Self
    }
}

impl FromStr for DeadLetterId {
    type Err = NoDeadLetterId;

    fn from_str(text: &str) -> Result<Self, NoDeadLetterId> {
        let (partition, rest) = text.split_once(':').ok_or(NoDeadLetterId)?;
        let (major, minor) = rest.split_once('-').ok_or(NoDeadLetterId)?;
        Ok(Self { partition: partition.parse()?, major: major.parse()?, minor: minor.parse()? })
    }
}

/// An entry that was set aside.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// By which to show it, or to put it back.
    pub id: DeadLetterId,
    /// When it was set aside; unknown for those of the first versions in an embedded queue.
    pub at: Option<UnixMs>,
    /// Why it was set aside.
    pub reason: String,
    /// The envelope's id, where it can be read.
    pub envelope_id: Option<Uuid>,
    /// Whose events, where it can be read.
    pub project_id: Option<i32>,
    /// Events in the envelope, refused ones too, where it can be read.
    pub received: Option<u32>,
    /// The entry, as it was stored.
    pub bytes: Bytes,
}

impl DeadLetter {
    pub(crate) fn new(id: DeadLetterId, at: Option<UnixMs>, reason: String, bytes: Bytes) -> Self {
        let Head { envelope_id, project_id, received, .. } = Head::read(&bytes);
        Self { id, at, reason, envelope_id, project_id, received, bytes }
    }

    /// The envelope.
    ///
    /// # Errors
    /// [`Undecodable`] where that is why it stands here.
    pub fn envelope(&self) -> Result<QueuedEnvelope, Undecodable> {
        encoded::decode(self.bytes.clone())
    }
}

/// What can be known of entries of any version.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Head {
    pub(crate) envelope_id: Option<Uuid>,
    pub(crate) received_at: Option<UnixMs>,
    project_id: Option<i32>,
    received: Option<u32>,
    #[serde(default)]
    pub(crate) events: Vec<serde::de::IgnoredAny>,
}

impl Head {
    pub(crate) fn read(bytes: &[u8]) -> Self {
        serde_json::from_slice(bytes).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_comes_back_from_its_text_and_other_texts_are_none() {
        let id = DeadLetterId { partition: 3, major: 1_763_622_005_000, minor: 7 };
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in ["", "0:1", "1-2", "0:1-x", "70000:1-1", "0:-1-2"] {
            assert_eq!(text.parse::<DeadLetterId>(), Err(NoDeadLetterId), "{text}");
        }
    }

    #[test]
    fn the_id_before_is_the_next_smaller_one() {
        let id = |partition, major, minor| DeadLetterId { partition, major, minor };
        assert_eq!(id(1, 2, 3).before(), Some(id(1, 2, 2)));
        assert_eq!(id(1, 2, 0).before(), Some(id(1, 1, u64::MAX)));
        assert_eq!(id(1, 0, 0).before(), None);
    }
}
