//! An event as it crosses the wire.

use alloc::string::String;

use serde::Serialize;

use super::json::to_json;

/// JSON that somebody else wrote already: a site's properties come from `JSON.stringify`.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct RawJson<'a>(pub &'a str);

/// An event; what is `None` is left out.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Event<'a> {
    /// `UUIDv7`, made once: the same on every try.
    pub id: &'a str,
    /// What happened.
    pub name: &'a str,
    /// Unix milliseconds by the page's clock.
    pub occurred_at: u64,
    /// The visitor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anonymous_id: Option<&'a str>,
    /// The person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<&'a str>,
    /// The visit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<&'a str>,
    /// The document that the event happened in.
    pub tab_id: &'a str,
    /// The event's number within that document.
    pub seq: u32,
    /// The address of the view.
    pub url: &'a str,
    /// The title of the view.
    pub title: &'a str,
    /// Where the view was reached from.
    pub referrer: &'a str,
    /// Which kind of app sent it.
    pub event_source: &'a str,
    /// Properties, a JSON object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub props: Option<RawJson<'a>>,
}

impl Event<'_> {
    /// The event as one line of JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut out = String::with_capacity(512);
        to_json(&mut out, self);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_written_as_the_wire_wants_it() {
        let event = Event {
            id: "0190",
            name: "signup",
            occurred_at: 1_763_622_000_123,
            anonymous_id: Some("a"),
            user_id: None,
            session_id: Some("s"),
            tab_id: "t",
            seq: 17,
            url: "https://shop.example/?q=\"x\"",
            title: "Shop\n",
            referrer: "",
            event_source: "web",
            props: Some(RawJson(r#"{"plan":"pro","n":1.5}"#)),
        };
        assert_eq!(
            event.to_json(),
            concat!(
                r#"{"id":"0190","name":"signup","occurred_at":1763622000123,"anonymous_id":"a","session_id":"s","#,
                r#""tab_id":"t","seq":17,"url":"https://shop.example/?q=\"x\"","title":"Shop\u000a","referrer":"","#,
                r#""event_source":"web","props":{"plan":"pro","n":1.5}}"#
            )
        );
    }
}
