//! A spool before a Redis that is killed, falls silent or runs full.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tallymark_protocol::UnixMs;
use tallymark_queue::{
    EmbeddedConfig, EmbeddedQueue, EncodedEnvelope, Queue, QueueError, RedisConfig, RedisQueue, SpoolConfig,
    SpooledQueue,
};
use tokio::time::{Instant, sleep, timeout};

use crate::read_all;
use crate::server::{Server, envelope};

/// How long an append may take in these tests before it is spooled.
const APPEND_TIMEOUT: Duration = Duration::from_millis(300);
/// Far below the time that each append would take if it asked a Redis that is away.
const AT_ONCE: Duration = Duration::from_millis(250);
const PATIENCE: Duration = Duration::from_secs(20);

async fn start(redis: &RedisConfig, spool: EmbeddedConfig) -> SpooledQueue {
    let first = Arc::new(RedisQueue::new(redis).unwrap());
    let spool = EmbeddedQueue::open(spool).await.unwrap();
    let mut config = SpoolConfig::new(Arc::new(|| UnixMs(1_763_622_010_000)));
    config.append_timeout = APPEND_TIMEOUT;
    config.probe_every = Duration::from_millis(50);
    SpooledQueue::start(first, spool, config)
}

async fn append(queue: &SpooledQueue, numbers: std::ops::Range<u128>) {
    for number in numbers {
        queue.append(&envelope(number, 100)).await.unwrap();
    }
}

async fn until_handed_on(queue: &SpooledQueue) {
    let handed_on = async {
        while queue.spool().unwrap().entries > 0 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, handed_on).await.expect("the spool is handed on");
}

fn set(range: std::ops::Range<u128>) -> BTreeSet<u128> {
    range.collect()
}

fn segments(dir: &Path) -> Vec<std::path::PathBuf> {
    let files = std::fs::read_dir(dir).unwrap().map(|file| file.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|ending| ending == "segment")).collect()
}

#[tokio::test]
async fn appends_go_on_while_redis_is_dead_and_reach_it_afterwards() {
    let (mut server, dir) = (Server::start(&[]).await, tempfile::tempdir().unwrap());
    let queue = start(&server.config(), EmbeddedConfig::new(dir.path())).await;
    append(&queue, 0..20).await;
    assert_eq!(queue.spool().unwrap().entries, 0, "nothing is spooled while Redis is there");

    server.signal("KILL");
    append(&queue, 20..60).await;
    let spool = queue.spool().unwrap();
    assert!(spool.is_away && spool.entries == 40, "{spool:?}");
    assert!(spool.bytes > 0 && spool.oldest_received_at == Some(UnixMs(1_763_622_005_000)), "{spool:?}");

    server.kill_and_restart().await;
    until_handed_on(&queue).await;
    append(&queue, 60..70).await;
    assert_eq!(queue.spool().unwrap().entries, 0);
    assert!(!queue.spool().unwrap().is_away);
    assert_eq!(read_all(&server.queue()).await, set(0..70));
    queue.close().await;
}

#[tokio::test]
async fn a_silent_redis_holds_up_one_append_and_not_each() {
    let (server, dir) = (Server::start(&[]).await, tempfile::tempdir().unwrap());
    let queue = start(&server.config(), EmbeddedConfig::new(dir.path())).await;
    append(&queue, 0..5).await;
    server.signal("STOP");
    let started = Instant::now();
    append(&queue, 5..6).await;
    assert!(started.elapsed() < APPEND_TIMEOUT + AT_ONCE, "{:?}", started.elapsed());
    for number in 6..40 {
        let started = Instant::now();
        append(&queue, number..number + 1).await;
        assert!(started.elapsed() < AT_ONCE, "{:?}", started.elapsed());
    }
    server.signal("CONT");
    until_handed_on(&queue).await;
    // What it had been sent before it fell silent may stand there twice.
    assert_eq!(read_all(&server.queue()).await, set(0..40));
    queue.close().await;
}

#[tokio::test]
async fn a_redis_that_is_away_from_the_start_is_bridged_too() {
    let (mut server, dir) = (Server::start(&[]).await, tempfile::tempdir().unwrap());
    server.signal("KILL");
    let queue = start(&server.config(), EmbeddedConfig::new(dir.path())).await;
    append(&queue, 0..5).await;
    server.kill_and_restart().await;
    until_handed_on(&queue).await;
    assert_eq!(read_all(&server.queue()).await, set(0..5));
    queue.close().await;
}

