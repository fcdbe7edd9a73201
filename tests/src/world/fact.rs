//! One event that the world decided on: how it is sent, and what it must become.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::ids::{self, ClientSession};
use super::scenery::{Device, Spot};

/// An event to be counted, as the client knows it.
#[derive(Clone, Debug)]
pub(super) struct Fact {
    /// A UUID, or a backend's own text.
    pub(super) sent_id: String,
    pub(super) name: String,
    /// When it really happened, in Unix milliseconds.
    pub(super) at_ms: i64,
    /// The same by the client's clock.
    pub(super) client_ms: i64,
    pub(super) visitor: Option<String>,
    pub(super) session: Option<ClientSession>,
    /// The document, and the event's number in it.
    pub(super) tab: Option<(String, u32)>,
    pub(super) user_id: Option<String>,
    pub(super) url: Option<String>,
    /// The URL's host and path, as they are stored.
    pub(super) hostname: Option<String>,
    pub(super) path: Option<String>,
    pub(super) referrer: Option<String>,
    /// Where the visit came from, if this event began it.
    pub(super) source: Option<String>,
    pub(super) category: Option<String>,
    pub(super) event_source: Option<String>,
    /// What a `$pageleave` reports.
    pub(super) engaged_ms: Option<i64>,
    /// Other properties.
    pub(super) props: Option<Value>,
    pub(super) device: &'static Device,
    pub(super) spot: &'static Spot,
    /// Whether its time is written as text.
    pub(super) time_as_text: bool,
}

impl Fact {
    /// What makes two events the same.
    pub(super) fn id(&self) -> Uuid {
        ids::event(&self.sent_id)
    }

    /// UTC day of its key, in days since 1970-01-01: by the client's clock.
    pub(super) fn day(&self) -> i64 {
        self.client_ms.div_euclid(ids::DAY_MS)
    }

    /// The device, as it is stored.
    pub(super) fn visitor_id(&self, project_id: i32) -> Option<Uuid> {
        Some(ids::within_project(project_id, self.visitor.as_deref()?))
    }

    /// The session, as it is stored.
    pub(super) fn session_id(&self, project_id: i32) -> Option<Uuid> {
        let visitor_id = self.visitor_id(project_id)?;
        Some(self.session.as_ref()?.id(project_id, visitor_id, self.at_ms, self.client_ms))
    }

    /// The properties, as they are sent and stored.
    pub(super) fn props(&self) -> Option<Value> {
        let Some(engaged_ms) = self.engaged_ms else { return self.props.clone() };
        Some(json!({ "engaged_ms": engaged_ms }))
    }

    /// The event's JSON on the wire.
    pub(super) fn json(&self) -> Map<String, Value> {
        let mut json = Map::new();
        let mut put = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                json.insert(key.to_owned(), value);
            }
        };
        let text = |text: &Option<String>| text.clone().map(Value::from);
        put("id", Some(self.sent_id.clone().into()));
        put("name", Some(self.name.clone().into()));
        put("occurred_at", Some(time_json(self.client_ms, self.time_as_text)));
        put("anonymous_id", text(&self.visitor));
        put("session_id", self.session.as_ref().map(|session| session.text.clone().into()));
        put("tab_id", self.tab.as_ref().map(|tab| tab.0.clone().into()));
        put("seq", self.tab.as_ref().map(|tab| tab.1.into()));
        put("user_id", text(&self.user_id));
        put("url", text(&self.url));
        put("referrer", text(&self.referrer));
        put("category", text(&self.category));
        put("event_source", text(&self.event_source));
        put("props", self.props());
        json
    }
}

fn time_json(at_ms: i64, as_text: bool) -> Value {
    let as_timestamp = jiff::Timestamp::from_millisecond(at_ms).ok().filter(|_| as_text);
    as_timestamp.map_or_else(|| json!(at_ms), |timestamp| json!(timestamp.to_string()))
}

/// An event that must be refused.
#[derive(Clone, Debug)]
pub(super) struct BadEvent {
    /// The reason's name in outcomes.
    pub(super) reason: &'static str,
    /// When it really happened.
    pub(super) at_ms: i64,
    pub(super) json: Value,
    /// Where it is numbered, if that can be read.
    pub(super) tab: Option<(String, u32)>,
}
