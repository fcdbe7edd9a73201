//! A redis-server of a test's own, and envelopes to put into it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, RedisResult};
use tallymark_protocol::{Context, Place, UnixMs};
use tallymark_queue::{
    BatchLimit, Delivery, ENTRY_VERSION, Handle, Queue, QueueError, QueuedEnvelope, RedisConfig, RedisQueue,
};
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

/// How long coming back may take.
const BACK_WITHIN: Duration = Duration::from_secs(15);

/// A server, stopped when it is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    settings: Vec<String>,
    dir: TempDir,
    process: Child,
}

impl Server {
    /// Starts one that has each write on disk before it answers, with `settings` like `--maxmemory 3mb`.
    pub(crate) async fn start(settings: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let settings: Vec<String> = settings.iter().map(|&setting| setting.to_owned()).collect();
        let process = spawn(address, &settings, dir.path());
        let server = Self { address, settings, dir, process };
        server.until_up().await;
        server
    }

    /// As `kill -9` does, and what was on disk is there again.
    pub(crate) async fn kill_and_restart(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.process = spawn(self.address, &self.settings, self.dir.path());
        self.until_up().await;
    }

    /// Sends the process a signal by its name, like `STOP`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.process.id().to_string()).status();
        assert!(sent.unwrap().success());
    }

    /// A file beside the server's own.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn config(&self) -> RedisConfig {
        config(&format!("redis://{}/", self.address))
    }

    pub(crate) fn queue(&self) -> RedisQueue {
        RedisQueue::new(&self.config()).unwrap()
    }

    /// Runs a command beside the queue. `login` is empty or like `:password@`.
    pub(crate) async fn command<T: FromRedisValue>(&self, login: &str, words: &[&str]) -> RedisResult<T> {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.query_async(&mut self.connect(login).await?).await
    }

    async fn connect(&self, login: &str) -> RedisResult<MultiplexedConnection> {
        let client = redis::Client::open(format!("redis://{login}{}/", self.address))?;
        client.get_multiplexed_async_connection().await
    }

    /// Until it answers anything at all: that a password is missing, too.
    async fn until_up(&self) {
        let up = timeout(BACK_WITHIN, async {
            while !self.answers().await {
                sleep(Duration::from_millis(10)).await;
            }
        });
        up.await.expect("the server starts");
    }

    async fn answers(&self) -> bool {
        match self.command::<String>("", &["PING"]).await {
            Ok(_) => true,
            Err(error) => !error.is_io_error() && error.code() != Some("LOADING"),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spawn(address: SocketAddr, settings: &[String], dir: &Path) -> Child {
    Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--port", &address.port().to_string(), "--save", ""])
        .args(["--appendonly", "yes", "--appendfsync", "always", "--dir"])
        .arg(dir)
        .args(settings.iter().flat_map(|setting| setting.split(' ')))
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server is installed")
}

pub(crate) fn config(url: &str) -> RedisConfig {
    let mut config = RedisConfig::new(url);
    config.link.response_timeout = Duration::from_millis(500);
    config
}

/// An envelope without events, of `bytes` or so.
pub(crate) fn envelope(number: u128, bytes: usize) -> QueuedEnvelope {
    QueuedEnvelope {
        v: ENTRY_VERSION,
        envelope_id: Uuid::from_u128(number),
        project_id: 7,
        received_at: UnixMs(1_763_622_005_000),
        received: 0,
        from_browser: false,
        user_agent: Some("a".repeat(bytes)),
        place: Place::default(),
        address: None,
        context: Context::default(),
        rejected: Vec::new(),
        events: Vec::new(),
    }
}

/// Does something until it succeeds, for as long as coming back may take.
pub(crate) async fn until_ok<T, Work>(mut work: impl FnMut() -> Work) -> T
where
    Work: Future<Output = Result<T, QueueError>>,
{
    let started_at = Instant::now();
    loop {
        match work().await {
            Ok(done) => return done,
            Err(error) => assert!(started_at.elapsed() < BACK_WITHIN, "it does not come back: {error:?}"),
        }
        sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) fn numbers(deliveries: &[Delivery]) -> BTreeSet<u128> {
    deliveries.iter().map(|delivery| delivery.envelope.as_ref().unwrap().envelope_id.as_u128()).collect()
}

pub(crate) fn handles(deliveries: &[Delivery]) -> Vec<Handle> {
    deliveries.iter().map(|delivery| delivery.handle).collect()
}

pub(crate) async fn read_now(queue: &RedisQueue) -> Vec<Delivery> {
    until_ok(async || queue.read(BatchLimit::default(), Duration::ZERO).await).await
}
