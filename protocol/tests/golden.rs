//! The wire, as fixtures: what clients have sent, and what is made of it. Fixtures are added, never
//! changed: an old tracker goes on sending what it sends.
//!
//! In an expected event, the id `fresh` stands for one made here, and `derived` for one made of a text that
//! is no UUID.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::PathBuf;

use serde_json::{Map, Value, json};
use tallymark_protocol::{Arrival, Decoded, EnvelopeError, Event, UnixMs, decode, limits};
use uuid::Uuid;

/// Fresh ids count up from here. Version 7 at the epoch: were their time believed, all would be too late.
const FRESH: u128 = 0x0000_0000_0000_7000_8000_0000_0000_0000;

fn fixtures(kind: &str) -> Vec<(String, Value)> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(kind);
    let mut paths: Vec<_> = std::fs::read_dir(dir).unwrap().map(|file| file.unwrap().path()).collect();
    paths.sort();
    let read = |path: PathBuf| {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let fixture = serde_json::from_slice(&std::fs::read(&path).unwrap());
        (name, fixture.unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    };
    paths.into_iter().map(read).collect()
}

fn decode_at(body: &[u8], received_at: i64) -> Result<Decoded, EnvelopeError> {
    let mut made = FRESH;
    let mut fresh_id = || {
        made += 1;
        Uuid::from_u128(made)
    };
    decode(body, Arrival { received_at: UnixMs(received_at), fresh_id: &mut fresh_id })
}

/// A fixture's body: JSON as it stands there, or what cannot stand there as a text.
fn body(fixture: &Value) -> String {
    match &fixture["body"] {
        Value::String(text) => text.clone(),
        json => json.to_string(),
    }
}

/// What a fixture's `expect` says, as decoding it really came out.
fn outcome(fixture: &Value) -> Value {
    let body = body(fixture);
    match decode_at(body.as_bytes(), fixture["received_at"].as_i64().unwrap()) {
        Ok(decoded) => describe(decoded),
        Err(EnvelopeError::Malformed(_)) => json!({"error": "malformed"}),
        Err(EnvelopeError::TooManyEvents { .. }) => json!({"error": "too_many_events"}),
    }
}

fn describe(decoded: Decoded) -> Value {
    let mut all = Map::new();
    let mut put = |name: &str, value: Value| {
        let is_nothing = value.is_null() || value == json!({});
        if !is_nothing {
            all.insert(name.to_owned(), value);
        }
    };
    put("write_key", json!(decoded.write_key));
    put("sdk", json!(decoded.sdk));
    put("context", json!(decoded.context));
    assert_eq!(decoded.rejections.len(), decoded.rejected.len());
    let rejected = decoded.rejections.iter().zip(&decoded.rejected).map(|(answered, counted)| {
        assert_eq!(answered.reason, counted.reason);
        assert!(!answered.detail.is_empty());
        let mut value = json!(counted);
        value["index"] = answered.index.into();
        value
    });
    let rejected: Vec<Value> = rejected.collect();
    put("rejected", if rejected.is_empty() { Value::Null } else { json!(rejected) });
    put("events", decoded.events.iter().map(describe_event).collect());
    Value::Object(all)
}

fn describe_event(event: &Event) -> Value {
    let mut value = json!(event);
    if (FRESH..FRESH + 1_000).contains(&event.id.as_u128()) {
        value["id"] = "fresh".into();
    } else if event.id.get_version_num() == 5 {
        value["id"] = "derived".into();
    }
    value
}

fn hold(kind: &str, count_min: usize) {
    let fixtures = fixtures(kind);
    assert!(fixtures.len() >= count_min, "{} fixtures in {kind}", fixtures.len());
    for (name, fixture) in fixtures {
        assert!(fixture["about"].is_string(), "{kind}/{name} says what it is about");
        let got = outcome(&fixture);
        assert_eq!(got, fixture["expect"], "{kind}/{name}");
    }
}

#[test]
fn valid_bodies_are_decoded_as_they_always_were() {
    hold("valid", 34);
}

#[test]
fn invalid_events_are_refused_alone_and_invalid_bodies_whole() {
    hold("invalid", 38);
}

#[test]
fn a_thousand_events_are_an_envelope_and_one_more_is_not() {
    let events = |count| json!({"events": vec![json!({"name": "a"}); count]}).to_string();
    let most = decode_at(events(limits::ENVELOPE_EVENTS_MAX).as_bytes(), 1_763_622_005_000).unwrap();
    assert_eq!(most.events.len(), limits::ENVELOPE_EVENTS_MAX);
    let more = decode_at(events(limits::ENVELOPE_EVENTS_MAX + 1).as_bytes(), 1_763_622_005_000);
    assert!(matches!(more, Err(EnvelopeError::TooManyEvents { received: 1_001 })));
}

#[test]
fn a_body_that_is_not_utf8_is_refused() {
    assert!(matches!(decode_at(b"{\"name\":\"\xff\"}", 0), Err(EnvelopeError::Malformed(_))));
}

#[test]
fn what_was_decoded_is_the_same_again_after_the_queue() {
    for (name, fixture) in fixtures("valid") {
        let body = body(&fixture);
        for event in decode_at(body.as_bytes(), fixture["received_at"].as_i64().unwrap()).unwrap().events {
            let json = serde_json::to_string(&event).unwrap();
            let again: Event = serde_json::from_str(&json).unwrap();
            assert_eq!(serde_json::to_string(&again).unwrap(), json, "{name}");
        }
    }
}
