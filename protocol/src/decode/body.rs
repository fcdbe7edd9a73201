//! The shape of a body, and its events as they stand in it.
//!
//! Nearly every body holds only events that can be read: so all are read in one pass. Where that fails, the body is
//! read again and each event alone, so that a bad one is refused without its neighbours.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::EnvelopeError;
use super::event::RawEvent;
use crate::limits;

/// What a body holds, under whichever names.
pub(super) struct Body<'a> {
    pub(super) sent_at: Option<&'a RawValue>,
    pub(super) sdk: Option<&'a RawValue>,
    pub(super) write_key: Option<&'a RawValue>,
    pub(super) context: Option<&'a RawValue>,
    pub(super) events: Events<'a>,
}

/// The events of a body.
pub(super) enum Events<'a> {
    /// All can be read.
    Read(Vec<Object<RawEvent<'a>>>),
    /// Each is to be read alone.
    Unread(Vec<&'a RawValue>),
}

impl Events<'_> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Read(events) => events.len(),
            Self::Unread(events) => events.len(),
        }
    }
}

impl<'a> Body<'a> {
    /// A body of nothing but events.
    const fn bare(events: Events<'a>) -> Self {
        Self { sent_at: None, sdk: None, write_key: None, context: None, events }
    }
}

/// Reads `body`.
///
/// # Errors
/// [`EnvelopeError`].
pub(super) fn read(body: &[u8]) -> Result<Body<'_>, EnvelopeError> {
    // Once for the whole body: the parser then takes every string in it for what it is.
    let text = std::str::from_utf8(body).map_err(serde_json::Error::custom)?;
    match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'[') => read_array(text),
        _ => read_object(text),
    }
}

fn read_array(text: &str) -> Result<Body<'_>, EnvelopeError> {
    if let Ok(events) = serde_json::from_str::<AtMost<Object<RawEvent<'_>>>>(text) {
        return Ok(Body::bare(Events::Read(events.all()?)));
    }
    let events: AtMost<&RawValue> = serde_json::from_str(text)?;
    Ok(Body::bare(Events::Unread(events.all()?)))
}

fn read_object(text: &str) -> Result<Body<'_>, EnvelopeError> {
    // A guess that decides only what is tried first.
    if text.contains("\"events\"") {
        if let Ok(Object(envelope)) = serde_json::from_str::<Object<Envelope<'_, Object<RawEvent<'_>>>>>(text)
        {
            return envelope.into_body(Events::Read);
        }
    } else if let Ok(event) = serde_json::from_str::<Object<RawEvent<'_>>>(text)
        && event.0.events.is_none()
    {
        let write_key = event.0.write_key;
        return Ok(Body { write_key, ..Body::bare(Events::Read(vec![event])) });
    }
    read_object_apart(text)
}

/// Reads what [`read_object`] could not: an envelope with a bad event, a bad event alone, or no body of ours.
fn read_object_apart(text: &str) -> Result<Body<'_>, EnvelopeError> {
    #[derive(Deserialize)]
    struct Shape<'a> {
        #[serde(default)]
        events: Option<IgnoredAny>,
        #[serde(borrow, default)]
        write_key: Option<&'a RawValue>,
    }
    let not_an_envelope = match serde_json::from_str::<Object<Envelope<'_, &RawValue>>>(text) {
        Ok(Object(envelope)) => return envelope.into_body(Events::Unread),
        Err(error) => error,
    };
    let Object(shape) = serde_json::from_str::<Object<Shape<'_>>>(text)?;
    if shape.events.is_some() {
        return Err(not_an_envelope.into()); // it meant to be one: say what is wrong with it
    }
    let events = Events::Unread(vec![serde_json::from_str(text)?]);
    Ok(Body { write_key: shape.write_key, ..Body::bare(events) })
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "E: Deserialize<'de>"))]
struct Envelope<'a, E> {
    #[serde(borrow, default)]
    sent_at: Option<&'a RawValue>,
    #[serde(borrow, default)]
    sdk: Option<&'a RawValue>,
    #[serde(borrow, default)]
    write_key: Option<&'a RawValue>,
    #[serde(borrow, default)]
    context: Option<&'a RawValue>,
    #[serde(borrow, default)]
    device_info: Option<&'a RawValue>,
    events: AtMost<E>,
}

impl<'a, E> Envelope<'a, E> {
    fn into_body(self, events: impl FnOnce(Vec<E>) -> Events<'a>) -> Result<Body<'a>, EnvelopeError> {
        Ok(Body {
            sent_at: self.sent_at,
            sdk: self.sdk,
            write_key: self.write_key,
            context: self.context.or(self.device_info),
            events: events(self.events.all()?),
        })
    }
}

/// An array of which no more is kept than an envelope may hold; the rest is counted.
struct AtMost<T> {
    kept: Vec<T>,
    received: usize,
}

impl<T> AtMost<T> {
    fn all(self) -> Result<Vec<T>, EnvelopeError> {
        if self.received > self.kept.len() {
            return Err(EnvelopeError::TooManyEvents { received: self.received });
        }
        Ok(self.kept)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for AtMost<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AtMostVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for AtMostVisitor<T> {
            type Value = AtMost<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of events")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<AtMost<T>, A::Error> {
                let mut kept = Vec::new();
                while kept.len() < limits::ENVELOPE_EVENTS_MAX {
                    match seq.next_element()? {
                        Some(element) => kept.push(element),
                        None => return Ok(AtMost { received: kept.len(), kept }),
                    }
                }
                let mut received = kept.len();
                while seq.next_element::<IgnoredAny>()?.is_some() {
                    received += 1;
                }
                Ok(AtMost { kept, received })
            }
        }
        deserializer.deserialize_seq(AtMostVisitor(PhantomData))
    }
}

/// A struct that is written as an object, and never as the array that a derived one takes as well.
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
            type Value = Object<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}
