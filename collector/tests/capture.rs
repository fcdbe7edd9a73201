//! Every answer of the capture paths, over real HTTP, with a real queue behind.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

/// Asserts status, CORS headers, `Retry-After` and body at once.
macro_rules! assert_answer {
    ($response:expr, $status:literal, retry_after: $retry_after:expr, $body:tt) => {{
        let answer = $crate::world::Answer::of($response).await;
        assert_eq!(answer.status, $status, "{:?}", answer.body);
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        assert_eq!(answer.header("access-control-expose-headers"), Some("Retry-After"));
        assert_eq!(answer.header("access-control-allow-credentials"), None);
        assert_eq!(answer.header("retry-after"), $retry_after);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.body, serde_json::json!($body));
    }};
    ($response:expr, $status:literal, $body:tt) => {
        assert_answer!($response, $status, retry_after: None::<&str>, $body)
    };
}

#[path = "capture/admitted.rs"]
mod admitted;
#[path = "capture/compressed.rs"]
mod compressed;
#[path = "capture/measured.rs"]
mod measured;
#[path = "capture/pixel.rs"]
mod pixel;
#[path = "capture/proxied.rs"]
mod proxied;
#[path = "capture/served.rs"]
mod served;
#[path = "capture/world.rs"]
mod world;

use reqwest::Method;
use serde_json::{Value, json};
use tallymark_protocol::DiscardReason;
use tallymark_protocol::limits::{BODY_BYTES_MAX, ENVELOPE_EVENTS_MAX};

use tallymark_queue::Queue as _;
use world::{KEY, NOW, World};

const LATER: &str =
    "nothing is wrong with the request: send it again after Retry-After seconds, with the same event ids";
const SPLIT: &str = "split the events over several requests";

pub(crate) fn event() -> Value {
    json!({"name": "signup", "id": "0190163d-8694-739b-aea5-966c26f8ad91", "occurred_at": NOW.0 - 5})
}

#[tokio::test]
async fn an_envelope_is_answered_202_and_is_in_the_queue() {
    let world = World::new().await;
    let body =
        json!({"sent_at": NOW.0, "context": {"language": "en-GB"}, "events": [{"name": "a"}, {"name": "b"}]});
    let request = world.capture(body.to_string()).header("user-agent", "Test/1.0");
    assert_answer!(request.send().await.unwrap(), 202, {"accepted": 2, "rejected": []});

    let envelopes = world.queued().await;
    assert_eq!(envelopes.len(), 1);
    let envelope = &envelopes[0];
    assert_eq!((envelope.v, envelope.project_id, envelope.received), (1, 7, 2));
    assert_eq!(envelope.received_at, NOW);
    assert_eq!(tallymark_protocol::time_in_v7(envelope.envelope_id), Some(NOW));
    assert!(!envelope.from_browser);
    assert_eq!(envelope.user_agent.as_deref(), Some("Test/1.0"));
    assert_eq!(envelope.context.language.as_deref(), Some("en-GB"));
    let names: Vec<_> = envelope.events.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_ne!(envelope.events[0].id, envelope.events[1].id, "each gets an id of its own");
    assert_eq!(tallymark_protocol::time_in_v7(envelope.events[0].id), Some(NOW));
}

#[tokio::test]
async fn a_single_event_and_an_array_need_no_envelope() {
    let world = World::new().await;
    assert_answer!(
        world.capture(json!({"name": "a"}).to_string()).send().await.unwrap(),
        202,
        {"accepted": 1, "rejected": []}
    );
    assert_answer!(
        world.capture(json!([{"name": "b"}, {"name": "c"}]).to_string()).send().await.unwrap(),
        202,
        {"accepted": 2, "rejected": []}
    );
    assert_eq!(world.queued().await.len(), 2);
}

#[tokio::test]
async fn a_bad_event_is_rejected_by_index_and_its_neighbours_are_queued() {
    let world = World::new().await;
    let body = json!({"events": [{"name": "a"}, {"name": "", "tab_id": "t-1", "seq": 17}, {"name": "c"}]});
    assert_answer!(
        world.capture(body.to_string()).send().await.unwrap(),
        202,
        {"accepted": 2, "rejected": [{"index": 1, "reason": "name_missing", "detail": "an event needs a name"}]}
    );
    let envelopes = world.queued().await;
    let names: Vec<_> = envelopes[0].events.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(names, ["a", "c"]);
    assert_eq!(envelopes[0].received, 3);
    assert_eq!(envelopes[0].rejected[0].reason, DiscardReason::NameMissing);
    assert_eq!(
        (envelopes[0].rejected[0].tab_id.as_deref(), envelopes[0].rejected[0].seq),
        (Some("t-1"), Some(17))
    );
}

#[tokio::test]
async fn an_envelope_of_only_bad_events_is_queued_for_the_accounting() {
    let world = World::new().await;
    let response = world.capture(json!([{"nome": "a"}]).to_string()).send().await.unwrap();
    assert_answer!(
        response,
        202,
        {"accepted": 0, "rejected": [{"index": 0, "reason": "name_missing", "detail": "an event needs a name"}]}
    );
    let envelopes = world.queued().await;
    assert_eq!((envelopes.len(), envelopes[0].received, envelopes[0].events.len()), (1, 1, 0));
}

