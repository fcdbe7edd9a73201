//! What happens to a Redis in the years that a queue uses it, each with a redis-server of its own: restarts,
//! new passwords, TLS, failovers, silence, no memory left. None of it needs a restart of ours, and none costs an
//! acknowledged envelope.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "redis/server.rs"]
mod server;
#[path = "redis/spool.rs"]
mod spool;
#[path = "redis/tls.rs"]
mod tls;
#[path = "redis/wire.rs"]
mod wire;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tallymark_queue::{AppendFsync, BatchLimit, Durability, Queue, QueueError, RedisQueue};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::server::{Server, config, envelope, handles, numbers, read_now, until_ok};
use crate::wire::Wire;

/// Longer than anything here takes: who waits this long was not woken.
const LONG: Duration = Duration::from_secs(20);

fn is_unavailable<T>(answer: &Result<T, QueueError>) -> bool {
    matches!(answer, Err(QueueError::Unavailable { .. }))
}

/// Appends from several callers at once, each until its number is acknowledged. Answers once `while_it_goes` is done and
/// all are.
async fn append_under(queue: &Arc<RedisQueue>, count: u128, while_it_goes: impl Future<Output = ()>) {
    let mut callers = JoinSet::new();
    for caller in 0..4 {
        let queue = Arc::clone(queue);
        callers.spawn(async move {
            for number in (caller..count).step_by(4) {
                until_ok(async || queue.append(&envelope(number, 10)).await).await;
            }
        });
    }
    while_it_goes.await;
    timeout(LONG, callers.join_all()).await.expect("appends go on");
}

async fn read_all(queue: &RedisQueue) -> BTreeSet<u128> {
    let mut seen = BTreeSet::new();
    loop {
        let mut deliveries = read_now(queue).await;
        deliveries
            .extend(until_ok(async || queue.reclaim(BatchLimit::default(), Duration::ZERO).await).await);
        if deliveries.is_empty() {
            return seen;
        }
        seen.extend(numbers(&deliveries));
        until_ok(async || queue.ack(&handles(&deliveries)).await).await;
    }
}

#[tokio::test]
async fn a_server_killed_under_load_keeps_what_it_acknowledged() {
    let mut server = Server::start(&[]).await;
    let queue = Arc::new(server.queue());
    append_under(&queue, 2_000, async {
        for _ in 0..3 {
            sleep(Duration::from_millis(50)).await;
            server.kill_and_restart().await;
        }
    })
    .await;
    assert_eq!(read_all(&queue).await, (0..2_000).collect());
    assert_eq!(queue.backlog().await.unwrap().bytes, 0);
}

