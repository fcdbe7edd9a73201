//! A pixel's query as the event that it means.

use axum::http::HeaderMap;
use axum::http::header::REFERER;
use serde_json::{Map, Value};

/// The fields of an event that are text, or an id that may look like a number.
const TEXTS: [&str; 11] = [
    "id",
    "name",
    "anonymous_id",
    "user_id",
    "session_id",
    "tab_id",
    "url",
    "title",
    "referrer",
    "category",
    "event_source",
];

/// The fields that may be numbers.
const NUMBERS: [&str; 2] = ["occurred_at", "seq"];

/// The event in a query, as JSON. It is checked like every other one: what is wrong in the query is passed on, so that the
/// answer says so. Where a field stands twice, the first counts; without `url` the page that shows the pixel is meant.
pub(crate) fn event(query: &str, headers: &HeaderMap) -> Vec<u8> {
    let (mut event, mut props) = (Map::new(), Map::new());
    let mut whole_props = None;
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if let Some(name) = name.strip_prefix("props.") {
            props.entry(name).or_insert_with(|| Value::from(value));
        } else if name == "props" {
            whole_props
                .get_or_insert_with(|| serde_json::from_str(&value).unwrap_or_else(|_| Value::from(value)));
        } else if NUMBERS.contains(&&*name) {
            let number = value.parse::<i64>().map_or_else(|_| Value::from(&*value), Value::from);
            event.entry(name).or_insert(number);
        } else if TEXTS.contains(&&*name) {
            event.entry(name).or_insert_with(|| Value::from(value));
        }
    }
    if let Some(page) = headers.get(REFERER).and_then(|page| page.to_str().ok()) {
        event.entry("url").or_insert_with(|| Value::from(page));
    }
    if let Some(props) = joined(whole_props, props) {
        event.insert("props".to_owned(), props);
    }
    serde_json::to_vec(&event).expect("text and numbers are JSON")
}

/// `props=` with each `props.x=` put over it. What is no object is left for the check to refuse.
fn joined(whole: Option<Value>, mut single: Map<String, Value>) -> Option<Value> {
    match whole {
        None => (!single.is_empty()).then_some(Value::Object(single)),
        Some(Value::Object(mut props)) => {
            props.append(&mut single);
            Some(Value::Object(props))
        }
        Some(no_object) => Some(no_object),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(query: &str, referer: Option<&str>) -> Value {
        let mut headers = HeaderMap::new();
        if let Some(referer) = referer {
            headers.insert(REFERER, referer.parse().unwrap());
        }
        serde_json::from_slice(&event(query, &headers)).unwrap()
    }

    #[test]
    fn every_field_of_an_event_can_stand_in_a_query() {
        let query = "write_key=wk_x&id=a-1&name=open%20mail&occurred_at=1719000000000&anonymous_id=v&user_id=42\
                     &session_id=s&tab_id=t&seq=17&url=https://a.example/?b%26c&title=T&referrer=r&category=c\
                     &event_source=mail&unknown=x&events=[]";
        let expected = json!({
            "id": "a-1", "name": "open mail", "occurred_at": 1_719_000_000_000_i64, "anonymous_id": "v", "user_id": "42",
            "session_id": "s", "tab_id": "t", "seq": 17, "url": "https://a.example/?b&c", "title": "T", "referrer": "r",
            "category": "c", "event_source": "mail",
        });
        assert_eq!(read(query, Some("https://page.example/")), expected);
    }

    #[test]
    fn properties_are_json_or_stand_alone() {
        assert_eq!(read("props={\"n\":1}", None), json!({"props": {"n": 1}}));
        assert_eq!(read("props.plan=pro&props.n=1", None), json!({"props": {"plan": "pro", "n": "1"}}));
        let both = read("props={\"n\":1,\"plan\":\"free\"}&props.plan=pro", None);
        assert_eq!(both, json!({"props": {"n": 1, "plan": "pro"}}));
        assert_eq!(
            read("props=nonsense&props.plan=pro", None),
            json!({"props": "nonsense"}),
            "refused later"
        );
        assert_eq!(read("props=[1]", None), json!({"props": [1]}), "refused later");
    }

    #[test]
    fn the_page_is_the_referer_and_the_first_of_two_counts() {
        assert_eq!(
            read("name=a&name=b", Some("https://page.example/x")),
            json!({"name": "a", "url": "https://page.example/x"})
        );
        assert_eq!(
            read("occurred_at=2026-11-20T08:57:00Z", None),
            json!({"occurred_at": "2026-11-20T08:57:00Z"})
        );
        assert_eq!(read("", None), json!({}));
    }
}