#[tokio::test]
async fn an_empty_envelope_is_fine_and_nothing_is_queued() {
    let world = World::new().await;
    assert_answer!(
        world.capture(json!({"events": []}).to_string()).send().await.unwrap(),
        202,
        {"accepted": 0, "rejected": []}
    );
    assert!(world.queued().await.is_empty());
}

#[tokio::test]
async fn the_key_may_be_in_the_query_the_header_or_the_body() {
    let world = World::new().await;
    let in_header = world.request(Method::POST, "/capture").bearer_auth(KEY).body(event().to_string());
    assert_answer!(in_header.send().await.unwrap(), 202, {"accepted": 1, "rejected": []});
    let in_body = world
        .request(Method::POST, "/capture")
        .body(json!({"write_key": KEY, "events": [event()]}).to_string());
    assert_answer!(in_body.send().await.unwrap(), 202, {"accepted": 1, "rejected": []});
    let mut single = event();
    single["write_key"] = KEY.into();
    let in_event = world.request(Method::POST, "/capture").body(single.to_string());
    assert_answer!(in_event.send().await.unwrap(), 202, {"accepted": 1, "rejected": []});
    assert_eq!(world.queued().await.len(), 3);
}

#[tokio::test]
async fn no_key_and_an_unknown_key_are_401() {
    let world = World::new().await;
    let none = world.request(Method::POST, "/capture").body(event().to_string());
    assert_answer!(none.send().await.unwrap(), 401, {
        "error": "missing_write_key",
        "detail": "the request names no project: it carries no write key",
        "hint": "add ?write_key=wk_… to the URL; `tallymark project list` shows a project's keys",
    });
    for unknown in ["wk_nmlkjihgfedcba9876543210", "nonsense"] {
        let request =
            world.request(Method::POST, &format!("/capture?write_key={unknown}")).body(event().to_string());
        assert_answer!(request.send().await.unwrap(), 401, {
            "error": "unknown_write_key",
            "detail": "no project has this write key",
            "hint": "copy the key from the project's script tag, or from `tallymark project list`",
        });
    }
    assert!(world.queued().await.is_empty());
}

#[tokio::test]
async fn a_large_body_with_an_unknown_key_still_gets_its_answer() {
    let world = World::new().await;
    let request = world.request(Method::POST, "/capture?write_key=wk_nmlkjihgfedcba9876543210");
    let response = request.body("x".repeat(BODY_BYTES_MAX)).send().await.unwrap();
    assert_eq!(response.status(), 401);
}

#[tokio::test]
async fn what_is_no_json_is_400_and_says_where() {
    let world = World::new().await;
    assert_answer!(world.capture("{\"events\": [".to_owned()).send().await.unwrap(), 400, {
        "error": "malformed_body",
        "detail": "the body is not an envelope of events: EOF while parsing a list at line 1 column 12",
        "hint": "send one event, an array of events, or {\"events\": [...]} as JSON in UTF-8",
    });
    for nonsense in ["", "5", "\"text\"", "{\"events\": 5}", "name=signup"] {
        let response = world.capture(nonsense.to_owned()).send().await.unwrap();
        assert_eq!(response.status(), 400, "{nonsense}");
    }
    assert!(world.queued().await.is_empty());
}

#[tokio::test]
async fn too_much_at_once_is_413() {
    let world = World::new().await;
    let large = format!("[{}\"\"]", " ".repeat(BODY_BYTES_MAX));
    assert_answer!(world.capture(large).send().await.unwrap(), 413, {
        "error": "body_too_large",
        "detail": "the body has more than 1048576 bytes",
        "hint": SPLIT,
    });
    let many = json!(vec![json!({"name": "a"}); ENVELOPE_EVENTS_MAX + 1]).to_string();
    assert_answer!(world.capture(many).send().await.unwrap(), 413, {
        "error": "too_many_events",
        "detail": "the envelope has 1001 events; at most 1000 are taken",
        "hint": SPLIT,
    });
    let enough = json!(vec![json!({"name": "a"}); ENVELOPE_EVENTS_MAX]).to_string();
    assert_answer!(world.capture(enough).send().await.unwrap(), 202, {"accepted": 1000, "rejected": []});
}

#[tokio::test]
async fn only_what_cannot_be_json_is_415() {
    let world = World::new().await;
    for usable in ["application/json", "text/plain;charset=UTF-8", "application/x-www-form-urlencoded"] {
        let request = world.capture(event().to_string()).header("content-type", usable);
        assert_eq!(request.send().await.unwrap().status(), 202, "{usable}");
    }
    let request =
        world.capture(event().to_string()).header("content-type", "multipart/form-data; boundary=x");
    assert_answer!(request.send().await.unwrap(), 415, {
        "error": "unsupported_content_type",
        "detail": "a body of this Content-Type cannot be JSON",
        "hint": "send JSON, as application/json or text/plain",
    });
    for unusable in ["compress", "gzip, br", "gzip,gzip", "aes128gcm"] {
        let request = world.capture(event().to_string()).header("content-encoding", unusable);
        assert_answer!(request.send().await.unwrap(), 415, {
            "error": "unsupported_content_encoding",
            "detail": "a body of this Content-Encoding cannot be read",
            "hint": "name one of gzip, deflate, br and zstd, or send the body as it is",
        });
    }
}

