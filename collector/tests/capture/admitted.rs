//! What is refused before the body is read: keys, origins, rates. Each check comes in its order, wherever the key is.

use reqwest::{Method, RequestBuilder};
use serde_json::json;
use tallymark_protocol::settings::OriginPattern;

use crate::event;
use crate::world::{Answer, KEY, World};

const UNKNOWN: &str = "wk_nmlkjihgfedcba9876543210";

#[tokio::test]
async fn an_api_key_is_a_write_key() {
    let world = World::new().await;
    let request = world.request(Method::POST, "/capture").header("x-api-key", KEY).body(event().to_string());
    assert_answer!(request.send().await.unwrap(), 202, {"accepted": 1, "rejected": []});
    // A key that is given wrongly is not looked for elsewhere.
    let request = world.request(Method::POST, "/capture").header("x-api-key", UNKNOWN);
    let request = request.body(json!({"write_key": KEY, "events": [event()]}).to_string());
    assert_eq!(request.send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn older_callers_paths_are_capture() {
    let world = World::new().await;
    for path in ["/api/analytics/event", "/api/events/ingest", "/api/v1/analytics", "/analytics"] {
        let request = world.request(Method::POST, path).header("x-api-key", KEY);
        let older = json!({"event": "page_view", "properties": {"plan": "pro"}});
        let response = request.body(older.to_string()).send().await.unwrap();
        assert_answer!(response, 202, {"accepted": 1, "rejected": []});
        let envelope = world.queued().await.remove(0);
        assert_eq!(envelope.events[0].name, "$pageview", "{path}");
        let preflight = Answer::of(world.request(Method::OPTIONS, path).send().await.unwrap()).await;
        assert_eq!(preflight.status, 204, "{path}");
        let other = world.request(Method::GET, path).send().await.unwrap();
        assert_eq!(other.status(), 405, "{path}");
    }
    assert_eq!(world.request(Method::POST, "/analytics/other").send().await.unwrap().status(), 404);
}

/// The ways in which a request may carry its key.
fn with_key_everywhere(world: &World) -> [RequestBuilder; 2] {
    let in_body = json!({"write_key": KEY, "events": [event()]}).to_string();
    [world.capture(event().to_string()), world.request(Method::POST, "/capture").body(in_body)]
}

#[tokio::test]
async fn only_pages_of_allowed_origins_may_send() {
    let world = World::with_project(|project| {
        let patterns = ["https://shop.example", "https://*.shop.example"];
        project.origins = patterns.iter().map(|text| OriginPattern::parse(text).unwrap()).collect();
    })
    .await;
    for allowed in ["https://shop.example", "https://www.shop.example", "https://a.b.shop.example"] {
        for request in with_key_everywhere(&world) {
            let response = request.header("origin", allowed).send().await.unwrap();
            assert_eq!(response.status(), 202, "{allowed}");
        }
    }
    for request in with_key_everywhere(&world) {
        assert_eq!(request.send().await.unwrap().status(), 202, "a server has no origin");
    }
    let taken = world.queued().await.len();
    for request in with_key_everywhere(&world) {
        let response = request.header("origin", "https://evil.example").send().await.unwrap();
        assert_answer!(response, 403, {
            "error": "origin_not_allowed",
            "detail": "pages of \"https://evil.example\" may not send to project 7",
            "hint": "allow it with `tallymark project set 7 --origin https://evil.example`; name the origins that are allowed \
                     already beside it, since together they replace what was there",
        });
    }
    for refused in
        ["null", "http://shop.example", "https://shop.example.evil.example", "https://shop.example:444"]
    {
        for request in with_key_everywhere(&world) {
            let response = request.header("origin", refused).send().await.unwrap();
            assert_eq!(response.status(), 403, "{refused}");
        }
    }
    assert_eq!((taken, world.queued().await.len()), (8, 0));
}

#[tokio::test]
async fn where_any_origin_may_send_so_may_null() {
    let world = World::new().await;
    for request in with_key_everywhere(&world) {
        assert_eq!(request.header("origin", "null").send().await.unwrap().status(), 202);
    }
}

#[tokio::test]
async fn a_rate_limit_counts_events_and_lets_in_again_after_retry_after() {
    let world = World::with_project(|project| project.rate_limit_per_minute = Some(6)).await;
    for _ in 0..6 {
        assert_eq!(world.capture(event().to_string()).send().await.unwrap().status(), 202);
    }
    for request in with_key_everywhere(&world) {
        assert_answer!(request.send().await.unwrap(), 429, retry_after: Some("10"), {
            "error": "rate_limited",
            "detail": "more events came than this project takes in a minute",
            "hint": "send it again after Retry-After seconds; events are counted, not requests, so that larger envelopes do \
                     not help",
        });
    }
    world.clock.advance(9_999);
    assert_eq!(world.capture(event().to_string()).send().await.unwrap().status(), 429);
    world.clock.advance(1);
    assert_eq!(world.capture(event().to_string()).send().await.unwrap().status(), 202);
    assert_eq!(world.capture(event().to_string()).send().await.unwrap().status(), 429);
    assert_eq!(world.queued().await.len(), 7);
}

#[tokio::test]
async fn an_envelope_is_taken_whole_and_owes_what_it_costs() {
    let world = World::with_project(|project| project.rate_limit_per_minute = Some(60)).await;
    let events = |count: usize| json!(vec![json!({"name": "a"}); count]);
    // The rejected cost as much as the accepted: they were read, too.
    let mut mixed = events(119);
    mixed.as_array_mut().unwrap().push(json!({}));
    assert_eq!(world.capture(mixed.to_string()).send().await.unwrap().status(), 202);
    let refused = world.capture(events(1).to_string()).send().await.unwrap();
    assert_eq!(
        refused.headers()["retry-after"],
        "61",
        "120 of 60 are used: a minute until none is owed, then one"
    );
    world.clock.advance(61_000);
    let in_body = json!({"write_key": KEY, "events": events(30)}).to_string();
    let request = world.request(Method::POST, "/capture").body(in_body);
    assert_eq!(request.send().await.unwrap().status(), 202);
    let refused = world.capture(events(1).to_string()).send().await.unwrap();
    assert_eq!(refused.headers()["retry-after"], "30");
}

#[tokio::test]
async fn refusals_come_in_their_order() {
    let world = World::with_project(|project| {
        project.origins = vec![OriginPattern::parse("https://shop.example").unwrap()];
        project.rate_limit_per_minute = Some(1);
    })
    .await;
    let all_wrong = |key: &str, origin: &str| {
        let request = world.request(Method::POST, &format!("/capture?write_key={key}"));
        request.header("origin", origin.to_owned()).header("content-type", "image/png").body("{")
    };
    let status = async |request: RequestBuilder| request.send().await.unwrap().status().as_u16();
    assert_eq!(status(all_wrong(UNKNOWN, "https://evil.example")).await, 401);
    assert_eq!(status(all_wrong(KEY, "https://evil.example")).await, 403);
    assert_eq!(status(all_wrong(KEY, "https://shop.example")).await, 415, "takes the only token");
    assert_eq!(status(all_wrong(KEY, "https://shop.example")).await, 429);
    assert_eq!(status(all_wrong(KEY, "https://evil.example")).await, 403, "costs nothing");
    world.clock.advance(60_000);
    assert_eq!(status(world.capture("{".to_owned())).await, 400);
    assert_eq!(status(world.capture("{".to_owned())).await, 429);
}

#[tokio::test]
async fn what_is_refused_by_its_headers_is_refused_before_its_body() {
    let world = World::with_project(|project| project.rate_limit_per_minute = Some(1)).await;
    assert_eq!(world.capture(event().to_string()).send().await.unwrap().status(), 202);
    let began = tokio::time::Instant::now();
    let answer = world.send_raw("content-length: 100000\r\nexpect: 100-continue\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 429 "), "{answer}");
    assert!(!answer.contains("100 Continue"), "{answer}");
    assert!(began.elapsed() < std::time::Duration::from_secs(5), "nobody waited for the body");
}
