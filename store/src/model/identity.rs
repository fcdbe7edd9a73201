//! Who a visitor is.

use tallymark_protocol::UnixMs;
use uuid::Uuid;

/// An event in which a visitor named a person. A visitor belongs to the person of the earliest one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identification {
    /// Whose.
    pub project_id: i32,
    /// The device.
    pub visitor_id: Uuid,
    /// The person, as the site names them.
    pub user_id: String,
    /// When.
    pub occurred_at: UnixMs,
    /// The event; breaks ties.
    pub event_id: Uuid,
}

impl Identification {
    /// The row's key.
    #[must_use]
    pub fn key(&self) -> (i32, Uuid) {
        (self.project_id, self.visitor_id)
    }

    /// Whether this identification goes before `other`.
    #[must_use]
    pub fn precedes(&self, other: &Self) -> bool {
        (self.occurred_at, self.event_id) < (other.occurred_at, other.event_id)
    }
}
