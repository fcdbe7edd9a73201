//! What a collector answers to a capture.

use serde::{Deserialize, Serialize};

use crate::DiscardReason;

/// The body of a 202: how many events are durably queued, and which are refused for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureAnswer {
    /// Events that are queued.
    pub accepted: usize,
    /// Events that are not, and never will be: sending them again changes nothing.
    pub rejected: Vec<Rejection>,
}

/// One refused event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// Its place in the envelope, from 0.
    pub index: usize,
    /// Why, from the closed list.
    pub reason: DiscardReason,
    /// Why, for a person.
    pub detail: String,
}
