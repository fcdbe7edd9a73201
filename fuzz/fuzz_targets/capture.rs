//! Any bytes as the body of a capture: no panic, nothing unaccounted for, nothing past a limit, memory in bounds.

#![no_main]

mod memory;

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tallymark_protocol::{Arrival, Decoded, EnvelopeError, Event, UnixMs, decode, limits};
use uuid::Uuid;

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

const RECEIVED_AT: UnixMs = UnixMs(1_763_622_005_000);

/// What an event may take beside its own bytes: its fields in the body's and in their final form, and its refusal.
const EVENT_OVERHEAD_BYTES: usize = 4 * 1024;

/// How often a byte of the body may be in memory at once: in the body itself, in an event, in a refusal.
const COPIES_MAX: usize = 16;

fuzz_target!(|body: &[u8]| {
    let (decoded, peak_bytes) = memory::peak_of(|| decoded(body));
    // As many events as bytes at most: `{},`.
    let events_max = limits::ENVELOPE_EVENTS_MAX.min(body.len() + 1);
    let bound = COPIES_MAX * body.len() + events_max * EVENT_OVERHEAD_BYTES + EVENT_OVERHEAD_BYTES;
    assert!(peak_bytes <= bound, "{peak_bytes} bytes for a body of {}", body.len());
    let sent = serde_json::from_slice::<Value>(body).ok();
    match decoded {
        Ok(decoded) => check(&decoded, sent.as_ref()),
        Err(EnvelopeError::TooManyEvents { received }) => assert!(received > limits::ENVELOPE_EVENTS_MAX),
        Err(EnvelopeError::Malformed(_)) => {
            assert!(!matches!(sent, Some(Value::Array(_))), "an array of whatever is an envelope");
        }
    }
});

fn decoded(body: &[u8]) -> Result<Decoded, EnvelopeError> {
    let mut made = 0;
    let mut fresh_id = || {
        made += 1;
        Uuid::from_u128(made)
    };
    decode(body, Arrival { received_at: RECEIVED_AT, fresh_id: &mut fresh_id })
}

fn check(decoded: &Decoded, sent: Option<&Value>) {
    assert_eq!(decoded.rejections.len(), decoded.rejected.len());
    let received = decoded.events.len() + decoded.rejections.len();
    assert!(received <= limits::ENVELOPE_EVENTS_MAX);
    if let Some(sent) = sent {
        let sent = sent.get("events").unwrap_or(sent).as_array().map_or(1, Vec::len);
        assert_eq!(received, sent, "received = accepted + refused");
    }
    for (answered, counted) in decoded.rejections.iter().zip(&decoded.rejected) {
        assert!(answered.index < received);
        assert_eq!(answered.reason, counted.reason);
        is_within(counted.tab_id.as_deref(), limits::ID_BYTES_MAX);
    }
    decoded.events.iter().for_each(check_event);
}

fn check_event(event: &Event) {
    assert!(!event.name.trim().is_empty());
    is_within(Some(&event.name), limits::NAME_BYTES_MAX);
    for id in [&event.anonymous_id, &event.user_id, &event.session_id, &event.tab_id] {
        is_within(id.as_deref(), limits::ID_BYTES_MAX);
    }
    is_within(event.url.as_deref(), limits::URL_BYTES_MAX);
    is_within(event.referrer.as_deref(), limits::URL_BYTES_MAX);
    is_within(event.title.as_deref(), limits::TITLE_BYTES_MAX);
    is_within(event.category.as_deref(), limits::LABEL_BYTES_MAX);
    is_within(event.event_source.as_deref(), limits::LABEL_BYTES_MAX);
    assert!(event.occurred_at <= RECEIVED_AT);
    let ahead_days = i64::from(event.key_at.utc_day()) - i64::from(RECEIVED_AT.utc_day());
    assert!((-limits::LATE_DAYS_MAX..=limits::AHEAD_DAYS_MAX).contains(&ahead_days));
    if let Some(props) = &event.props {
        check_props(props.get());
    }
    let queued = serde_json::to_string(event).expect("an event can be written");
    let read: Event = serde_json::from_str(&queued).expect("what was queued can be read");
    assert_eq!(serde_json::to_string(&read).expect("an event can be written"), queued);
}

/// Properties are an object that every store takes, and sending them once more changes nothing.
fn check_props(props: &str) {
    assert!(props.len() <= limits::PROPS_BYTES_MAX);
    let value: Value = serde_json::from_str(props).expect("properties are JSON");
    assert!(value.is_object());
    let again = decoded(format!(r#"{{"name":"a","props":{props}}}"#).as_bytes()).expect("a body");
    let again = again.events.first().expect("within the limits, as before").props.as_ref();
    assert_eq!(again.map(|props| props.get()), Some(props));
    no_nul(&value);
}

fn no_nul(value: &Value) {
    match value {
        Value::String(text) => assert!(!text.contains('\0')),
        Value::Array(values) => values.iter().for_each(no_nul),
        Value::Object(fields) => fields.iter().for_each(|(name, value)| {
            assert!(!name.contains('\0'));
            no_nul(value);
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn is_within(text: Option<&str>, bytes_max: usize) {
    let Some(text) = text else { return };
    assert!(text.len() <= bytes_max && !text.is_empty() && !text.contains('\0'), "{text:?}");
}
