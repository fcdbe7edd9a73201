//! What is counted, as Prometheus sees it.

use metrics_exporter_prometheus::PrometheusBuilder;
use reqwest::Method;
use serde_json::json;

use crate::world::{Setup, World};

#[test]
fn requests_events_and_bytes_are_counted_by_what_became_of_them() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let shown = recorder.handle();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    metrics::with_local_recorder(&recorder, || runtime.block_on(count()));
    let text = shown.render();
    for line in [
        "tallymark_capture_requests_total{answer=\"accepted\"} 2",
        "tallymark_capture_requests_total{answer=\"unknown_write_key\"} 1",
        "tallymark_capture_requests_total{answer=\"malformed_body\"} 1",
        "tallymark_capture_requests_total{answer=\"method_not_allowed\"} 1",
        "tallymark_capture_requests_total{answer=\"rate_limited\"} 0",
        "tallymark_capture_events_total{verdict=\"accepted\"} 3",
        "tallymark_capture_events_total{verdict=\"name_missing\"} 1",
        "tallymark_capture_events_total{verdict=\"quota_exceeded\"} 0",
        "tallymark_capture_seconds_count 4",
        "tallymark_capture_body_bytes_total 42",
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line} is not in\n{text}");
    }
}

async fn count() {
    let world = World::with(Setup::default()).await;
    let three = json!([{"name": "a"}, {"name": "b"}, {}]).to_string();
    let pixel = format!("/capture.gif?write_key={}&name=c", crate::world::KEY);
    assert_eq!(three.len(), 30);
    assert_eq!(world.capture(three).send().await.unwrap().status(), 202);
    assert_eq!(world.request(Method::GET, &pixel).send().await.unwrap().status(), 200);
    assert_eq!(world.capture("{\"name\":\"a\",".to_owned()).send().await.unwrap().status(), 400);
    assert_eq!(world.request(Method::PUT, "/capture").send().await.unwrap().status(), 405);
    let unknown = world.request(Method::POST, "/capture?write_key=wk_x").body("{}");
    assert_eq!(unknown.send().await.unwrap().status(), 401);
}
