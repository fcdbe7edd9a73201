//! What strangers may send and a collector takes must get through the processor and the compactor of both stores:
//! one event that cannot be folded would hold up the rollups of everybody.

use serde_json::{Value, json};
use tallymark_protocol::{Arrival, Place, UnixMs, decode};
use tallymark_queue::{ENTRY_VERSION, QueuedEnvelope};
use tallymark_store::NewProject;
use tallymark_tests::databases::TestStore;
use tallymark_tests::world::{Dice, NOW_MS};
use tallymark_tests::{drive, on_both_stores, oracle};
use uuid::Uuid;

on_both_stores!(
    hosts_that_grow_when_they_are_encoded,
    texts_as_long_as_the_wire_lets_through,
    texts_that_databases_trip_over,
    numbers_at_the_edges,
);

/// Sends each of `events` in a pageview of its own, and counts them.
async fn goes_through(test: &TestStore, events: Vec<Value>) -> anyhow::Result<()> {
    let project = NewProject {
        name: "shop".to_owned(),
        time_zone: "Europe/Berlin".to_owned(),
        sketch_key: [7; 16],
        write_key: "wk_0123456789abcdefghijklmn".to_owned(),
        created_at: UnixMs(NOW_MS),
    };
    let project_id = test.create_project(&project).await?;
    let mut dice = Dice::new(3);
    let events: Vec<Value> = events
        .into_iter()
        .map(|fields| {
            let mut event = json!({
                "id": dice.v7(NOW_MS), "name": "$pageview", "anonymous_id": "a", "session_id": "s",
                "tab_id": "t", "seq": 1, "url": "https://shop.example/",
            });
            let known = event.as_object_mut().expect("an object");
            known.extend(fields.as_object().expect("fields").clone());
            event
        })
        .collect();
    let body = json!({ "events": events }).to_string();
    let received_at = UnixMs(NOW_MS);
    let decoded = decode(body.as_bytes(), Arrival { received_at, fresh_id: &mut || Uuid::from_u128(1) })?;
    assert!(decoded.rejections.is_empty(), "{:?}", decoded.rejections);
    let received = u32::try_from(decoded.events.len())?;
    let envelope = QueuedEnvelope {
        v: ENTRY_VERSION,
        envelope_id: dice.v7(NOW_MS),
        project_id,
        received_at,
        received,
        from_browser: true,
        user_agent: Some("\u{1F980} not a browser".to_owned()),
        place: Place::default(),
        address: None,
        context: decoded.context,
        rejected: decoded.rejected,
        events: decoded.events,
    };
    let committed = drive::commit_all(test, vec![envelope], 1).await?;
    assert_eq!(committed.accepted, received as usize);
    oracle::assert_consistent(test, &[project_id]).await
}

/// Labels of three different letters: each grows by half when it is written in ASCII, and they hardly compress.
fn long_host(dice: &mut Dice) -> String {
    let mut label = || -> String {
        let letters = (0..3).map(|_| 0x4e00 + u32::try_from(dice.below(20_000)).expect("small"));
        letters.map(|letter| char::from_u32(letter).expect("a letter")).chain(['.']).collect()
    };
    (0..200).map(|_| label()).collect::<String>() + "example"
}

async fn hosts_that_grow_when_they_are_encoded(test: TestStore) -> anyhow::Result<()> {
    let mut dice = Dice::new(1);
    let (page, referrer) = (long_host(&mut dice), long_host(&mut dice));
    let events = vec![
        json!({ "url": format!("https://{page}/") }),
        json!({ "session_id": "other", "referrer": format!("https://{referrer}/") }),
    ];
    goes_through(&test, events).await
}

async fn texts_as_long_as_the_wire_lets_through(test: TestStore) -> anyhow::Result<()> {
    let mut dice = Dice::new(2);
    let mut random = |bytes: usize| -> String {
        (0..bytes)
            .map(|_| {
                char::from(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"[dice.below(62)])
            })
            .collect()
    };
    let events = vec![json!({
        "name": random(128), "anonymous_id": random(128), "user_id": random(128), "session_id": random(128),
        "tab_id": random(128), "category": random(128), "event_source": random(128), "title": random(9_000),
        "url": format!("https://{}.example/{}", random(60), random(9_000)),
        "referrer": format!("https://{}.example/{}", random(60), random(9_000)),
        "props": { "text": random(16_000) },
    })];
    goes_through(&test, events).await
}

async fn texts_that_databases_trip_over(test: TestStore) -> anyhow::Result<()> {
    let texts = [
        "\u{0}",
        "a\u{0}b",
        "'; drop table event; --",
        "\\x00",
        "\u{FFFF}\u{10FFFF}",
        "e\u{301}",
        "\u{202E}abc",
        "{0}",
        "$1",
        "%s%n",
        "\n\t\r",
        "\u{FEFF}",
        "ＦＵＬＬ",
        "ß",
        "İ",
        "(none)",
        "(direct)",
        "null ",
    ];
    let events = texts.iter().map(|text| {
        json!({
            "name": format!("n{text}"), "anonymous_id": format!("v{text}"), "user_id": format!("u{text}"),
            "session_id": format!("s{text}"), "tab_id": format!("t{text}"), "category": text, "event_source": text,
            "title": text, "url": format!("https://shop.example/{text}"), "referrer": format!("https://x.example/{text}"),
            "props": { *text: text, "a": [text, { *text: null }] },
        })
    });
    goes_through(&test, events.collect()).await
}

async fn numbers_at_the_edges(test: TestStore) -> anyhow::Result<()> {
    let events = vec![
        json!({ "seq": u32::MAX }),
        json!({ "seq": 0, "props": { "n": 1e308, "m": -0.0, "k": 5e-324, "j": u64::MAX, "i": i64::MIN } }),
        json!({ "name": "$pageleave", "props": { "engaged_ms": 1e300 } }),
        json!({ "name": "$pageleave", "props": { "engaged_ms": -5 } }),
        json!({ "name": "$pageleave", "props": { "engaged_ms": "soon" } }),
        json!({ "name": "$pageleave", "props": { "engaged_ms": 0.5, "more": [[[[[1]]]]] } }),
        json!({ "occurred_at": NOW_MS + 40_000 }),
        json!({ "occurred_at": NOW_MS - 29 * 86_400_000 }),
    ];
    goes_through(&test, events).await
}
