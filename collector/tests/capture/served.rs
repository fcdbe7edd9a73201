//! Connections and memory: what a client may do that says little, slowly, or never ends.

use std::time::Duration;

use reqwest::Method;
use tallymark_collector::{CollectorConfig, ServeConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::event;
use crate::world::{KEY, Setup, World};

/// Longer than anything that is waited for here.
const LONG: Duration = Duration::from_secs(20);

async fn all_of(stream: &mut TcpStream) -> String {
    let mut answer = String::new();
    // A connection that is reset has been closed, too.
    let _ = timeout(LONG, stream.read_to_string(&mut answer)).await.expect("the connection is closed");
    answer
}

#[tokio::test]
async fn headers_that_do_not_come_end_the_connection() {
    let mut setup = Setup::default();
    setup.serving.headers_timeout = Duration::from_millis(100);
    let world = World::with(setup).await;
    for said in ["", "POST /capture HTTP/1.1\r\nhost: x\r\nx-sl"] {
        let mut slow = TcpStream::connect(world.address).await.unwrap();
        slow.write_all(said.as_bytes()).await.unwrap();
        all_of(&mut slow).await;
    }
    assert_eq!(world.capture(event().to_string()).send().await.unwrap().status(), 202);
}

#[tokio::test]
async fn answers_that_are_not_read_end_the_connection() {
    let mut setup = Setup::default();
    setup.serving =
        ServeConfig { connections_max: 1, answers_timeout: Duration::from_millis(100), ..setup.serving };
    let world = World::with(setup).await;
    let mut deaf = TcpStream::connect(world.address).await.unwrap();
    let requests = "GET /capture.gif HTTP/1.1\r\nhost: x\r\n\r\n".repeat(1_000);
    let sending = async { while deaf.write_all(requests.as_bytes()).await.is_ok() {} };
    timeout(LONG, sending).await.expect("the connection is closed");
    let next = world.capture(event().to_string()).send();
    assert_eq!(timeout(LONG, next).await.expect("its place is free").unwrap().status(), 202);
}

#[tokio::test]
async fn headers_without_end_are_431() {
    let world = World::new().await;
    let request = world.capture(event().to_string()).header("x-large", "x".repeat(17 * 1024));
    assert_eq!(request.send().await.unwrap().status(), 431);
    let request = world.capture(event().to_string()).header("x-large", "x".repeat(8 * 1024));
    assert_eq!(request.send().await.unwrap().status(), 202);
}

#[tokio::test]
async fn no_more_connections_are_answered_than_may_be() {
    let mut setup = Setup::default();
    setup.serving = ServeConfig { connections_max: 2, ..setup.serving };
    let world = World::with(setup).await;
    let body = event().to_string();
    let request = format!(
        "POST /capture?write_key={KEY} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut connections = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut begin = [0; 12];
        timeout(LONG, stream.read_exact(&mut begin)).await.unwrap().unwrap();
        assert_eq!(&begin, b"HTTP/1.1 202");
        connections.push(stream);
    }
    // The third is answered as soon as one of them is gone, and not before.
    let mut third = TcpStream::connect(world.address).await.unwrap();
    third.write_all(request.as_bytes()).await.unwrap();
    let mut begin = [0; 12];
    assert!(timeout(Duration::from_millis(200), third.read_exact(&mut begin)).await.is_err());
    drop(connections.pop());
    timeout(LONG, third.read_exact(&mut begin)).await.unwrap().unwrap();
    assert_eq!(&begin, b"HTTP/1.1 202");
}

#[tokio::test]
async fn bodies_that_would_take_too_much_memory_are_503() {
    let mut setup = Setup::default();
    setup.config =
        CollectorConfig { bodies_bytes_max: 100_000, body_timeout: Duration::from_secs(20), ..setup.config };
    let world = World::with(setup).await;
    let padded = |bytes: usize| format!("{}{}", event(), " ".repeat(bytes));
    assert_answer!(world.capture(padded(100_001)).send().await.unwrap(), 503, retry_after: Some("5"), {
        "error": "busy",
        "detail": "more bodies are being read than may; this one is not taken",
        "hint": crate::LATER,
    });
    // Announcing much takes nothing; what has come of a body does, until its connection ends.
    let begun = format!("content-length: 99000\r\n\r\n{}", " ".repeat(60_000));
    let half = world.connect(&begun).await;
    let answer = loop {
        let response = world.capture(padded(50_000)).send().await.unwrap();
        if response.status() != 202 {
            break response;
        }
    };
    assert_eq!(answer.status(), 503);
    assert_eq!(world.capture(event().to_string()).send().await.unwrap().status(), 202, "a small one fits");
    drop(half);
    while world.capture(padded(50_000)).send().await.unwrap().status() != 202 {}
    // Nothing stays behind: as much fits as at first.
    while world.capture(padded(99_000)).send().await.unwrap().status() != 202 {}
}

#[tokio::test]
async fn what_a_body_becomes_counts_too() {
    let mut setup = Setup::default();
    setup.config = CollectorConfig { bodies_bytes_max: 2_500, ..setup.config };
    let world = World::with(setup).await;
    let body = include_bytes!("../fixtures/body.gz").as_slice();
    let response = world.capture(String::new()).body(body).send().await.unwrap();
    assert_eq!(response.status(), 503, "400 bytes become 2,800");
}

#[tokio::test]
async fn requests_that_have_begun_are_answered_after_shutdown() {
    let mut world = World::new().await;
    let body = event().to_string();
    let mut begun = world.connect(&format!("content-length: {}\r\n\r\n{}", body.len(), &body[..5])).await;
    // The server has seen this one when it has answered one that came later.
    assert_eq!(world.capture(body.clone()).send().await.unwrap().status(), 202);
    world.shutdown.cancel();
    begun.write_all(&body.as_bytes()[5..]).await.unwrap();
    assert!(all_of(&mut begun).await.starts_with("HTTP/1.1 202 "));
    timeout(LONG, world.server.join_next()).await.expect("the server ends").unwrap().unwrap();
    assert!(TcpStream::connect(world.address).await.is_err(), "nobody listens any more");
    world.collector.drain().await;
    let check = world.collector.check().await;
    assert_eq!((check.is_ready, check.detail.as_str()), (false, "draining"));
}

#[tokio::test]
async fn a_request_that_never_ends_does_not_keep_the_server_from_ending() {
    let mut setup = Setup::default();
    setup.config.body_timeout = LONG;
    setup.serving.requests_end_within = Duration::from_millis(100);
    let mut world = World::with(setup).await;
    let mut endless = world.connect("content-length: 100\r\n\r\n{").await;
    assert_eq!(world.request(Method::GET, "/capture").send().await.unwrap().status(), 405);
    world.shutdown.cancel();
    timeout(LONG / 2, world.server.join_next()).await.expect("the server ends").unwrap().unwrap();
    assert_eq!(all_of(&mut endless).await, "");
}

#[tokio::test]
async fn a_full_queue_is_not_ready_until_something_has_gone() {
    let world = World::with_backlog(600).await;
    while world.capture(event().to_string()).send().await.unwrap().status() == 202 {}
    for _ in 0..2 {
        let check = world.collector.check().await;
        assert!(!check.is_ready && check.detail.starts_with("full: "), "{check:?}");
    }
    use tallymark_queue::Queue as _;
    let deliveries = world.queue.read(tallymark_queue::BatchLimit::default(), Duration::ZERO).await.unwrap();
    let handles: Vec<_> = deliveries.iter().map(|delivery| delivery.handle).collect();
    world.queue.ack(&handles).await.unwrap();
    assert!(world.collector.check().await.is_ready);
    assert_eq!(world.capture(event().to_string()).send().await.unwrap().status(), 202);
}
