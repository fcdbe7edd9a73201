//! A body as strangers send it → an envelope of checked events. One bad event never takes its
//! neighbours with it.

mod body;
mod context;
mod event;
mod older;

use uuid::Uuid;

use self::body::{Body, Events, Object};
use self::event::{Place, RawEvent, Refusal, Times};
use crate::answer::Rejection;
use crate::event::{Context, Event, Rejected};
use crate::lenient::Instant;
use crate::{UnixMs, limits};

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

/// Reads a body: an envelope, an array of events, or one event, under the present names of fields or older ones.
///
/// # Errors
/// [`EnvelopeError`] when no part of the body can be used; a bad event in a good envelope is a rejection.
pub fn decode(body: &[u8], arrival: Arrival<'_>) -> Result<Decoded, EnvelopeError> {
    let body = body::read(body)?;
    let text = |raw: &serde_json::value::RawValue| serde_json::from_str(raw.get()).ok();
    let sent_at = body.sent_at.and_then(|raw| serde_json::from_str::<Instant>(raw.get()).ok());
    let mut decoding = Decoding {
        times: Times { sent_at: sent_at.map(|sent| sent.0), received_at: arrival.received_at },
        fresh_id: arrival.fresh_id,
        has_context: body.context.is_some(),
        decoded: Decoded {
            write_key: body.write_key.and_then(text),
            sdk: body.sdk.and_then(text),
            context: body.context.map_or_else(Context::default, context::read),
            events: Vec::with_capacity(body.events.len()),
            rejections: Vec::new(),
            rejected: Vec::new(),
        },
    };
    decoding.take_all(&body);
    Ok(decoding.decoded)
}

/// Events on their way into a [`Decoded`].
struct Decoding<'a> {
    times: Times,
    fresh_id: &'a mut dyn FnMut() -> Uuid,
    has_context: bool,
    decoded: Decoded,
}

impl Decoding<'_> {
    fn take_all(&mut self, body: &Body<'_>) {
        match &body.events {
            Events::Read(events) => {
                for (index, Object(event)) in events.iter().enumerate() {
                    self.take(index, event);
                }
            }
            Events::Unread(events) => {
                for (index, raw) in events.iter().enumerate() {
                    match RawEvent::read(raw) {
                        Ok(event) => self.take(index, &event),
                        Err(refusal) => self.refuse(index, refusal, event::place(raw)),
                    }
                }
            }
        }
    }

    fn take(&mut self, index: usize, event: &RawEvent<'_>) {
        if !self.has_context
            && let Some(raw) = event.context()
        {
            self.decoded.context = context::read(raw);
            self.has_context = true;
        }
        match event.check(self.times, self.fresh_id) {
            Ok(event) => self.decoded.events.push(event),
            Err(refusal) => self.refuse(index, refusal, event.place()),
        }
    }

    fn refuse(&mut self, index: usize, (reason, detail): Refusal, (tab_id, seq): Place) {
        self.decoded.rejections.push(Rejection { index, reason, detail });
        self.decoded.rejected.push(Rejected { reason, tab_id, seq });
    }
}