#[tokio::test]
async fn a_browser_is_known_by_its_headers() {
    let world = World::new().await;
    for (name, value) in [("origin", "https://shop.example"), ("sec-fetch-site", "cross-site")] {
        world.capture(event().to_string()).header(name, value).send().await.unwrap();
    }
    assert!(world.queued().await.iter().all(|envelope| envelope.from_browser));
}

#[tokio::test]
async fn a_long_user_agent_is_cut() {
    let world = World::new().await;
    world.capture(event().to_string()).header("user-agent", "x".repeat(3_000)).send().await.unwrap();
    assert_eq!(world.queued().await[0].user_agent.as_ref().unwrap().len(), 1_024);
}

#[tokio::test]
async fn a_full_queue_is_503_with_retry_after() {
    let world = World::with_backlog(600).await;
    assert_eq!(world.capture(event().to_string()).send().await.unwrap().status(), 202);
    let refused = loop {
        let response = world.capture(event().to_string()).send().await.unwrap();
        if response.status() != 202 {
            break response;
        }
    };
    assert_answer!(refused, 503, retry_after: Some("5"), {
        "error": "queue_full",
        "detail": "more events wait to be processed than may; none of these is taken",
        "hint": LATER,
    });
}

#[tokio::test]
async fn a_queue_that_is_away_is_503_with_retry_after() {
    let world = World::new().await;
    world.queue.close().await;
    assert_answer!(world.capture(event().to_string()).send().await.unwrap(), 503, retry_after: Some("5"), {
        "error": "queue_unavailable",
        "detail": "the events could not be written down; whether some were is settled when they come again",
        "hint": LATER,
    });
}

#[tokio::test]
async fn a_registry_that_is_away_is_503_and_never_401() {
    let world = World::new().await;
    world.registry.set_away(true);
    assert_answer!(world.capture(event().to_string()).send().await.unwrap(), 503, retry_after: Some("5"), {
        "error": "registry_unavailable",
        "detail": "the write key cannot be checked at the moment",
        "hint": LATER,
    });
    world.registry.set_away(false);
    assert_eq!(world.capture(event().to_string()).send().await.unwrap().status(), 202);
}

#[tokio::test]
async fn a_preflight_is_answered() {
    let world = World::new().await;
    let request = world.request(Method::OPTIONS, "/capture").header("origin", "https://shop.example");
    let answer = world::Answer::of(request.send().await.unwrap()).await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.header("access-control-allow-methods"), Some("POST, OPTIONS"));
    let allowed = "Authorization, Content-Encoding, Content-Type, X-API-Key";
    assert_eq!(answer.header("access-control-allow-headers"), Some(allowed));
    assert_eq!(answer.header("access-control-max-age"), Some("86400"));
    assert_eq!(answer.header("access-control-allow-credentials"), None);
}

#[tokio::test]
async fn another_method_is_405() {
    let world = World::new().await;
    for path in ["/capture", "/analytics"] {
        let response = world.request(Method::GET, path).send().await.unwrap();
        assert_eq!(response.headers()["allow"], "POST, OPTIONS");
        assert_answer!(response, 405, {
            "error": "method_not_allowed",
            "detail": "this path takes POST, OPTIONS",
            "hint": "send events by POST /capture, or one by GET /capture.gif",
        });
    }
}

#[tokio::test]
async fn a_body_that_stops_halfway_is_408() {
    let world = World::new().await;
    let answer = world.send_raw("content-length: 100\r\n\r\n{\"name\":").await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("\"error\":\"body_incomplete\""), "{answer}");
    assert!(world.queued().await.is_empty());
}

#[tokio::test]
async fn a_client_that_hangs_up_leaves_a_whole_envelope_or_none() {
    let world = World::new().await;
    let body = event().to_string();
    for _ in 0..20 {
        world.send_and_hang_up(&body).await;
    }
    // A request after them is answered, so that theirs were seen; then nothing of them is left under way.
    assert_eq!(world.capture(body).send().await.unwrap().status(), 202);
    world.collector.drain().await;
    for envelope in world.queued().await {
        assert_eq!((envelope.received, envelope.events.len()), (1, 1));
    }
}

#[tokio::test]
async fn readiness_follows_the_queue() {
    let world = World::new().await;
    world.capture(event().to_string()).send().await.unwrap();
    let check = world.collector.check().await;
    assert!(check.is_ready);
    assert_eq!((check.name, check.detail.as_str()), ("queue", "1 envelopes wait"));
}
