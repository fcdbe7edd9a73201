//! A body as strangers send it → an envelope of checked events. One bad event never takes its
//! neighbours with it: each is read on its own.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::answer::Rejection;
use crate::event::{Context, Event, Rejected};
use crate::lenient::{Instant, Text, clean, cut};
use crate::{DAY_MS, DiscardReason, UnixMs, id, limits, props};

/// What the collector knows of a body's arrival. Decoding asks no clock and rolls no dice.
pub struct Arrival<'a> {
    /// The collector's time.
    pub received_at: UnixMs,
    /// Makes an id for an event that came without one.
    pub fresh_id: &'a mut dyn FnMut() -> Uuid,
}

/// A decoded body: received = `events` + `rejected`.
#[derive(Debug)]
pub struct Decoded {
    /// A write key that stood in the body.
    pub write_key: Option<String>,
    /// The client's name for itself.
    pub sdk: Option<String>,
    /// What holds for all events.
    pub context: Context,
    /// The events to queue, in their order.
    pub events: Vec<Event>,
    /// The refused ones, for the answer.
    pub rejections: Vec<Rejection>,
    /// The refused ones, for the accounting; same order as `rejections`.
    pub rejected: Vec<Rejected>,
}

/// Why a whole body can never work.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// Not JSON, or JSON of another shape.
    #[error("the body is not an envelope of events: {0}")]
    Malformed(#[from] serde_json::Error),
    /// More events than a collector takes at once.
    #[error("{received} events in one envelope; at most {} are taken", limits::ENVELOPE_EVENTS_MAX)]
    TooManyEvents {
        /// How many came.
        received: usize,
    },
}

#[derive(Deserialize)]
struct RawEnvelope<'a> {
    #[serde(borrow, default)]
    sent_at: Option<&'a RawValue>,
    #[serde(borrow, default)]
    sdk: Option<&'a RawValue>,
    #[serde(borrow, default)]
    write_key: Option<&'a RawValue>,
    #[serde(borrow, default)]
    context: Option<&'a RawValue>,
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct RawEvent<'a> {
    #[serde(borrow, default)]
    id: Option<Text<'a>>,
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(default)]
    occurred_at: Option<Instant>,
    #[serde(borrow, default)]
    anonymous_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    user_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    session_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    tab_id: Option<Text<'a>>,
    #[serde(default)]
    seq: Option<u32>,
    #[serde(borrow, default)]
    url: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    title: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    referrer: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    category: Option<Text<'a>>,
    #[serde(borrow, default)]
    event_source: Option<Text<'a>>,
    #[serde(borrow, default)]
    props: Option<&'a RawValue>,
}

/// The part of an event that the ledger wants even when the rest is refused.
#[derive(Deserialize, Default)]
struct RawPlace<'a> {
    #[serde(borrow, default)]
    tab_id: Option<Cow<'a, str>>,
    #[serde(default)]
    seq: Option<u32>,
}

/// Reads a body: an envelope, an array of events, or one event.
///
/// # Errors
/// [`EnvelopeError`] when no part of the body can be used; a bad event in a good envelope is a rejection.
pub fn decode(body: &[u8], arrival: Arrival<'_>) -> Result<Decoded, EnvelopeError> {
    let envelope = read_envelope(body)?;
    if envelope.events.len() > limits::ENVELOPE_EVENTS_MAX {
        return Err(EnvelopeError::TooManyEvents { received: envelope.events.len() });
    }
    let sent_at = envelope.sent_at.and_then(|raw| serde_json::from_str::<Instant>(raw.get()).ok());
    let times = Times { sent_at: sent_at.map(|sent| sent.0), received_at: arrival.received_at };
    let mut decoded = Decoded {
        write_key: envelope.write_key.and_then(|raw| serde_json::from_str(raw.get()).ok()),
        sdk: envelope.sdk.and_then(|raw| serde_json::from_str(raw.get()).ok()),
        context: envelope.context.map_or_else(Context::default, read_context),
        events: Vec::with_capacity(envelope.events.len()),
        rejections: Vec::new(),
        rejected: Vec::new(),
    };
    for (index, raw) in envelope.events.into_iter().enumerate() {
        match read_event(raw, times, arrival.fresh_id) {
            Ok(event) => decoded.events.push(event),
            Err((reason, detail)) => {
                let place: RawPlace<'_> = serde_json::from_str(raw.get()).unwrap_or_default();
                let tab_id = place.tab_id.filter(|tab| tab.len() <= limits::ID_BYTES_MAX).map(clean);
                decoded.rejections.push(Rejection { index, reason, detail });
                decoded.rejected.push(Rejected { reason, tab_id, seq: place.seq });
            }
        }
    }
    Ok(decoded)
}

