//! One request, as a browser's tracker sends it, with places for what differs.

use std::ops::Range;
use std::time::{SystemTime, UNIX_EPOCH};

use uuid::Uuid;

/// Hexadecimal digits that are written over: the last group of a UUID.
const DIGITS: usize = 12;

const USER_AGENT: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
                          Chrome/142.0.0.0 Safari/537.36";

/// A rendered request.
#[derive(Clone)]
pub(crate) struct Request {
    bytes: Vec<u8>,
    body: Range<usize>,
    events: u64,
    id_head: u128,
    /// Where the numbers of events stand, in their order, and that of their envelope.
    event_places: Vec<usize>,
    envelope_places: Vec<usize>,
}

impl Request {
    /// An envelope of `events` events for `write_key`, each of about 400 bytes. Every envelope comes from a visitor,
    /// a session and a tab of its own; the events in it happened during the last minutes.
    pub(crate) fn new(write_key: &str, events: u64) -> Self {
        let now_ms = now_ms();
        let id_head = u128::from(now_ms) << 80 | 0x7000_8000_u128 << 48;
        let event_digits = "e".repeat(DIGITS);
        let id = |digits: &str| {
            let text = Uuid::from_u128(id_head).to_string();
            format!("{}{digits}", &text[..text.len() - DIGITS])
        };
        let (event, other) = (id(&event_digits), id(&"f".repeat(DIGITS)));
        let all: Vec<String> = (0..events)
            .map(|seq| render_event(seq, now_ms - 1_000 * (events - seq), &event, &other))
            .collect();
        let context =
            r#"{"screen":[1920,1080],"viewport":[1200,800],"language":"en-GB","timezone":"Europe/Berlin"}"#;
        let all = all.join(",");
        let body = format!(
            r#"{{"sent_at":{now_ms},"sdk":"tallymark-web/0.1.0","context":{context},"events":[{all}]}}"#
        );
        let head = format!(
            "POST /capture?write_key={write_key} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: {USER_AGENT}\r\n\
             Accept: */*\r\nOrigin: https://shop.example\r\nSec-Fetch-Site: cross-site\r\n\
             Content-Type: text/plain;charset=UTF-8\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let range = head.len()..head.len() + body.len();
        let bytes = (head + &body).into_bytes();
        let places = |digit: u8| -> Vec<usize> {
            let found = bytes.windows(DIGITS).enumerate();
            found.filter(|(_, window)| window.iter().all(|byte| *byte == digit)).map(|(at, _)| at).collect()
        };
        let (event_places, envelope_places) = (places(b'e'), places(b'f'));
        assert_eq!(event_places.len() as u64, events, "each event has one id");
        Self { body: range, events, id_head, event_places, envelope_places, bytes }
    }

    /// Makes it the envelope of this number; says the number of its first event.
    pub(crate) fn number(&mut self, envelope: u64) -> u64 {
        let first_event = envelope * self.events;
        for (event, at) in (first_event..).zip(&self.event_places) {
            write_digits(&mut self.bytes[*at..*at + DIGITS], event);
        }
        for at in &self.envelope_places {
            write_digits(&mut self.bytes[*at..*at + DIGITS], envelope);
        }
        first_event
    }

    /// The id of the event of this number.
    pub(crate) const fn id_of(&self, event: u64) -> Uuid {
        Uuid::from_u128(self.id_head | event as u128)
    }

    /// The whole request.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its body.
    pub(crate) fn body(&self) -> &[u8] {
        &self.bytes[self.body.clone()]
    }

    /// How many events it holds.
    pub(crate) const fn events(&self) -> u64 {
        self.events
    }
}

/// One in five events shows a page, the others happen on it.
fn render_event(seq: u64, occurred_at: u64, id: &str, other: &str) -> String {
    let page = seq / 5;
    let (name, props) = match seq % 5 {
        0 => ("$pageview", r#"{"variant":"b","plan":"pro","basket":3,"signed_in":true,"n":1.5}"#),
        4 => ("$pageleave", r#"{"engaged_ms":14250,"scroll_depth":62,"plan":"pro","n":1.5}"#),
        _ => ("$click", r#"{"tag":"button","text":"Add to basket","plan":"pro","x":417}"#),
    };
    format!(
        concat!(
            r#"{{"id":"{}","name":"{}","occurred_at":{},"anonymous_id":"{}","session_id":"{}","tab_id":"{}","seq":{},"#,
            r#""url":"https://shop.example/products/kettle-{}?color=red","title":"Kettle {}, 1.7 l – Shop","props":{}}}"#
        ),
        id, name, occurred_at, other, other, other, seq, page, page, props
    )
}

fn write_digits(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(number & 15) as usize];
        number >>= 4;
    }
}

#[expect(clippy::disallowed_methods, reason = "a bench runs now")]
fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    u64::try_from(now.as_millis()).expect("it is before the year 500 million")
}
