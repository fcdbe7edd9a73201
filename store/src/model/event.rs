//! One event as it is stored, and what it knows about its session.

use std::net::IpAddr;
use std::sync::Arc;

use serde_json::value::RawValue;
use tallymark_protocol::{UnixMs, names};
use uuid::Uuid;

/// A row of `event`.
#[derive(Clone, Debug)]
pub struct EventRow {
    /// Whose.
    pub project_id: i32,
    /// UTC day of the event's key, in days since 1970-01-01: the partition.
    pub day: i32,
    /// What makes two events the same.
    pub id: Uuid,
    /// The device, `None` for a backend's event without one.
    pub visitor_id: Option<Uuid>,
    /// The session; an event without a visitor has none. Enriched, it is the client's, and `None` where the client
    /// made none; stored, a visitor's event has one in any case.
    pub session_id: Option<Uuid>,
    /// Whether the session is one that the server made.
    pub server_session: bool,
    /// When it happened.
    pub occurred_at: UnixMs,
    /// When the collector took it.
    pub received_at: UnixMs,
    /// Visible, active milliseconds that this event reports.
    pub engaged_ms: Option<i32>,
    /// What happened.
    pub name: String,
    /// The person, as the site names them.
    pub user_id: Option<String>,
    /// Where.
    pub url: Option<String>,
    /// The URL's host.
    pub hostname: Option<String>,
    /// The URL's path.
    pub path: Option<String>,
    /// The document's title.
    pub title: Option<String>,
    /// The document's referrer, where it is another host.
    pub referrer: Option<String>,
    /// The site's own grouping.
    pub category: Option<String>,
    /// Which app sent it.
    pub event_source: Option<String>,
    /// The sender's, only where the project's owner keeps addresses.
    pub address: Option<IpAddr>,
    /// The rest, a JSON object.
    pub props: Option<Box<RawValue>>,
}

impl EventRow {
    /// Whether this is a pageview.
    #[must_use]
    pub fn is_pageview(&self) -> bool {
        self.name == names::PAGEVIEW
    }

    /// Whether the visitor did nothing for it to happen: see [`names::PASSIVE`].
    #[must_use]
    pub fn is_passive(&self) -> bool {
        names::PASSIVE.contains(&self.name.as_str())
    }
}

/// What a visit's request says about the session as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VisitAttributes {
    /// Browser family.
    pub browser: Option<String>,
    /// Operating system family.
    pub os: Option<String>,
    /// Kind of device.
    pub device: Option<String>,
    /// Country, as ISO 3166-1 alpha-2.
    pub country: Option<String>,
    /// Region, as ISO 3166-2.
    pub region: Option<String>,
    /// City, by its English name.
    pub city: Option<String>,
}

/// An event ready to be counted: its row, and what its session would take from it.
#[derive(Clone, Debug)]
pub struct EnrichedEvent {
    /// The row to insert.
    pub row: EventRow,
    /// Where the visit came from, if this event began it.
    pub source: Option<String>,
    /// Shared by all events of an envelope.
    pub visit: Arc<VisitAttributes>,
}
