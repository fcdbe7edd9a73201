//! f and g: rollups = Σ f(event) + Σ g(session), at all times.

use std::hash::Hasher;

use siphasher::sip::SipHasher24;
use uuid::Uuid;

use super::{Counts, Dimension, EventRow, SessionRow};

/// Hashes visitors for sketches, under a project's secret: a sketch that leaks tells nobody who was there.
#[derive(Clone, Copy, Debug)]
pub struct VisitorHasher {
    key: (u64, u64),
}

impl VisitorHasher {
    /// A hasher under a project's `sketch_key`.
    #[must_use]
    pub fn new(key: [u8; 16]) -> Self {
        let key = u128::from_le_bytes(key);
        #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
        Self { key: (key as u64, (key >> 64) as u64) }
    }

    /// The hash of one visitor.
    #[must_use]
    pub fn hash(&self, visitor_id: Uuid) -> u64 {
        let mut hasher = SipHasher24::new_with_keys(self.key.0, self.key.1);
        hasher.write(visitor_id.as_bytes());
        hasher.finish()
    }
}

/// f: what one event contributes, looked at alone. Calls `add` for each dimension that it has a value in;
/// each of these rows also counts the event's visitor.
pub fn event_contributions(event: &EventRow, mut add: impl FnMut(Dimension, &str, &Counts)) {
    let counts = Counts {
        pageviews: i64::from(event.is_pageview()),
        events: 1,
        engaged_ms: event.engaged_ms.map_or(0, i64::from),
        ..Counts::default()
    };
    add(Dimension::Total, "", &counts);
    add(Dimension::EventName, &event.name, &counts);
    let optional = [
        (Dimension::Page, &event.path),
        (Dimension::Hostname, &event.hostname),
        (Dimension::Category, &event.category),
        (Dimension::EventSource, &event.event_source),
    ];
    for (dimension, value) in optional {
        if let Some(value) = value {
            add(dimension, value, &counts);
        }
    }
}

/// g: what one session contributes, looked at alone, in the bucket of its start. Rows of dimensions that
/// [count visitors](Dimension::counts_visitors) count the session's, except the total, whose visitors are
/// f's.
pub fn session_contributions(session: &SessionRow, mut add: impl FnMut(Dimension, &str, &Counts)) {
    let total = Counts {
        sessions: 1,
        bounces: i64::from(session.is_bounce()),
        duration_ms: session.duration_ms(),
        ..Counts::default()
    };
    let counts = Counts {
        pageviews: i64::from(session.pageviews),
        events: i64::from(session.events),
        engaged_ms: session.engaged_ms,
        ..total
    };
    add(Dimension::Total, "", &total);
    let values = [
        (Dimension::EntryPage, &session.entry_page),
        (Dimension::ExitPage, &session.exit_page),
        (Dimension::Source, &session.source),
        (Dimension::Browser, &session.browser),
        (Dimension::Os, &session.os),
        (Dimension::Device, &session.device),
        (Dimension::Country, &session.country),
        (Dimension::Region, &session.region),
        (Dimension::City, &session.city),
    ];
    for (dimension, value) in values {
        if let Some(value) = value.as_deref().or(dimension.missing()) {
            add(dimension, value, &counts);
        }
    }
}
