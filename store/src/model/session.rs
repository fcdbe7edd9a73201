//! Sessions: what a set of events is, whatever the order in which they came.

use std::collections::BTreeMap;

use tallymark_protocol::UnixMs;
use uuid::Uuid;

use super::{Buckets, EnrichedEvent};

/// A row of `session`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    /// Whose.
    pub project_id: i32,
    /// `UUIDv5` of the session's key: of the client's session, or of the beginning of one that the server made.
    pub session_id: Uuid,
    /// The device.
    pub visitor_id: Uuid,
    /// The first event's time.
    pub started_at: UnixMs,
    /// The last event's time.
    pub ended_at: UnixMs,
    /// The buckets in which the session is counted: those of `started_at` in the project's zone at the time
    /// of counting. `None` only before the row was ever counted.
    pub counted_in: Option<Buckets>,
    /// The event that the session's attributes are of: the first pageview, else the first event.
    pub entry: Edge,
    /// The event that the exit page is of: the last pageview, else the last event.
    pub exit: Edge,
    /// Pageviews.
    pub pageviews: i32,
    /// Events of every name.
    pub events: i32,
    /// Events that the visitor caused, pageviews apart.
    pub interactions: i32,
    /// Visible, active milliseconds.
    pub engaged_ms: i64,
    /// Path of the entry, if that is a pageview.
    pub entry_page: Option<String>,
    /// Path of the exit, if that is a pageview.
    pub exit_page: Option<String>,
    /// Host of the entry.
    pub hostname: Option<String>,
    /// Referrer of the entry.
    pub referrer: Option<String>,
    /// Where the session came from.
    pub source: Option<String>,
    /// Browser family at the entry.
    pub browser: Option<String>,
    /// Operating system family at the entry.
    pub os: Option<String>,
    /// Kind of device at the entry.
    pub device: Option<String>,
    /// Country at the entry.
    pub country: Option<String>,
    /// Region at the entry.
    pub region: Option<String>,
    /// City at the entry.
    pub city: Option<String>,
}

/// An event's place in the order of its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    /// When it happened.
    pub at: UnixMs,
    /// Its id; breaks ties.
    pub id: Uuid,
}

impl SessionRow {
    /// The session that consists of `event` alone; `None` for an event that belongs to no session.
    #[must_use]
    pub fn of(event: &EnrichedEvent) -> Option<Self> {
        let row = &event.row;
        let (session_id, visitor_id) = (row.session_id?, row.visitor_id?);
        let pageview = row.is_pageview();
        let page = if pageview { row.path.clone() } else { None };
        let edge = Edge { at: row.occurred_at, id: row.id };
        Some(Self {
            project_id: row.project_id,
            session_id,
            visitor_id,
            started_at: row.occurred_at,
            ended_at: row.occurred_at,
            counted_in: None,
            entry: edge,
            exit: edge,
            pageviews: i32::from(pageview),
            events: 1,
            interactions: i32::from(!pageview && !row.is_passive()),
            engaged_ms: row.engaged_ms.map_or(0, i64::from),
            entry_page: page.clone(),
            exit_page: page,
            hostname: row.hostname.clone(),
            referrer: row.referrer.clone(),
            source: event.source.clone(),
            browser: event.visit.browser.clone(),
            os: event.visit.os.clone(),
            device: event.visit.device.clone(),
            country: event.visit.country.clone(),
            region: event.visit.region.clone(),
            city: event.visit.city.clone(),
        })
    }

    /// The row's key.
    #[must_use]
    pub fn key(&self) -> (i32, Uuid) {
        (self.project_id, self.session_id)
    }

    /// Takes in other events of the same session. Order does not matter.
    pub fn merge(&mut self, other: Self) {
        if (other.pageviews == 0, other.entry) < (self.pageviews == 0, self.entry) {
            self.entry = other.entry;
            self.entry_page = other.entry_page;
            self.hostname = other.hostname;
            self.referrer = other.referrer;
            self.source = other.source;
            self.browser = other.browser;
            self.os = other.os;
            self.device = other.device;
            self.country = other.country;
            self.region = other.region;
            self.city = other.city;
        }
        if (other.pageviews > 0, other.exit) > (self.pageviews > 0, self.exit) {
            self.exit = other.exit;
            self.exit_page = other.exit_page;
        }
        self.started_at = self.started_at.min(other.started_at);
        self.ended_at = self.ended_at.max(other.ended_at);
        self.pageviews = self.pageviews.saturating_add(other.pageviews);
        self.events = self.events.saturating_add(other.events);
        self.interactions = self.interactions.saturating_add(other.interactions);
        self.engaged_ms = self.engaged_ms.saturating_add(other.engaged_ms);
    }

    /// One pageview, and nothing that the visitor did beside it.
    #[must_use]
    pub fn is_bounce(&self) -> bool {
        self.pageviews == 1 && self.interactions == 0
    }

    /// From the first event to the last, in milliseconds.
    #[must_use]
    pub fn duration_ms(&self) -> i64 {
        self.ended_at.0 - self.started_at.0
    }
}

/// Folds parts of sessions into the sessions that they are of, in key order.
#[must_use]
pub fn fold_sessions(parts: impl IntoIterator<Item = SessionRow>) -> Vec<SessionRow> {
    let mut sessions: BTreeMap<(i32, Uuid), SessionRow> = BTreeMap::new();
    for part in parts {
        match sessions.entry(part.key()) {
            std::collections::btree_map::Entry::Vacant(vacant) => {
                vacant.insert(part);
            }
            std::collections::btree_map::Entry::Occupied(mut session) => session.get_mut().merge(part),
        }
    }
    sessions.into_values().collect()
}
