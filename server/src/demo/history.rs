//! Two weeks of visits to the demo's shop, up to yesterday: today's numbers are those of whoever clicks.

use serde_json::value::RawValue;
use tallymark_protocol::{Context, DAY_MS, Event, Place, UnixMs, names};
use tallymark_queue::{ENTRY_VERSION, QueuedEnvelope};
use uuid::Uuid;

const DAYS: i64 = 14;
const PAGES: [&str; 6] = [
    "/demo/",
    "/demo/product/sencha",
    "/demo/product/oolong",
    "/demo/product/rooibos",
    "/demo/product/mint",
    "/demo/checkout.html",
];
const REFERRERS: [Option<&str>; 6] = [
    None,
    None,
    Some("https://www.search.example/"),
    Some("https://www.search.example/"),
    Some("https://news.example/tea"),
    Some("https://social.example/post/17"),
];
const USER_AGENTS: [&str; 4] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15",
];

/// The visits, an envelope each, as a collector would have queued them.
pub(super) fn envelopes(project_id: i32, now: UnixMs) -> Vec<QueuedEnvelope> {
    let mut dice = Dice(u64::from(now.utc_day().unsigned_abs()));
    let today = i64::from(now.utc_day()) * DAY_MS;
    let mut envelopes = Vec::new();
    for day in 1..=DAYS {
        let visits = 30 + dice.roll(40);
        for _ in 0..visits {
            // Most visits between morning and midnight.
            let at = today - day * DAY_MS + 7 * 3_600_000 + dice.up_to_ms(16 * 3_600_000);
            envelopes.push(visit(&mut dice, project_id, at, now));
        }
    }
    envelopes
}

fn visit(dice: &mut Dice, project_id: i32, began_at: i64, now: UnixMs) -> QueuedEnvelope {
    // A third of the visits are of some regulars.
    let visitor =
        if dice.roll(3) == 0 { Uuid::from_u128(u128::from(dice.roll(120)) + 1) } else { dice.uuid() };
    let session = dice.v7(began_at).to_string();
    let tab = dice.uuid().to_string();
    let referrer = REFERRERS[dice.index(REFERRERS.len())];
    let mut events: Vec<Event> = Vec::new();
    let mut at = began_at;
    let mut add = |dice: &mut Dice, at: i64, name: &str, page: &str, props: Option<String>| {
        events.push(Event {
            id: dice.v7(at),
            key_at: UnixMs(at),
            name: name.to_owned(),
            occurred_at: UnixMs(at),
            anonymous_id: Some(visitor.to_string()),
            user_id: None,
            session_id: Some(session.clone()),
            tab_id: Some(tab.clone()),
            seq: u32::try_from(events.len()).ok(),
            url: Some(format!("https://shop.example{page}")),
            title: None,
            referrer: if events.is_empty() { referrer.map(str::to_owned) } else { None },
            category: None,
            event_source: Some("web".to_owned()),
            props: props.and_then(|props| RawValue::from_string(props).ok()),
        });
    };
    let mut page = PAGES[if dice.roll(3) == 0 { dice.index(PAGES.len() - 1) } else { 0 }];
    for _ in 0..=dice.roll(5) {
        add(dice, at, names::PAGEVIEW, page, None);
        at += 4_000 + dice.up_to_ms(70_000);
        if page.contains("product") && dice.roll(3) == 0 {
            let product = page.rsplit('/').next().unwrap_or_default();
            let props = format!(
                r#"{{"product":"{product}","quantity":{},"price":{}}}"#,
                1 + dice.roll(3),
                19 + dice.roll(60)
            );
            add(dice, at, "add_to_cart", page, Some(props));
            at += 1_500 + dice.up_to_ms(9_000);
        }
        page = PAGES[dice.index(PAGES.len())];
    }
    QueuedEnvelope {
        v: ENTRY_VERSION,
        envelope_id: dice.v7(now.0),
        project_id,
        received_at: now,
        received: u32::try_from(events.len()).unwrap_or(u32::MAX),
        from_browser: true,
        user_agent: Some(USER_AGENTS[dice.index(USER_AGENTS.len())].to_owned()),
        place: Place::default(),
        address: None,
        context: Context::default(),
        rejected: Vec::new(),
        events,
    }
}

/// Splitmix64: the same history for the same day.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn roll(&mut self, sides: u64) -> u64 {
        self.next() % sides
    }

    fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.roll(length as u64)).unwrap_or(0)
    }

    fn up_to_ms(&mut self, most: u64) -> i64 {
        self.roll(most).cast_signed()
    }

    fn uuid(&mut self) -> Uuid {
        let bytes = (u128::from(self.next()) << 64 | u128::from(self.next())).to_le_bytes();
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }

    fn v7(&mut self, at: i64) -> Uuid {
        let mut random = [0; 10];
        random[..8].copy_from_slice(&self.next().to_le_bytes());
        random[8..].copy_from_slice(&self.next().to_le_bytes()[..2]);
        uuid::Builder::from_unix_timestamp_millis(at.cast_unsigned(), &random).into_uuid()
    }
}
