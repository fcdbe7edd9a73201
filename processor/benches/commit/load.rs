//! The traffic that the bench commits: sessions of eight events, in three envelopes that come in different
//! batches, with 60-byte URLs and four properties. Deterministic.

use serde_json::value::RawValue;
use tallymark_protocol::{Context, Event, Place, UnixMs};
use tallymark_queue::{ENTRY_VERSION, QueuedEnvelope};
use uuid::Uuid;

/// Events of a session, by envelope.
const ENVELOPES: [usize; 3] = [2, 4, 2];
/// Sessions that begin between two envelopes of one session.
const APART: usize = 1_500;
/// Time between the beginnings of two sessions.
const SESSION_EVERY_MS: i64 = 150;
const PAGES: u64 = 400;
const SOURCES: [Option<&str>; 4] = [
    None,
    Some("https://search.example/"),
    Some("https://news.example/a"),
    Some("https://www.social.example/x"),
];
const USER_AGENTS: [&str; 3] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0",
];

/// A small generator of well-spread numbers (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn v7(&mut self, at: i64) -> Uuid {
        let mut random = [0; 10];
        random[..8].copy_from_slice(&self.roll().to_le_bytes());
        random[8..].copy_from_slice(&self.roll().to_le_bytes()[..2]);
        uuid::Builder::from_unix_timestamp_millis(at.cast_unsigned(), &random).into_uuid()
    }

    fn v4(&mut self) -> Uuid {
        let bytes = (u128::from(self.roll()) << 64 | u128::from(self.roll())).to_le_bytes();
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }
}

/// Envelopes of `sessions` sessions, in the order of their arrival, ending about `now`.
pub(crate) fn envelopes(project_id: i32, sessions: usize, now: UnixMs) -> Vec<QueuedEnvelope> {
    let mut dice = Dice(42);
    let span = i64::try_from(sessions + 3 * APART).expect("a bench's size") * SESSION_EVERY_MS;
    let start = now.0 - span;
    let mut slots: Vec<Vec<QueuedEnvelope>> =
        (0..sessions + APART * ENVELOPES.len()).map(|_| Vec::new()).collect();
    for session in 0..sessions {
        let at = start + i64::try_from(session).expect("a bench's size") * SESSION_EVERY_MS;
        for (part, envelope) in one_session(&mut dice, project_id, at).into_iter().enumerate() {
            slots[session + part * APART].push(envelope);
        }
    }
    slots.into_iter().flatten().collect()
}

fn one_session(dice: &mut Dice, project_id: i32, began_at: i64) -> Vec<QueuedEnvelope> {
    let (visitor, session, tab) =
        (dice.v4().to_string(), dice.v7(began_at).to_string(), dice.v4().to_string());
    let user_agent = USER_AGENTS[(dice.roll() % 3) as usize];
    let source = SOURCES[(dice.roll() % 4) as usize];
    let apart_ms = i64::try_from(APART).expect("small") * SESSION_EVERY_MS;
    let mut seq = 0;
    let mut envelopes = Vec::new();
    for (part, count) in ENVELOPES.into_iter().enumerate() {
        let sent_at = began_at + i64::try_from(part).expect("small") * apart_ms;
        let events = (0..count).map(|index| {
            let at = sent_at + i64::try_from(index).expect("small") * 2_000;
            // Squaring favours the low numbers: a few pages have most views.
            let page = (dice.roll() % PAGES) * (dice.roll() % PAGES) / PAGES;
            let name = ["$pageview", "$click", "add_to_cart", "$pageview"][index % 4];
            let props = format!(
                r#"{{"plan":"pro","price":{}.5,"sku":"A-{:05}","quantity":{}}}"#,
                dice.roll() % 100,
                dice.roll() % 100_000,
                dice.roll() % 9
            );
            seq += 1;
            Event {
                id: dice.v7(at),
                key_at: UnixMs(at),
                name: name.to_owned(),
                occurred_at: UnixMs(at),
                anonymous_id: Some(visitor.clone()),
                user_id: None,
                session_id: Some(session.clone()),
                tab_id: Some(tab.clone()),
                seq: Some(seq - 1),
                url: Some(format!("https://shop.example/products/garden/item-{page:05}?ref=abcdef")),
                title: None,
                referrer: if seq == 1 { source.map(str::to_owned) } else { None },
                category: None,
                event_source: Some("web".to_owned()),
                props: Some(RawValue::from_string(props).expect("JSON")),
            }
        });
        let events: Vec<Event> = events.collect();
        let received_at = UnixMs(sent_at + 8_000);
        envelopes.push(QueuedEnvelope {
            v: ENTRY_VERSION,
            envelope_id: dice.v7(received_at.0),
            project_id,
            received_at,
            received: u32::try_from(events.len()).expect("small"),
            from_browser: true,
            user_agent: Some(user_agent.to_owned()),
            place: Place::default(),
            address: None,
            context: Context::default(),
            rejected: Vec::new(),
            events,
        });
    }
    envelopes
}
