//! A place of a test's own in the tests' Redis, and a wire to it that can be cut.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use redis::FromRedisValue;
use redis::aio::MultiplexedConnection;
use tallymark_protocol::UnixMs;
use tallymark_registry::{LinkConfig, Now, RedisConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// How long something may take that takes a second or two.
const PATIENCE: Duration = Duration::from_secs(15);

/// A prefix that no other test uses.
pub(crate) struct Place {
    pub(crate) url: String,
    pub(crate) prefix: String,
}

impl Place {
    #[expect(clippy::disallowed_methods, reason = "tests are told where their Redis is by the environment")]
    pub(crate) fn new() -> Self {
        let url = std::env::var("TALLYMARK_TEST_REDIS_URL").expect(
            "TALLYMARK_TEST_REDIS_URL is not set: run `cargo xtask test`, which starts a Redis for the tests",
        );
        Self { url, prefix: format!("tallymark-test:{:016x}:", getrandom::u64().unwrap()) }
    }

    pub(crate) fn config(&self) -> RedisConfig {
        self.config_at(&self.url)
    }

    pub(crate) fn config_over(&self, wire: &Wire) -> RedisConfig {
        self.config_at(&format!("redis://{}/", wire.address))
    }

    fn config_at(&self, url: &str) -> RedisConfig {
        let mut link = LinkConfig::new(url);
        link.response_timeout = Duration::from_secs(2);
        RedisConfig { link, prefix: self.prefix.clone() }
    }

    /// A key of the registry's.
    pub(crate) fn key(&self, name: &str) -> String {
        format!("{}{{registry}}:{name}", self.prefix)
    }

    /// The names of all keys in this place.
    pub(crate) async fn keys(&self) -> Vec<String> {
        self.ask(redis::cmd("KEYS").arg(format!("{}*", self.prefix))).await
    }

    pub(crate) async fn ask<T: FromRedisValue>(&self, command: &redis::Cmd) -> T {
        command.query_async(&mut self.redis().await).await.unwrap()
    }

    async fn redis(&self) -> MultiplexedConnection {
        let client = redis::Client::open(self.url.as_str()).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }
}

/// Waits until `what` holds.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("not within {} s: {what}", PATIENCE.as_secs()));
}

/// A clock that stands until it is moved. Clones are the same one.
#[derive(Clone)]
pub(crate) struct StandingClock(Arc<AtomicI64>);

impl StandingClock {
    pub(crate) fn at(now: UnixMs) -> Self {
        Self(Arc::new(AtomicI64::new(now.0)))
    }

    pub(crate) fn set(&self, now: UnixMs) {
        self.0.store(now.0, Ordering::SeqCst);
    }

    pub(crate) fn now(&self) -> UnixMs {
        UnixMs(self.0.load(Ordering::SeqCst))
    }

    pub(crate) fn asked(&self) -> Now {
        let clock = self.clone();
        Arc::new(move || clock.now())
    }
}

/// A wire to the tests' Redis that can be cut.
pub(crate) struct Wire {
    address: SocketAddr,
    redis: String,
    tasks: JoinSet<()>,
}

impl Wire {
    pub(crate) async fn to(place: &Place) -> Self {
        let redis = place.url.trim_start_matches("redis://").split('/').next().unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut wire = Self { address: listener.local_addr().unwrap(), redis, tasks: JoinSet::new() };
        wire.serve(listener, Some(wire.redis.clone()));
        wire
    }

    /// Passes on to `redis`, or reads and never answers.
    fn serve(&mut self, listener: TcpListener, redis: Option<String>) {
        self.tasks.spawn(async move {
            let mut pipes = JoinSet::new();
            loop {
                let (mut inner, _) = listener.accept().await.unwrap();
                let redis = redis.clone();
                pipes.spawn(async move {
                    match redis {
                        Some(redis) => {
                            let mut outer = TcpStream::connect(redis).await.unwrap();
                            let _ = tokio::io::copy_bidirectional(&mut inner, &mut outer).await;
                        }
                        None => {
                            let _ = tokio::io::copy(&mut inner, &mut tokio::io::sink()).await;
                        }
                    }
                });
            }
        });
    }

    pub(crate) async fn cut(&mut self) {
        self.tasks.shutdown().await;
    }

    pub(crate) async fn mend(&mut self) {
        self.cut().await;
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.serve(listener, Some(self.redis.clone()));
    }

    pub(crate) async fn fall_silent(&mut self) {
        self.cut().await;
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.serve(listener, None);
    }
}
