//! What one entry of the queue holds: one envelope, as the collector took it.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use tallymark_protocol::{Context, Event, Place, Rejected, UnixMs};
use uuid::Uuid;

/// The form of entries that this version writes; readers take this and every earlier one.
pub const ENTRY_VERSION: u8 = 1;

/// An envelope between collector and processor. It holds no address, unless the project keeps them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct QueuedEnvelope {
    /// [`ENTRY_VERSION`] of who wrote it.
    pub v: u8,
    /// Given by the collector before the first append and kept through every retry: a `UUIDv7`.
    pub envelope_id: Uuid,
    /// Whose events.
    pub project_id: i32,
    /// The collector's time.
    pub received_at: UnixMs,
    /// Events in the body: `events` + `rejected`.
    pub received: u32,
    /// Whether a browser sent it (it carried `Origin` or `Sec-Fetch-Site`), else a backend.
    pub from_browser: bool,
    /// The request's user agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// Where it came from.
    #[serde(default, skip_serializing_if = "Place::is_unknown")]
    pub place: Place,
    /// The sender's address: only where the project's owner keeps addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// What holds for all events.
    pub context: Context,
    /// The refused events.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<Rejected>,
    /// The events to count.
    pub events: Vec<Event>,
}
