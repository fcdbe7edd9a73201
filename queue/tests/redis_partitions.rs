//! A queue spread over several streams: all of them are read, by everybody, in turn.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "redis/server.rs"]
#[expect(dead_code, reason = "shared with redis_server.rs, which does more to its servers")]
mod server;

use std::collections::BTreeSet;
use std::time::Duration;

use tallymark_protocol::UnixMs;
use tallymark_queue::{Backlog, BatchLimit, Delivery, Queue, RedisConfig, RedisQueue};
use tokio::time::timeout;

use crate::server::{Server, envelope, handles, numbers, read_now};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(20);

fn queue(server: &Server, partitions: u16) -> RedisQueue {
    RedisQueue::new(&RedisConfig { partitions, ..server.config() }).unwrap()
}

async fn append(queue: &RedisQueue, numbers: std::ops::Range<u128>) {
    for number in numbers {
        queue.append(&envelope(number, 10)).await.unwrap();
    }
}

/// The partitions that deliveries are from.
fn partitions(deliveries: &[Delivery]) -> BTreeSet<String> {
    let names = deliveries.iter().map(|delivery| delivery.handle.to_string());
    names.map(|name| name.split(':').next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn who_was_told_of_fewer_partitions_reads_them_all() {
    let server = Server::start(&[]).await;
    let (reader, writer) = (queue(&server, 1), queue(&server, 3));
    assert!(read_now(&reader).await.is_empty(), "it knows of one partition now");
    append(&writer, 0..30).await;
    for partition in 0..3 {
        let stream = format!("tallymark:events:{{{partition}}}");
        assert_eq!(server.command::<u64>("", &["XLEN", &stream]).await.unwrap(), 10, "filled in turn");
    }
    let reading = async {
        let mut seen = BTreeSet::new();
        while seen.len() < 30 {
            let deliveries = reader.read(BatchLimit::default(), Duration::from_millis(100)).await.unwrap();
            seen.extend(numbers(&deliveries));
            reader.ack(&handles(&deliveries)).await.unwrap();
        }
    };
    timeout(LONG, reading).await.expect("all partitions are found");
    let later = queue(&server, 1);
    assert_eq!(later.backlog().await.unwrap(), Backlog::default());
    append(&writer, 30..33).await;
    assert_eq!(numbers(&read_now(&later).await), (30..33).collect(), "the number is kept in Redis");
}

#[tokio::test]
async fn a_waiting_reader_is_woken_by_any_partition_and_leaves_nothing_pending() {
    let server = Server::start(&[]).await;
    let (reader, writer) = (queue(&server, 3), queue(&server, 3));
    for round in 0..30 {
        let first = round * 3;
        let reading = async {
            let mut seen = BTreeSet::new();
            while seen.len() < 3 {
                let deliveries = reader.read(BatchLimit::default(), LONG).await.unwrap();
                seen.extend(numbers(&deliveries));
                reader.ack(&handles(&deliveries)).await.unwrap();
            }
            seen
        };
        let at_once = async {
            let envelopes = [first, first + 1, first + 2].map(|number| envelope(number, 10));
            let [a, b, c] = &envelopes;
            let appended = tokio::join!(writer.append(a), writer.append(b), writer.append(c));
            assert!(appended.0.is_ok() && appended.1.is_ok() && appended.2.is_ok());
        };
        let (seen, ()) = timeout(LONG / 2, async { tokio::join!(reading, at_once) }).await.expect("woken");
        assert_eq!(seen, (first..first + 3).collect());
    }
    assert_eq!(reader.backlog().await.unwrap(), Backlog::default());
}

#[tokio::test]
async fn a_full_partition_keeps_no_other_waiting() {
    let server = Server::start(&[]).await;
    let queue = queue(&server, 3);
    append(&queue, 0..60).await;
    let mut served = BTreeSet::new();
    for _ in 0..3 {
        let limit = BatchLimit { entries_max: 5, ..BatchLimit::default() };
        let deliveries = queue.read(limit, Duration::ZERO).await.unwrap();
        assert_eq!(deliveries.len(), 5);
        served.extend(partitions(&deliveries));
    }
    assert_eq!(served.len(), 3, "each batch begins with another one");
    let rest = queue.read(BatchLimit::default(), Duration::ZERO).await.unwrap();
    assert_eq!((rest.len(), partitions(&rest).len()), (45, 3), "a large one takes from all");
}

#[tokio::test]
async fn dead_letters_of_all_partitions_are_listed_in_pages_and_put_back() {
    let server = Server::start(&[]).await;
    let queue = queue(&server, 3);
    append(&queue, 0..9).await;
    for delivery in read_now(&queue).await {
        queue.dead_letter(delivery.handle, "not today", UnixMs(1_763_622_006_000)).await.unwrap();
    }
    assert_eq!(queue.backlog().await.unwrap().dead_letters, 9);
    let (mut letters, mut after) = (Vec::new(), None);
    loop {
        let page = queue.dead_letters(after, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        letters.extend(page.into_iter().map(|letter| letter.id));
    }
    assert_eq!(letters.iter().collect::<BTreeSet<_>>().len(), 9);
    assert_eq!(queue.replay(&letters).await.unwrap(), 9);
    assert_eq!(numbers(&read_now(&queue).await), (0..9).collect());
    assert_eq!(queue.backlog().await.unwrap().dead_letters, 0);
}