fn read_envelope(body: &[u8]) -> Result<RawEnvelope<'_>, EnvelopeError> {
    #[derive(Deserialize)]
    struct Shape<'a> {
        #[serde(borrow, default)]
        events: Option<&'a RawValue>,
        #[serde(borrow, default)]
        write_key: Option<&'a RawValue>,
    }
    let bare = |events| RawEnvelope { sent_at: None, sdk: None, write_key: None, context: None, events };
    match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'[') => Ok(bare(serde_json::from_slice(body)?)),
        Some(b'{') => {
            let envelope = serde_json::from_slice(body);
            if envelope.is_ok() {
                return Ok(envelope?);
            }
            let shape: Shape<'_> = serde_json::from_slice(body)?;
            if shape.events.is_some() {
                return Ok(envelope?); // it meant to be an envelope: say what is wrong with it
            }
            let mut single = bare(vec![serde_json::from_slice(body)?]);
            single.write_key = shape.write_key;
            Ok(single)
        }
        _ => Ok(serde_json::from_slice(body)?),
    }
}

fn read_context(raw: &RawValue) -> Context {
    #[derive(Deserialize)]
    struct RawContext<'a> {
        #[serde(borrow, default)]
        screen: Option<&'a RawValue>,
        #[serde(borrow, default)]
        viewport: Option<&'a RawValue>,
        #[serde(borrow, default)]
        language: Option<&'a RawValue>,
        #[serde(borrow, default)]
        timezone: Option<&'a RawValue>,
    }
    fn text(raw: Option<&RawValue>) -> Option<String> {
        let text: String = serde_json::from_str(raw?.get()).ok()?;
        (text.len() <= limits::LABEL_BYTES_MAX).then(|| clean(Cow::Owned(text)))
    }
    fn pair(raw: Option<&RawValue>) -> Option<(u32, u32)> {
        serde_json::from_str(raw?.get()).ok()
    }
    let Ok(context) = serde_json::from_str::<RawContext<'_>>(raw.get()) else { return Context::default() };
    Context {
        screen: pair(context.screen),
        viewport: pair(context.viewport),
        language: text(context.language),
        timezone: text(context.timezone),
    }
}

#[derive(Clone, Copy)]
struct Times {
    sent_at: Option<UnixMs>,
    received_at: UnixMs,
}

type Refusal = (DiscardReason, String);

