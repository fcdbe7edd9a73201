//! A Redis that goes away, falls silent, comes back empty or forgets scripts and groups: none of it needs a
//! restart of ours.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use redis::streams::StreamInfoConsumersReply;
use tallymark_protocol::{Context, Place, UnixMs};
use tallymark_queue::{
    Backlog, BatchLimit, Delivery, ENTRY_VERSION, Handle, Queue, QueueError, QueuedEnvelope, RedisConfig,
    RedisQueue,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

const NO_WAIT: Duration = Duration::ZERO;
const LONG: Duration = Duration::from_secs(20);

/// A wire to the tests' Redis that can be cut.
struct Wire {
    address: SocketAddr,
    redis: String,
    prefix: String,
    tasks: JoinSet<()>,
}

impl Wire {
    #[expect(clippy::disallowed_methods, reason = "tests are told where their Redis is by the environment")]
    async fn new() -> Self {
        let url = std::env::var("TALLYMARK_TEST_REDIS_URL").expect(
            "TALLYMARK_TEST_REDIS_URL is not set: run `cargo xtask test`, which starts a Redis for the tests",
        );
        let redis = url.trim_start_matches("redis://").split('/').next().unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let prefix = format!("tallymark-test:{:016x}:", getrandom::u64().unwrap());
        let mut wire = Self { address, redis, prefix, tasks: JoinSet::new() };
        wire.serve(listener, true);
        wire
    }

    fn serve(&mut self, listener: TcpListener, passes_on: bool) {
        let redis = self.redis.clone();
        self.tasks.spawn(async move {
            let mut pipes = JoinSet::new();
            loop {
                let (mut inner, _) = listener.accept().await.unwrap();
                let redis = redis.clone();
                pipes.spawn(async move {
                    if passes_on {
                        let mut outer = TcpStream::connect(redis).await.unwrap();
                        let _ = tokio::io::copy_bidirectional(&mut inner, &mut outer).await;
                    } else {
                        let _ = tokio::io::copy(&mut inner, &mut tokio::io::sink()).await;
                    }
                });
            }
        });
    }

    async fn cut(&mut self) {
        self.tasks.shutdown().await;
    }

    async fn mend(&mut self) {
        self.cut().await;
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.serve(listener, true);
    }

    async fn fall_silent(&mut self) {
        self.cut().await;
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.serve(listener, false);
    }

    fn queue(&self) -> RedisQueue {
        let mut config = RedisConfig::new(format!("redis://{}/", self.address));
        config.prefix.clone_from(&self.prefix);
        config.link.response_timeout = Duration::from_millis(500);
        RedisQueue::new(&config).unwrap()
    }

    /// A connection beside the wire.
    async fn redis(&self) -> redis::aio::MultiplexedConnection {
        let client = redis::Client::open(format!("redis://{}/", self.redis)).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }

    fn stream(&self) -> String {
        format!("{}events:{{0}}", self.prefix)
    }
}

fn envelope(number: u128) -> QueuedEnvelope {
    QueuedEnvelope {
        v: ENTRY_VERSION,
        envelope_id: Uuid::from_u128(number),
        project_id: 7,
        received_at: UnixMs(1_763_622_005_000),
        received: 0,
        from_browser: false,
        user_agent: None,
        place: Place::default(),
        address: None,
        context: Context::default(),
        rejected: Vec::new(),
        events: Vec::new(),
    }
}

/// Does something until it succeeds, for as long as coming back may take.
async fn until_ok<T>(mut work: impl AsyncFnMut() -> Result<T, QueueError>) -> T {
    let tried = timeout(Duration::from_secs(10), async {
        loop {
            if let Ok(done) = work().await {
                return done;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    tried.await.expect("the queue comes back when Redis does")
}

fn numbers(deliveries: &[Delivery]) -> BTreeSet<u128> {
    deliveries.iter().map(|delivery| delivery.envelope.as_ref().unwrap().envelope_id.as_u128()).collect()
}

fn handles(deliveries: &[Delivery]) -> Vec<Handle> {
    deliveries.iter().map(|delivery| delivery.handle).collect()
}

async fn read(queue: &RedisQueue) -> Vec<Delivery> {
    queue.read(BatchLimit::default(), NO_WAIT).await.unwrap()
}

#[tokio::test]
async fn a_redis_that_goes_away_and_comes_back_is_survived() {
    let mut wire = Wire::new().await;
    let queue = wire.queue();
    queue.append(&envelope(1)).await.unwrap();
    wire.cut().await;
    let started = Instant::now();
    assert!(matches!(queue.append(&envelope(2)).await, Err(QueueError::Unavailable { .. })));
    assert!(matches!(queue.read(BatchLimit::default(), LONG).await, Err(QueueError::Unavailable { .. })));
    assert!(queue.backlog().await.is_err());
    assert!(started.elapsed() < Duration::from_secs(3), "it says so at once");
    wire.mend().await;
    until_ok(async || queue.append(&envelope(3)).await).await;
    let seen = numbers(&read(&queue).await);
    assert!(seen.is_superset(&BTreeSet::from([1, 3])), "{seen:?}");
}

#[tokio::test]
async fn a_restart_between_two_calls_is_not_even_noticed() {
    let mut wire = Wire::new().await;
    let queue = wire.queue();
    queue.append(&envelope(1)).await.unwrap();
    wire.mend().await; // every connection is broken, and new ones work
    queue.append(&envelope(2)).await.unwrap();
    assert_eq!(numbers(&read(&queue).await), BTreeSet::from([1, 2]));
}

#[tokio::test]
async fn a_redis_that_falls_silent_is_unavailable_and_comes_back() {
    let mut wire = Wire::new().await;
    let queue = wire.queue();
    queue.append(&envelope(1)).await.unwrap();
    wire.fall_silent().await;
    let silent = timeout(LONG, queue.append(&envelope(2))).await.expect("answers have a time limit");
    assert!(matches!(silent, Err(QueueError::Unavailable { .. })));
    wire.mend().await;
    until_ok(async || queue.append(&envelope(3)).await).await;
}

#[tokio::test]
async fn a_waiting_reader_whose_connection_breaks_says_so_and_can_read_again() {
    let mut wire = Wire::new().await;
    let queue = wire.queue();
    assert!(read(&queue).await.is_empty());
    let waiting = queue.read(BatchLimit::default(), LONG);
    let cut = async {
        // Until it waits: then it is the only one blocked on this stream.
        tokio::time::sleep(Duration::from_millis(200)).await;
        wire.mend().await;
    };
    let started = Instant::now();
    let (waited, ()) = tokio::join!(waiting, cut);
    assert!(waited.is_err());
    assert!(started.elapsed() < LONG / 2);
    queue.append(&envelope(1)).await.unwrap();
    assert_eq!(numbers(&read(&queue).await), BTreeSet::from([1]));
}

#[tokio::test]
async fn a_lost_group_means_redelivery_and_never_loss() {
    let wire = Wire::new().await;
    let queue = wire.queue();
    for number in 1..4 {
        queue.append(&envelope(number)).await.unwrap();
    }
    let deliveries = read(&queue).await;
    queue.ack(&handles(&deliveries)[..1]).await.unwrap();
    let mut redis = wire.redis().await;
    let mut destroy = redis::cmd("XGROUP");
    let _: () =
        destroy.arg("DESTROY").arg(wire.stream()).arg("processors").query_async(&mut redis).await.unwrap();
    assert!(queue.reclaim(BatchLimit::default(), NO_WAIT).await.unwrap().is_empty());
    assert_eq!(numbers(&read(&queue).await), BTreeSet::from([2, 3]));
}

#[tokio::test]
async fn a_redis_that_comes_back_empty_is_used_as_it_is() {
    let wire = Wire::new().await;
    let queue = wire.queue();
    queue.append(&envelope(1)).await.unwrap();
    let deliveries = read(&queue).await;
    let mut redis = wire.redis().await;
    let keys = [wire.stream(), format!("{}:bytes", wire.stream())];
    let _: () = redis::cmd("DEL").arg(&keys).query_async(&mut redis).await.unwrap();
    let _: () = redis::cmd("SCRIPT").arg("FLUSH").query_async(&mut redis).await.unwrap();
    queue.ack(&handles(&deliveries)).await.unwrap();
    assert_eq!(queue.backlog().await.unwrap(), Backlog::default(), "acking what is gone frees nothing");
    queue.append(&envelope(2)).await.unwrap();
    assert_eq!(numbers(&queue.read(BatchLimit::default(), LONG).await.unwrap()), BTreeSet::from([2]));
}

#[tokio::test]
async fn a_closed_consumer_leaves_the_group_unless_entries_are_pending_with_it() {
    let wire = Wire::new().await;
    let (busy, idle) = (wire.queue(), wire.queue());
    busy.append(&envelope(1)).await.unwrap();
    assert_eq!(read(&busy).await.len(), 1);
    assert!(read(&idle).await.is_empty());
    busy.close().await;
    idle.close().await;
    let mut redis = wire.redis().await;
    let mut consumers = redis::cmd("XINFO");
    consumers.arg("CONSUMERS").arg(wire.stream()).arg("processors");
    let left: StreamInfoConsumersReply = consumers.query_async(&mut redis).await.unwrap();
    assert_eq!(left.consumers.len(), 1);
    assert_eq!(left.consumers[0].pending, 1);
    let other = wire.queue();
    assert_eq!(numbers(&other.reclaim(BatchLimit::default(), NO_WAIT).await.unwrap()), BTreeSet::from([1]));
}

#[tokio::test]
async fn the_server_says_what_it_is() {
    let wire = Wire::new().await;
    let facts = wire.queue().facts().await.unwrap();
    assert!(facts.is_supported, "{facts:?}");
}