#[tokio::test]
async fn a_full_redis_is_refused_and_not_spooled() {
    let (server, dir) = (Server::start(&[]).await, tempfile::tempdir().unwrap());
    let bytes = EncodedEnvelope::encode(&envelope(0, 100)).unwrap().json().len() as u64;
    let config = RedisConfig { backlog_bytes_max: 3 * bytes + bytes / 2, ..server.config() };
    let queue = start(&config, EmbeddedConfig::new(dir.path())).await;
    append(&queue, 0..3).await;
    let refused = queue.append(&envelope(3, 100)).await;
    assert!(matches!(refused, Err(QueueError::Full { .. })), "{refused:?}");

    let _: String = server.command("", &["CONFIG", "SET", "maxmemory", "1"]).await.unwrap();
    let refused = queue.append(&envelope(3, 100)).await;
    assert!(matches!(refused, Err(QueueError::Full { .. })), "{refused:?}");
    let spool = queue.spool().unwrap();
    assert!(spool.entries == 0 && !spool.is_away, "{spool:?}");
    queue.close().await;
}

#[tokio::test]
async fn a_full_spool_refuses_until_redis_is_back() {
    let (mut server, dir) = (Server::start(&[]).await, tempfile::tempdir().unwrap());
    let bytes = EncodedEnvelope::encode(&envelope(0, 100)).unwrap().json().len() as u64;
    let spool =
        EmbeddedConfig { backlog_bytes_max: 3 * bytes + bytes / 2, ..EmbeddedConfig::new(dir.path()) };
    let queue = start(&server.config(), spool).await;
    server.signal("KILL");
    append(&queue, 0..3).await;
    let refused = queue.append(&envelope(3, 100)).await;
    assert!(matches!(refused, Err(QueueError::Full { .. })), "{refused:?}");
    server.kill_and_restart().await;
    until_handed_on(&queue).await;
    append(&queue, 3..6).await;
    assert_eq!(read_all(&server.queue()).await, set(0..6));
    queue.close().await;
}

/// What a crash leaves: the files, with the last record torn.
#[tokio::test]
async fn what_a_dead_collector_spooled_is_handed_on_by_the_next_and_what_is_torn_is_kept() {
    let (mut server, dir) = (Server::start(&[]).await, tempfile::tempdir().unwrap());
    server.signal("KILL");
    let dead = start(&server.config(), EmbeddedConfig::new(dir.path())).await;
    append(&dead, 0..30).await;
    let left = tempfile::tempdir().unwrap();
    for path in segments(dir.path()) {
        std::fs::copy(&path, left.path().join(path.file_name().unwrap())).unwrap();
    }
    let segment = segments(left.path()).pop().unwrap();
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes.extend_from_slice(b"TMQ1 and then the power went");
    std::fs::write(&segment, bytes).unwrap();
    drop(dead);

    server.kill_and_restart().await;
    let queue = start(&server.config(), EmbeddedConfig::new(left.path())).await;
    until_handed_on(&queue).await;
    assert_eq!(read_all(&server.queue()).await, set(0..30));
    let files = std::fs::read_dir(left.path()).unwrap().map(|file| file.unwrap().path());
    let quarantined: Vec<_> = files.filter(|path| path.to_string_lossy().ends_with(".quarantine")).collect();
    assert_eq!(quarantined.len(), 1);
    assert_eq!(std::fs::read(&quarantined[0]).unwrap(), b"TMQ1 and then the power went");
    queue.close().await;
}

#[tokio::test]
async fn an_envelope_that_the_disk_damaged_keeps_no_other_from_being_handed_on() {
    let (mut server, dir) = (Server::start(&[]).await, tempfile::tempdir().unwrap());
    server.signal("KILL");
    let queue = start(&server.config(), EmbeddedConfig::new(dir.path())).await;
    // More than are handed on at once: the last one waits on the disk.
    append(&queue, 0..100).await;
    let segment = segments(dir.path()).pop().unwrap();
    let mut bytes = std::fs::read(&segment).unwrap();
    let last = bytes.len() - 40;
    bytes[last] ^= 0x20;
    std::fs::write(&segment, bytes).unwrap();
    server.kill_and_restart().await;
    until_handed_on(&queue).await;
    assert_eq!(read_all(&server.queue()).await, set(0..99));
    assert_eq!(queue.spool().unwrap().damaged, 1);
    queue.close().await;
}
