//! `cargo bench -p tallymark-collector --bench decode`: CPU of what happens to a body between the socket and the
//! queue, alone: decoding it and encoding what is queued.

use std::hint::black_box;
use std::time::{Duration, Instant};

use tallymark_protocol::{Arrival, Context, Decoded, Place, UnixMs, decode};
use tallymark_queue::{ENTRY_VERSION, EncodedEnvelope, QueuedEnvelope};
use uuid::Uuid;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const RECEIVED_AT: UnixMs = UnixMs(1_763_622_005_000);

/// How long each case is measured, in turns, of which the fastest counts: whatever else the machine does only
/// ever makes it slower.
const TURNS: u32 = 20;
const TURN: Duration = Duration::from_millis(100);

struct Case {
    name: &'static str,
    body: String,
    events: u32,
}

fn main() {
    let cases = [
        Case { name: "50 events, tracker", body: envelope(50), events: 50 },
        Case { name: "1 event, tracker", body: envelope(1), events: 1 },
        Case { name: "1 event, bare", body: tracked(0), events: 1 },
        Case { name: "50 events, one bad", body: envelope(49).replace("]}", ",{\"name\":5}]}"), events: 50 },
        Case { name: "50 events, older names", body: older(50), events: 50 },
    ];
    println!("{:<24} {:>8} {:>10} {:>10} {:>10}  ns an event", "", "bytes", "decode", "encode", "both");
    for case in &cases {
        let decoding = fastest(|| {
            black_box(decoded(black_box(&case.body)));
        });
        let envelope = queued(decoded(&case.body));
        let encoding = fastest(|| {
            black_box(EncodedEnvelope::encode(black_box(&envelope)).expect("it is small"));
        });
        let bytes = case.body.len() / case.events as usize;
        let each = [decoding, encoding, decoding + encoding].map(|time| (time / case.events).as_nanos());
        println!("{:<24} {bytes:>8} {:>10} {:>10} {:>10}", case.name, each[0], each[1], each[2]);
    }
}

/// The shortest mean of a turn.
fn fastest(mut work: impl FnMut()) -> Duration {
    let turn = |work: &mut dyn FnMut()| {
        let (started, mut rounds) = (Instant::now(), 0);
        while started.elapsed() < TURN {
            (0..16).for_each(|_| work());
            rounds += 16;
        }
        started.elapsed() / rounds
    };
    (0..TURNS).map(|_| turn(&mut work)).min().expect("there are turns")
}

fn decoded(body: &str) -> Decoded {
    let arrival = Arrival { received_at: RECEIVED_AT, fresh_id: &mut || Uuid::from_u128(7) };
    decode(body.as_bytes(), arrival).expect("it is well-formed")
}

fn queued(decoded: Decoded) -> QueuedEnvelope {
    QueuedEnvelope {
        v: ENTRY_VERSION,
        envelope_id: Uuid::from_u128(7),
        project_id: 1,
        received_at: RECEIVED_AT,
        received: u32::try_from(decoded.events.len() + decoded.rejected.len()).expect("few"),
        from_browser: true,
        user_agent: Some("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0".to_owned()),
        place: Place::default(),
        address: None,
        context: Context::default(),
        rejected: decoded.rejected,
        events: decoded.events,
    }
}

/// What the tracker sends, at about 400 bytes an event.
fn envelope(events: usize) -> String {
    let events: Vec<String> = (0..events).map(tracked).collect();
    let context =
        r#"{"screen":[1920,1080],"viewport":[1200,800],"language":"en-GB","timezone":"Europe/Berlin"}"#;
    let (sent_at, events) = (RECEIVED_AT.0, events.join(","));
    format!(r#"{{"sent_at":{sent_at},"sdk":"tallymark-web/0.1.0","context":{context},"events":[{events}]}}"#)
}

fn tracked(seq: usize) -> String {
    let (id, occurred_at) =
        (0x019a_a010_1580_7abc_8def_0000_0000_0000_u128 + seq as u128, RECEIVED_AT.0 - 5_000);
    let id = Uuid::from_u128(id);
    format!(
        concat!(
            r#"{{"id":"{}","name":"$click","occurred_at":{},"#,
            r#""anonymous_id":"0190163d-8694-739b-aea5-966c26f8ad91","session_id":"0190163d-8694-739b-aea5-000026f8ad91","#,
            r#""tab_id":"0190163d-8694-739b-aea5-111126f8ad91","seq":{},"url":"https://shop.example/products/kettle?color=red","#,
            r#""title":"Kettle, 1.7 l – Shop","props":{{"tag":"button","text":"Add to basket","plan":"pro","n":1.5,"x":417}}}}"#
        ),
        id, occurred_at, seq
    )
}

/// The same as an older caller writes it.
fn older(events: usize) -> String {
    envelope(events)
        .replace("\"name\"", "\"event_type\"")
        .replace("\"props\"", "\"properties\"")
        .replace("\"occurred_at\"", "\"timestamp\"")
        .replace("\"url\"", "\"page_url\"")
}