#[tokio::test]
async fn a_new_password_needs_no_restart() {
    let server = Server::start(&["--requirepass old"]).await;
    let file = server.file("password");
    std::fs::write(&file, "old\n").unwrap();
    let mut config = server.config();
    config.link.password_file = Some(file.clone());
    let queue = RedisQueue::new(&config).unwrap();
    queue.append(&envelope(1, 10)).await.unwrap();
    assert_eq!(read_now(&queue).await.len(), 1);

    let _: () = server.command(":old@", &["CONFIG", "SET", "requirepass", "new"]).await.unwrap();
    queue.append(&envelope(2, 10)).await.expect("whoever is logged in stays so");
    let _: () = server.command(":new@", &["CLIENT", "KILL", "TYPE", "normal"]).await.unwrap();
    let refused = queue.append(&envelope(3, 10)).await;
    assert!(is_unavailable(&refused), "the file still holds the old password: {refused:?}");

    std::fs::write(&file, "new").unwrap();
    until_ok(async || queue.append(&envelope(4, 10)).await).await;
    let waited = until_ok(async || queue.read(BatchLimit::default(), LONG).await).await;
    assert_eq!(numbers(&waited), BTreeSet::from([2, 4]));
    assert!(
        until_ok(async || queue.read(BatchLimit::default(), Duration::from_millis(10)).await)
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn a_server_with_tls_is_reached_through_its_authority_and_no_other() {
    let certificates = tls::Certificates::make();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let folder = certificates.folder().display();
    let server = Server::start(&[
        &format!("--tls-port {port} --tls-auth-clients no --tls-ca-cert-file {folder}/ca.pem"),
        &format!("--tls-cert-file {folder}/server.pem --tls-key-file {folder}/server.key"),
    ])
    .await;
    let queue = |ca: Option<PathBuf>| {
        let mut config = config(&format!("rediss://localhost:{port}/"));
        config.link.ca_file = ca;
        RedisQueue::new(&config).unwrap()
    };
    let known = queue(Some(certificates.folder().join("ca.pem")));
    known.append(&envelope(1, 10)).await.unwrap();
    assert_eq!(numbers(&known.read(BatchLimit::default(), LONG).await.unwrap()), BTreeSet::from([1]));
    let stranger = queue(Some(certificates.folder().join("other.pem")));
    assert!(is_unavailable(&stranger.append(&envelope(2, 10)).await));
    assert!(
        is_unavailable(&queue(None).append(&envelope(3, 10)).await),
        "no public authority vouches for it"
    );
    assert_eq!(server.queue().backlog().await.unwrap().entries, 1);
}

#[tokio::test]
async fn a_failover_is_followed_by_who_appends_and_who_waits() {
    let copied_at_once = ["--repl-diskless-sync-delay 0"];
    let (first, second) = (Server::start(&copied_at_once).await, Server::start(&copied_at_once).await);
    let port = |server: &Server| server.address.port().to_string();
    let name = Wire::to(first.address).await;
    let queue = || Arc::new(RedisQueue::new(&config(&format!("redis://{}/", name.address))).unwrap());
    let (collector, processor) = (queue(), queue());
    collector.append(&envelope(0, 10)).await.unwrap();
    assert_eq!(numbers(&read_now(&processor).await), BTreeSet::from([0]));
    let _: () = second.command("", &["REPLICAOF", "127.0.0.1", &port(&first)]).await.unwrap();
    let copied =
        timeout(LONG, async { while first.command::<i64>("", &["WAIT", "1", "100"]).await.unwrap() < 1 {} });
    copied.await.expect("the second one is a copy of the first");

    let waiting = async {
        let mut seen = BTreeSet::new();
        while seen.len() < 200 {
            let deliveries = until_ok(async || processor.read(BatchLimit::default(), LONG).await).await;
            seen.extend(numbers(&deliveries));
        }
        seen
    };
    let failing_over = async {
        until_blocked(&first).await;
        name.lead_to(second.address); // open connections stay with the first one, which lives on
        let _: () = second.command("", &["REPLICAOF", "NO", "ONE"]).await.unwrap();
        let _: () = first.command("", &["REPLICAOF", "127.0.0.1", &port(&second)]).await.unwrap();
        for number in 1..=200 {
            until_ok(async || collector.append(&envelope(number, 10)).await).await;
        }
    };
    let (seen, ()) = timeout(LONG, async { tokio::join!(waiting, failing_over) }).await.expect("both go on");
    assert_eq!(seen, (1..=200).collect());
    let pending = until_ok(async || processor.reclaim(BatchLimit::default(), Duration::ZERO).await).await;
    assert!(numbers(&pending).contains(&0), "what was acknowledged before is with the second one");
}

/// Until a reader waits on `server`.
async fn until_blocked(server: &Server) {
    let blocked = timeout(LONG, async {
        while !server.command::<String>("", &["INFO", "clients"]).await.unwrap().contains("blocked_clients:1")
        {
            sleep(Duration::from_millis(10)).await;
        }
    });
    blocked.await.expect("a reader waits");
}

#[tokio::test]
async fn a_server_that_is_stopped_is_unavailable_and_comes_back() {
    let server = Server::start(&[]).await;
    let queue = Arc::new(server.queue());
    queue.append(&envelope(0, 10)).await.unwrap();
    server.signal("STOP");
    let cut_off: Vec<_> = (1..=20).map(|number| append_once(&queue, number)).collect();
    for append in cut_off {
        let answer = timeout(LONG, append).await.expect("answers have a time limit");
        assert!(is_unavailable(&answer), "nobody knows what became of it: {answer:?}");
    }
    assert!(is_unavailable(
        &timeout(LONG, queue.read(BatchLimit::default(), LONG)).await.expect("no wait in vain")
    ));
    server.signal("CONT");
    append_under(&queue, 100, async {}).await;
    assert!(read_all(&queue).await.is_superset(&(0..100).collect()));

    let _: () = server.command("", &["CLIENT", "PAUSE", "1200", "ALL"]).await.unwrap();
    assert!(is_unavailable(&queue.append(&envelope(200, 10)).await));
    until_ok(async || queue.append(&envelope(201, 10)).await).await;
    assert!(read_all(&queue).await.contains(&201));
}

/// An append under way: begun when it is called, not when it is waited for.
fn append_once(
    queue: &Arc<RedisQueue>,
    number: u128,
) -> impl Future<Output = Result<(), QueueError>> + use<> {
    let (queue, mut task) = (Arc::clone(queue), JoinSet::new());
    task.spawn(async move { queue.append(&envelope(number, 10)).await });
    async move { task.join_next().await.unwrap().unwrap() }
}

#[tokio::test]
async fn a_server_at_its_maxmemory_is_full_and_loses_nothing() {
    let server = Server::start(&["--maxmemory 4mb --maxmemory-policy noeviction"]).await;
    let queue = server.queue();
    let mut taken = BTreeSet::new();
    let refused = loop {
        let number = taken.len() as u128;
        match queue.append(&envelope(number, 50_000)).await {
            Ok(()) => taken.insert(number),
            Err(error) => break error,
        };
    };
    assert!(matches!(refused, QueueError::Full { .. }), "{refused:?}");
    assert!(taken.len() > 10, "{} fit into 4 MB", taken.len());
    let bytes = queue.backlog().await.unwrap().bytes;
    assert!(bytes >= 50_000 * taken.len() as u64, "{bytes}");
    let _: () = server.command("", &["CONFIG", "SET", "maxmemory", "0"]).await.unwrap();
    assert_eq!(read_all(&queue).await, taken);
    queue.append(&envelope(1_000, 10)).await.unwrap();
}

#[tokio::test]
async fn scripts_that_were_forgotten_are_sent_again() {
    let server = Server::start(&[]).await;
    let queue = Arc::new(server.queue());
    append_under(&queue, 400, async {
        for _ in 0..5 {
            let _: () = server.command("", &["SCRIPT", "FLUSH"]).await.unwrap();
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let _: () = server.command("", &["SCRIPT", "FLUSH"]).await.unwrap();
    assert_eq!(read_all(&queue).await, (0..400).collect());
}

#[tokio::test]
async fn appends_that_wait_share_a_script_and_each_has_its_own_answer() {
    let server = Server::start(&[]).await;
    let bytes = tallymark_queue::EncodedEnvelope::encode(&envelope(100, 10)).unwrap().json().len() as u64;
    let config = tallymark_queue::RedisConfig { backlog_bytes_max: bytes * 50, ..server.config() };
    let queue = Arc::new(RedisQueue::new(&config).unwrap());
    server.signal("STOP");
    let appends: Vec<_> = (100..300).map(|number| append_once(&queue, number)).collect();
    tokio::task::yield_now().await;
    server.signal("CONT");
    let (mut taken, mut refused) = (BTreeSet::new(), 0);
    for (number, append) in (100..).zip(appends) {
        match append.await {
            Ok(()) => assert!(taken.insert(number)),
            Err(QueueError::Full { .. }) => refused += 1,
            Err(error) => panic!("{error:?}"),
        }
    }
    assert_eq!((taken.len(), refused), (50, 150), "as many as fit, and the others know");
    assert_eq!(read_all(&queue).await, taken);
    let calls: String = server.command("", &["INFO", "commandstats"]).await.unwrap();
    let scripts: usize = calls
        .lines()
        .find_map(|line| line.strip_prefix("cmdstat_evalsha:calls=")?.split(',').next()?.parse().ok())
        .unwrap();
    assert!(scripts < 50, "{scripts} scripts for 200 appends, and to read them");
}

#[tokio::test]
async fn a_server_says_what_an_acknowledgement_is_worth() {
    let server = Server::start(&["--requirepass all"]).await;
    let facts = async |login: &str| {
        let queue = RedisQueue::new(&config(&format!("redis://{login}{}/", server.address))).unwrap();
        queue.facts().await.unwrap()
    };
    let set = async |name: &str, value: &str| {
        let _: () = server.command(":all@", &["CONFIG", "SET", name, value]).await.unwrap();
    };
    let well = facts(":all@").await;
    assert!(well.is_supported && !well.is_replica && !well.is_cluster && !well.evicts(), "{well:?}");
    assert_eq!((well.append_fsync, well.durability()), (Some(AppendFsync::Always), Durability::Kept));
    assert!(well.memory_used_bytes > 100_000, "{well:?}");

    set("appendfsync", "everysec").await;
    assert_eq!(facts(":all@").await.durability(), Durability::LosesASecond);
    let rule = ["ACL", "SETUSER", "managed", "on", ">managed", "~*", "+@all", "-config"];
    let _: () = server.command(":all@", &rule).await.unwrap();
    assert_eq!(facts("managed:managed@").await.durability(), Durability::Unknown);
    set("appendonly", "no").await;
    assert_eq!(facts(":all@").await.durability(), Durability::LosesAll);
    set("maxmemory", "1gb").await;
    set("maxmemory-policy", "allkeys-lru").await;
    assert!(facts(":all@").await.evicts());
    set("maxmemory-policy", "volatile-lru").await;
    let volatile = facts(":all@").await;
    assert!(!volatile.evicts() && volatile.evicts_expiring(), "{volatile:?}");
}
