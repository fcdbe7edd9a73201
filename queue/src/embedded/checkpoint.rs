//! Which entries were acked, written now and then. A lost or damaged checkpoint costs redelivery, never an
//! entry: so it is neither synced nor waited for, and anything doubtful in it is ignored.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tallymark_protocol::UnixMs;

use super::frame::{self, Label};

const FILE: &str = "acks.checkpoint";
const FILE_NEXT: &str = "acks.checkpoint.next";

/// The acked entries of every segment, by byte offset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Checkpoint {
    /// The number that the next new segment would have had: with the last segment deleted, nothing else may know which
    /// were used. 0 in checkpoints that did not say.
    #[serde(default)]
    pub(super) next_number: u64,
    pub(super) segments: BTreeMap<u64, Acked>,
}

/// The acked entries of one segment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Acked {
    /// All that start before this offset.
    pub(super) before: u64,
    /// And those that start exactly at these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) at: Vec<u64>,
}

impl Acked {
    pub(super) fn holds(&self, offset: u64) -> bool {
        offset < self.before || self.at.binary_search(&offset).is_ok()
    }
}

/// The last checkpoint in `dir`; the empty one when there is none, or none that is whole.
pub(super) fn load(dir: &Path) -> Checkpoint {
    let Ok(bytes) = std::fs::read(dir.join(FILE)) else { return Checkpoint::default() };
    let whole = frame::read(&bytes).and_then(|(_, payload)| serde_json::from_slice(payload).ok());
    whole.unwrap_or_else(|| {
        tracing::warn!("the queue's checkpoint is damaged and ignored; acked entries are delivered again");
        Checkpoint::default()
    })
}

/// Replaces the checkpoint in `dir`.
///
/// # Errors
/// What the file system says; the former checkpoint then still stands.
pub(super) fn store(dir: &Path, checkpoint: &Checkpoint) -> io::Result<()> {
    let json = serde_json::to_vec(checkpoint)?;
    let mut bytes = Vec::new();
    frame::put(&mut bytes, Label { events: 0, received_at: UnixMs(0) }, &json);
    let next = dir.join(FILE_NEXT);
    std::fs::write(&next, bytes)?;
    std::fs::rename(next, dir.join(FILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_comes_back_and_a_damaged_one_is_no_checkpoint() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(load(dir.path()), Checkpoint::default());
        let acked = Acked { before: 100, at: vec![150, 300] };
        let checkpoint = Checkpoint { next_number: 8, segments: BTreeMap::from([(7, acked)]) };
        store(dir.path(), &checkpoint).unwrap();
        assert_eq!(load(dir.path()), checkpoint);

        let mut bytes = std::fs::read(dir.path().join(FILE)).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(dir.path().join(FILE), bytes).unwrap();
        assert_eq!(load(dir.path()), Checkpoint::default());
    }

    #[test]
    fn an_offset_is_acked_before_the_mark_or_by_name() {
        let acked = Acked { before: 100, at: vec![150, 300] };
        assert!(acked.holds(8) && acked.holds(150) && acked.holds(300));
        assert!(!acked.holds(100) && !acked.holds(151));
    }
}