fn read_event(raw: &RawValue, times: Times, fresh_id: &mut dyn FnMut() -> Uuid) -> Result<Event, Refusal> {
    let event: RawEvent<'_> = serde_json::from_str(raw.get())
        .map_err(|error| (DiscardReason::MalformedEvent, format!("this event cannot be read: {error}")))?;
    let name = event.name.filter(|name| !name.trim().is_empty());
    let name = name.ok_or_else(|| (DiscardReason::NameMissing, "an event needs a name".to_owned()))?;
    let name = within(name, limits::NAME_BYTES_MAX, DiscardReason::NameTooLong, "name")?;
    let label = |text: Option<Text<'_>>, field| match text.filter(|text| !text.0.is_empty()) {
        Some(text) => within(text.0, limits::LABEL_BYTES_MAX, DiscardReason::LabelTooLong, field).map(Some),
        None => Ok(None),
    };
    let occurred_as_sent = event.occurred_at.map(|at| at.0);
    let own_id = read_id(event.id, "id")?.map(|text| id::event_id(&text));
    // The client's id only: the time inside one made here is when the event came, not when it was made.
    let key_at = own_id.and_then(id::time_in_v7).or(occurred_as_sent).unwrap_or(times.received_at);
    let id = own_id.unwrap_or_else(fresh_id);
    check_day(key_at, times.received_at)?;
    let occurred_at =
        occurred_as_sent.map_or(times.received_at, |at| at.corrected(times.sent_at, times.received_at));
    check_occurred(occurred_at, key_at)?;
    Ok(Event {
        id,
        key_at,
        name,
        occurred_at,
        anonymous_id: read_id(event.anonymous_id, "anonymous_id")?,
        user_id: read_id(event.user_id, "user_id")?,
        session_id: read_id(event.session_id, "session_id")?,
        tab_id: read_id(event.tab_id, "tab_id")?,
        seq: event.seq,
        url: shortened(event.url, limits::URL_BYTES_MAX),
        title: shortened(event.title, limits::TITLE_BYTES_MAX),
        referrer: shortened(event.referrer, limits::URL_BYTES_MAX),
        category: label(event.category, "category")?,
        event_source: label(event.event_source, "event_source")?,
        props: event.props.map_or(Ok(None), props::normalise)?,
    })
}

fn within(
    text: Cow<'_, str>,
    bytes_max: usize,
    reason: DiscardReason,
    field: &str,
) -> Result<String, Refusal> {
    if text.len() > bytes_max {
        return Err((reason, format!("{field} has {} bytes; at most {bytes_max} are taken", text.len())));
    }
    Ok(clean(text))
}

/// An id, or `None` for the texts that broken clients send for "no id".
fn read_id(text: Option<Text<'_>>, field: &str) -> Result<Option<String>, Refusal> {
    const NO_IDS: [&str; 7] = ["", "0", "null", "undefined", "none", "nil", "NaN"];
    let Some(Text(text)) = text else { return Ok(None) };
    if NO_IDS.iter().any(|no_id| no_id.eq_ignore_ascii_case(text.trim())) {
        return Ok(None);
    }
    within(text, limits::ID_BYTES_MAX, DiscardReason::IdTooLong, field).map(Some)
}

fn shortened(text: Option<Cow<'_, str>>, bytes_max: usize) -> Option<String> {
    let text = text.filter(|text| !text.is_empty())?;
    if text.len() <= bytes_max {
        Some(clean(text))
    } else {
        Some(clean(Cow::Borrowed(cut(&text, bytes_max))))
    }
}

fn check_day(key_at: UnixMs, received_at: UnixMs) -> Result<(), Refusal> {
    let ahead_days = i64::from(key_at.utc_day()) - i64::from(received_at.utc_day());
    if ahead_days > limits::AHEAD_DAYS_MAX {
        let detail = format!("the event's time is {ahead_days} days ahead; check the client's clock");
        return Err((DiscardReason::ClockOutOfRange, detail));
    }
    if ahead_days < -limits::LATE_DAYS_MAX {
        let days = limits::LATE_DAYS_MAX;
        let detail = format!("the event is {} days old; at most {days} are taken", -ahead_days);
        return Err((DiscardReason::TooLate, detail));
    }
    Ok(())
}

/// Raw reads of a time range scan the days around it: an event must not have happened further from its
/// day than they look.
fn check_occurred(occurred_at: UnixMs, key_at: UnixMs) -> Result<(), Refusal> {
    let apart_ms = occurred_at.0.saturating_sub(key_at.0).saturating_abs();
    if apart_ms > limits::LATE_DAYS_MAX * DAY_MS {
        let detail = "occurred_at and the time inside id are more than 30 days apart".to_owned();
        return Err((DiscardReason::ClockOutOfRange, detail));
    }
    Ok(())
}
