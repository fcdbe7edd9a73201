//! A collector on a port of its own, with an embedded queue in a directory of its own.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::Value;
use tallymark_collector::{
    Collector, CollectorConfig, ManualClock, ServeConfig, Surroundings, router, serve,
};
use tallymark_protocol::settings::ProjectSettings;
use tallymark_protocol::{UnixMs, WriteKey};
use tallymark_queue::{BatchLimit, EmbeddedConfig, EmbeddedQueue, Queue, QueuedEnvelope};
use tallymark_registry::{LocalRateTokens, Registry, RegistryError, Salt, Salts};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub(crate) const KEY: &str = "wk_0123456789abcdefghijklmn";
/// Close to the time inside the tests' event ids.
pub(crate) const NOW: UnixMs = UnixMs(1_719_000_000_000);

/// What a test may set.
pub(crate) struct Setup {
    pub(crate) backlog_bytes_max: u64,
    pub(crate) project: ProjectSettings,
    pub(crate) config: CollectorConfig,
    pub(crate) serving: ServeConfig,
}

impl Default for Setup {
    fn default() -> Self {
        let config =
            CollectorConfig { body_timeout: Duration::from_millis(500), ..CollectorConfig::default() };
        let project = ProjectSettings::new(7, 1);
        Self { backlog_bytes_max: 1 << 24, project, config, serving: ServeConfig::default() }
    }
}

pub(crate) struct World {
    pub(crate) collector: Collector,
    pub(crate) queue: Arc<EmbeddedQueue>,
    pub(crate) registry: Arc<OneProject>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) address: SocketAddr,
    pub(crate) shutdown: CancellationToken,
    pub(crate) server: JoinSet<()>,
    client: Client,
    _dir: TempDir,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(Setup::default()).await
    }

    pub(crate) async fn with_backlog(backlog_bytes_max: u64) -> Self {
        Self::with(Setup { backlog_bytes_max, ..Setup::default() }).await
    }

    pub(crate) async fn with_project(change: impl FnOnce(&mut ProjectSettings)) -> Self {
        let mut setup = Setup::default();
        change(&mut setup.project);
        Self::with(setup).await
    }

    pub(crate) async fn with(setup: Setup) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config =
            EmbeddedConfig { backlog_bytes_max: setup.backlog_bytes_max, ..EmbeddedConfig::new(dir.path()) };
        let queue = Arc::new(EmbeddedQueue::open(config).await.unwrap());
        let registry = Arc::new(OneProject { is_away: AtomicBool::new(false), project: setup.project });
        let clock = Arc::new(ManualClock::new(NOW));
        let collector = Collector::new(
            setup.config,
            Surroundings {
                queue: queue.clone(),
                registry: registry.clone(),
                tokens: Arc::new(LocalRateTokens::new()),
                salts: Arc::new(OneSalt),
                places: Arc::default(),
                clock: clock.clone(),
            },
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (mut server, shutdown) = (JoinSet::new(), CancellationToken::new());
        let (app, stop) = (router(collector.clone()), shutdown.clone().cancelled_owned());
        server.spawn(async move { serve(listener, app, &setup.serving, stop).await });
        let client = Client::new();
        Self { collector, queue, registry, clock, address, shutdown, server, client, _dir: dir }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.address))
    }

    pub(crate) fn capture(&self, body: String) -> RequestBuilder {
        self.request(Method::POST, &format!("/capture?write_key={KEY}")).body(body)
    }

    /// Everything in the queue that was not read yet.
    pub(crate) async fn queued(&self) -> Vec<QueuedEnvelope> {
        let deliveries = self.queue.read(BatchLimit::default(), Duration::ZERO).await.unwrap();
        deliveries.into_iter().map(|delivery| delivery.envelope.unwrap()).collect()
    }

    pub(crate) async fn connect(&self, rest: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let head = format!("POST /capture?write_key={KEY} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
        stream.write_all((head + rest).as_bytes()).await.unwrap();
        stream
    }

    /// Sends the rest of a request as it stands and reads whatever is answered.
    pub(crate) async fn send_raw(&self, rest: &str) -> String {
        let mut answer = String::new();
        self.connect(rest).await.read_to_string(&mut answer).await.unwrap();
        answer
    }

    pub(crate) async fn send_and_hang_up(&self, body: &str) {
        drop(self.connect(&format!("content-length: {}\r\n\r\n{body}", body.len())).await);
    }
}

/// A response, taken apart.
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: BTreeMap<String, String>,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) async fn of(response: Response) -> Self {
        let status = response.status().as_u16();
        let text = |(name, value): (&reqwest::header::HeaderName, &reqwest::header::HeaderValue)| {
            (name.to_string(), value.to_str().unwrap().to_owned())
        };
        let headers = response.headers().iter().map(text).collect();
        let body = response.text().await.unwrap();
        Self { status, headers, body: serde_json::from_str(&body).unwrap_or(Value::Null) }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// A registry that knows [`KEY`], and can be away.
pub(crate) struct OneProject {
    is_away: AtomicBool,
    project: ProjectSettings,
}

impl OneProject {
    pub(crate) fn set_away(&self, is_away: bool) {
        self.is_away.store(is_away, Ordering::Relaxed);
    }
}

#[async_trait]
impl Registry for OneProject {
    async fn project_by_write_key(
        &self,
        write_key: WriteKey<'_>,
    ) -> Result<Option<Arc<ProjectSettings>>, RegistryError> {
        if self.is_away.load(Ordering::Relaxed) {
            return Err(RegistryError::Unavailable("away".into()));
        }
        Ok((write_key.as_str() == KEY).then(|| Arc::new(self.project.clone())))
    }
}

/// The same salt for every day.
struct OneSalt;

impl Salts for OneSalt {
    fn salt(&self, _day: i32) -> Option<Salt> {
        Some(Salt([7; 32]))
    }
}
