//! How what was planned is sent: split into requests, late, repeated, in any order.

use std::net::IpAddr;

use serde_json::{Value, json};
use tallymark_protocol::{Arrival, Place, UnixMs, decode};
use tallymark_queue::{ENTRY_VERSION, QueuedEnvelope};
use uuid::Uuid;

use super::dice::Dice;
use super::fact::{BadEvent, Fact};
use super::plan::Sender;
use super::scenery::Spot;
use super::{HOUR_MS, Shape};

/// One event within a request.
#[derive(Clone, Debug)]
pub(super) enum Item {
    Good(Box<Fact>),
    Bad(BadEvent),
}

#[derive(Clone, Copy, Debug)]
enum Form {
    Envelope,
    Array,
    Single,
}

/// One request to a collector.
#[derive(Clone, Debug)]
pub struct Request {
    /// Whose, by its place in [`World::projects`](super::World::projects).
    pub project: usize,
    /// What the collector calls it.
    pub envelope_id: Uuid,
    /// When it arrives.
    pub received_at: UnixMs,
    /// Its user agent.
    pub user_agent: Option<&'static str>,
    /// Where it comes from.
    pub place: Place,
    /// Its address, where the project keeps addresses.
    pub address: Option<IpAddr>,
    /// Whether a browser sends it.
    pub from_browser: bool,
    pub(super) items: Vec<Item>,
    skew_ms: i64,
    form: Form,
}

impl Request {
    /// The body, as a client writes it whose request arrives at `received_at`.
    #[must_use]
    pub fn body(&self, received_at: UnixMs) -> Value {
        let events: Vec<Value> = self
            .items
            .iter()
            .map(|item| match item {
                Item::Good(fact) => Value::Object(fact.json()),
                Item::Bad(bad) => bad.json.clone(),
            })
            .collect();
        match self.form {
            Form::Envelope => json!({
                "sent_at": received_at.0 + self.skew_ms,
                "sdk": "tallymark-web/0.1.0",
                "context": { "screen": [1920, 1080], "language": "en-GB" },
                "events": events,
            }),
            Form::Array => Value::Array(events),
            Form::Single => events.into_iter().next().unwrap_or(Value::Null),
        }
    }

    /// How many events it carries.
    #[must_use]
    pub fn events(&self) -> usize {
        self.items.len()
    }

    /// The entry that a collector makes of it.
    #[must_use]
    pub fn queued(&self, project_id: i32) -> QueuedEnvelope {
        let body = self.body(self.received_at).to_string();
        let mut fresh_id = || panic!("every event of the world that is accepted carries an id");
        let arrival = Arrival { received_at: self.received_at, fresh_id: &mut fresh_id };
        let decoded = decode(body.as_bytes(), arrival).expect("the world sends bodies that can be read");
        QueuedEnvelope {
            v: ENTRY_VERSION,
            envelope_id: self.envelope_id,
            project_id,
            received_at: self.received_at,
            received: u32::try_from(self.items.len()).expect("an envelope is small"),
            from_browser: self.from_browser,
            user_agent: self.user_agent.map(str::to_owned),
            place: self.place.clone(),
            address: self.address,
            context: decoded.context,
            rejected: decoded.rejected,
            events: decoded.events,
        }
    }
}

/// Sends all that `sender` did.
pub(super) fn requests(shape: &Shape, dice: &mut Dice, project: usize, sender: Sender) -> Vec<Request> {
    let Sender { device, spot, from_browser, skew_ms, mut facts, bad } = sender;
    facts.sort_by_key(|fact| fact.at_ms);
    if dice.percent(30) {
        dice.shuffle(&mut facts); // sessions mixed, the end before the beginning
    }
    let mut items: Vec<Item> = facts.into_iter().map(|fact| Item::Good(Box::new(fact))).collect();
    for bad in bad {
        items.insert(dice.below(items.len() + 1), Item::Bad(bad));
    }
    let mut requests = Vec::new();
    let mut sent: Vec<Item> = Vec::new();
    while !items.is_empty() {
        let len = (1 + dice.below(shape.envelope_events_max)).min(items.len());
        let mut part: Vec<Item> = items.drain(..len).collect();
        if !sent.is_empty() && dice.percent(shape.repeat_percent) {
            part.insert(0, dice.pick(&sent).clone()); // one that an earlier request carried
        }
        if dice.percent(shape.repeat_percent / 2) {
            part.push(part[0].clone()); // twice in the same request
        }
        sent.extend(part.iter().cloned());
        let form = match part.len() {
            _ if from_browser => Form::Envelope,
            1 => Form::Single,
            _ => Form::Array,
        };
        let received_at = arrival(shape, dice, &part);
        let request = Request {
            project,
            envelope_id: dice.v7(received_at.0),
            received_at,
            user_agent: device.user_agent,
            place: place(spot),
            address: spot.address().filter(|_| super::keeps_addresses(project)),
            from_browser,
            items: part,
            skew_ms,
            form,
        };
        if dice.percent(shape.repeat_percent) {
            requests.push(again(shape, dice, &request));
        }
        requests.push(request);
    }
    requests
}

fn place(spot: &Spot) -> Place {
    let text = |text: Option<&str>| text.map(str::to_owned);
    Place { country: text(spot.country), region: text(spot.region), city: text(spot.city) }
}

/// The same body sent once more, because its answer was lost.
fn again(shape: &Shape, dice: &mut Dice, request: &Request) -> Request {
    let received_ms = (request.received_at.0 + dice.below_ms(3 * HOUR_MS)).min(shape.now_ms);
    Request { envelope_id: dice.v7(received_ms), received_at: UnixMs(received_ms), ..request.clone() }
}

/// After the last of its events; mostly at once, sometimes hours or days later.
fn arrival(shape: &Shape, dice: &mut Dice, items: &[Item]) -> UnixMs {
    let happened = items.iter().map(|item| match item {
        Item::Good(fact) => fact.at_ms,
        Item::Bad(bad) => bad.at_ms,
    });
    let last_ms = happened.max().unwrap_or(shape.now_ms);
    let delay_ms = match dice.below(100) {
        chance if chance >= shape.late_percent => dice.below_ms(3_000),
        chance if chance % 3 == 0 => dice.below_ms(5 * 24 * HOUR_MS),
        _ => dice.below_ms(6 * HOUR_MS),
    };
    UnixMs((last_ms + delay_ms).min(shape.now_ms))
}
