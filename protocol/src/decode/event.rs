//! One event: as it stands in a body, and checked.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::body::Object;
use super::older;
use crate::event::Event;
use crate::lenient::{Instant, Str, Text, cut};
use crate::{DAY_MS, DiscardReason, UnixMs, id, limits, props};

/// Why an event is refused, in one word and in a sentence.
pub(super) type Refusal = (DiscardReason, String);

/// Where an event stands in the numbering of a tab.
pub(super) type Place = (Option<String>, Option<u32>);

/// An event as it stands in a body. All fields borrow from it.
#[derive(Deserialize)]
pub(super) struct RawEvent<'a> {
    #[serde(borrow, default)]
    id: Option<Text<'a>>,
    #[serde(borrow, default)]
    name: Option<Str<'a>>,
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
    url: Option<Str<'a>>,
    #[serde(borrow, default)]
    title: Option<Str<'a>>,
    #[serde(borrow, default)]
    referrer: Option<Str<'a>>,
    #[serde(borrow, default)]
    category: Option<Text<'a>>,
    #[serde(borrow, default)]
    event_source: Option<Text<'a>>,
    #[serde(borrow, default)]
    props: Option<&'a RawValue>,

    // What belongs to an envelope, and may stand in an event that comes without one.
    #[serde(default)]
    pub(super) events: Option<IgnoredAny>,
    #[serde(borrow, default)]
    pub(super) write_key: Option<&'a RawValue>,
    #[serde(borrow, default)]
    context: Option<&'a RawValue>,

    // Older names.
    #[serde(borrow, default)]
    event_type: Option<&'a RawValue>,
    #[serde(borrow, default)]
    event_name: Option<&'a RawValue>,
    #[serde(borrow, default)]
    event: Option<&'a RawValue>,
    #[serde(borrow, default)]
    properties: Option<&'a RawValue>,
    #[serde(borrow, default)]
    event_properties: Option<&'a RawValue>,
    #[serde(borrow, default)]
    timestamp: Option<&'a RawValue>,
    #[serde(borrow, default)]
    time: Option<&'a RawValue>,
    #[serde(borrow, default)]
    page_url: Option<&'a RawValue>,
    #[serde(borrow, default)]
    device_info: Option<&'a RawValue>,
}

#[derive(Clone, Copy)]
pub(super) struct Times {
    pub(super) sent_at: Option<UnixMs>,
    pub(super) received_at: UnixMs,
}

/// The place of an event that cannot be read: the ledger wants it all the same.
pub(super) fn place(raw: &RawValue) -> Place {
    #[derive(Deserialize)]
    struct RawPlace<'a> {
        #[serde(borrow, default)]
        tab_id: Option<Text<'a>>,
        #[serde(default)]
        seq: Option<u32>,
    }
    match serde_json::from_str::<Object<RawPlace<'_>>>(raw.get()) {
        Ok(Object(place)) => (read_tab(place.tab_id.as_ref()), place.seq),
        Err(_) => (None, None),
    }
}

fn read_tab(tab_id: Option<&Text<'_>>) -> Option<String> {
    read_id(tab_id, "tab_id").ok().flatten()
}

pub(super) fn unreadable(error: serde_json::Error) -> Refusal {
    (DiscardReason::MalformedEvent, format!("this event cannot be read: {error}"))
}

impl<'a> RawEvent<'a> {
    /// Reads one event alone.
    ///
    /// # Errors
    /// [`DiscardReason::MalformedEvent`].
    pub(super) fn read(raw: &'a RawValue) -> Result<Self, Refusal> {
        serde_json::from_str(raw.get()).map(|Object(event)| event).map_err(unreadable)
    }

    /// Where it stands in the numbering of its tab.
    pub(super) fn place(&self) -> Place {
        (read_tab(self.tab_id.as_ref()), self.seq)
    }

    /// The context that it carries itself.
    pub(super) const fn context(&self) -> Option<&'a RawValue> {
        match self.context {
            Some(context) => Some(context),
            None => self.device_info,
        }
    }

    /// The event, checked and keyed.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub(super) fn check(&self, times: Times, fresh_id: &mut dyn FnMut() -> Uuid) -> Result<Event, Refusal> {
        let name = self.checked_name()?;
        let occurred_as_sent = self.occurred_as_sent()?;
        let own_id = given_id(self.id.as_ref(), "id")?.map(id::event_id);
        // The client's id only: the time inside one made here is when the event came, not when it was made.
        let key_at = own_id.and_then(id::time_in_v7).or(occurred_as_sent).unwrap_or(times.received_at);
        check_day(key_at, times.received_at)?;
        let occurred_at =
            occurred_as_sent.map_or(times.received_at, |at| at.corrected(times.sent_at, times.received_at));
        check_occurred(occurred_at, key_at)?;
        let props = self.props.or(self.properties).or(self.event_properties);
        Ok(Event {
            name,
            key_at,
            occurred_at,
            anonymous_id: read_id(self.anonymous_id.as_ref(), "anonymous_id")?,
            user_id: read_id(self.user_id.as_ref(), "user_id")?,
            session_id: read_id(self.session_id.as_ref(), "session_id")?,
            tab_id: read_id(self.tab_id.as_ref(), "tab_id")?,
            seq: self.seq,
            url: shortened(self.url()?, limits::URL_BYTES_MAX),
            title: shortened(borrowed(self.title.as_ref()), limits::TITLE_BYTES_MAX),
            referrer: shortened(borrowed(self.referrer.as_ref()), limits::URL_BYTES_MAX),
            category: label(self.category.as_ref(), "category")?,
            event_source: label(self.event_source.as_ref(), "event_source")?,
            props: props.map_or(Ok(None), props::normalise)?,
            id: own_id.unwrap_or_else(fresh_id),
        })
    }

    fn checked_name(&self) -> Result<String, Refusal> {
        let name = match borrowed(self.name.as_ref()) {
            Some(name) => Some(name),
            None => older::text([self.event_type, self.event_name, self.event])?,
        };
        let name = name.filter(|name| !name.trim().is_empty());
        let name = name.ok_or_else(|| (DiscardReason::NameMissing, "an event needs a name".to_owned()))?;
        within(older::event_name(&name), limits::NAME_BYTES_MAX, DiscardReason::NameTooLong, "name")
    }

    fn occurred_as_sent(&self) -> Result<Option<UnixMs>, Refusal> {
        let occurred_at = match self.occurred_at {
            Some(at) => Some(at),
            None => older::first::<Instant, _>([self.timestamp, self.time])?,
        };
        Ok(occurred_at.map(|at| at.0))
    }

    fn url(&self) -> Result<Option<Cow<'_, str>>, Refusal> {
        match borrowed(self.url.as_ref()) {
            Some(url) => Ok(Some(url)),
            None => older::text([self.page_url]),
        }
    }
}

fn borrowed<'t>(text: Option<&'t Str<'_>>) -> Option<Cow<'t, str>> {
    text.map(|text| Cow::Borrowed(&*text.0))
}

fn within(text: &str, bytes_max: usize, reason: DiscardReason, field: &str) -> Result<String, Refusal> {
    if text.len() > bytes_max {
        return Err((reason, format!("{field} has {} bytes; at most {bytes_max} are taken", text.len())));
    }
    Ok(text.to_owned())
}

/// An id within its limit, or `None` for the texts that broken clients send for "no id".
fn given_id<'t>(text: Option<&'t Text<'_>>, field: &str) -> Result<Option<&'t str>, Refusal> {
    const NO_IDS: [&str; 7] = ["", "0", "null", "undefined", "none", "nil", "NaN"];
    let Some(Text(text)) = text else { return Ok(None) };
    if NO_IDS.iter().any(|no_id| no_id.eq_ignore_ascii_case(text.trim())) {
        return Ok(None);
    }
    if text.len() > limits::ID_BYTES_MAX {
        let (bytes, bytes_max) = (text.len(), limits::ID_BYTES_MAX);
        let detail = format!("{field} has {bytes} bytes; at most {bytes_max} are taken");
        return Err((DiscardReason::IdTooLong, detail));
    }
    Ok(Some(text))
}

fn read_id(text: Option<&Text<'_>>, field: &str) -> Result<Option<String>, Refusal> {
    Ok(given_id(text, field)?.map(str::to_owned))
}

fn label(text: Option<&Text<'_>>, field: &str) -> Result<Option<String>, Refusal> {
    match text.filter(|text| !text.0.is_empty()) {
        Some(text) => within(&text.0, limits::LABEL_BYTES_MAX, DiscardReason::LabelTooLong, field).map(Some),
        None => Ok(None),
    }
}

fn shortened(text: Option<Cow<'_, str>>, bytes_max: usize) -> Option<String> {
    let text = text.filter(|text| !text.is_empty())?;
    Some(cut(&text, bytes_max).to_owned())
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
