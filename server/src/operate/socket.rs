//! `DATA/admin.sock`: HTTP for commands on the same machine. The directory lets only its owner in.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::extract::{Path as UrlPath, Query, State};
use axum::http::{Method, Request, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tallymark_queue::Queue;
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::dead_letters::{self, Listed, Page, Replay, Replayed, Shown};
use super::status::{QueueStatus, SpoolStatus};
use crate::clock;

const NAME: &str = "admin.sock";
/// How long a command waits for the server's answer: replaying many dead letters takes a while.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// How long commands under way may keep a server that is to stop.
const END_TIMEOUT: Duration = Duration::from_secs(1);

/// What a running server says of itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Live {
    pub(crate) role: String,
    pub(crate) version: String,
    pub(crate) pid: u32,
    pub(crate) started_at: i64,
    pub(crate) is_draining: bool,
    pub(crate) queue: Option<QueueStatus>,
    pub(crate) spool: Option<SpoolStatus>,
    pub(crate) degraded: Vec<String>,
}

/// The socket of a server, until it is dropped.
pub(crate) struct AdminSocket {
    path: PathBuf,
    tasks: TaskTracker,
}

#[derive(Clone)]
struct Served {
    role: &'static str,
    started_at: i64,
    queue: Arc<dyn Queue>,
    shutdown: CancellationToken,
}

impl AdminSocket {
    /// Listens in `data_dir`, which this process owns: a socket that is there already is a dead server's. Where
    /// that fails the server works, and commands have to do without it.
    pub(crate) fn listen(
        data_dir: &Path,
        role: &'static str,
        queue: Arc<dyn Queue>,
        shutdown: CancellationToken,
    ) -> Self {
        let (path, tasks) = (data_dir.join(NAME), TaskTracker::new());
        tasks.close();
        let listener = match bind(&path) {
            Ok(listener) => listener,
            Err(error) => {
                let path = path.display().to_string();
                tracing::warn!(%error, path, "commands cannot reach this server (is the path longer than 100 bytes?)");
                return Self { path: PathBuf::new(), tasks };
            }
        };
        let served = Served { role, started_at: clock::now().0, queue, shutdown: shutdown.clone() };
        let serving =
            axum::serve(listener, router(served)).with_graceful_shutdown(shutdown.cancelled_owned());
        tasks.spawn(async move {
            if let Err(error) = serving.await {
                tracing::warn!(%error, "commands cannot reach this server any more");
            }
        });
        Self { path, tasks }
    }

    /// Waits for commands under way; call it after shutdown began and before the queue is closed.
    /// One that does not end keeps nobody from ending well.
    pub(crate) async fn end(self) {
        let _ = tokio::time::timeout(END_TIMEOUT, self.tasks.wait()).await;
    }
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn bind(path: &Path) -> std::io::Result<UnixListener> {
    let _ = std::fs::remove_file(path);
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

fn router(served: Served) -> Router {
    Router::new()
        .route("/status", get(live))
        .route("/dead-letters", get(list))
        .route("/dead-letters/{id}", get(show))
        .route("/dead-letters/replay", post(replay))
        .with_state(served)
}

type Refused = (StatusCode, String);

fn refused(error: anyhow::Error) -> Refused {
    (StatusCode::CONFLICT, format!("{error:#}"))
}

async fn live(State(served): State<Served>) -> Json<Live> {
    let (queue, degraded) = QueueStatus::ask(&*served.queue).await;
    Json(Live {
        role: served.role.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        started_at: served.started_at,
        is_draining: served.shutdown.is_cancelled(),
        queue,
        spool: SpoolStatus::of(&*served.queue),
        degraded,
    })
}

async fn list(State(served): State<Served>, Query(page): Query<Page>) -> Result<Json<Vec<Listed>>, Refused> {
    dead_letters::list(&*served.queue, &page).await.map(Json).map_err(refused)
}

async fn show(State(served): State<Served>, UrlPath(id): UrlPath<String>) -> Result<Json<Shown>, Refused> {
    dead_letters::show(&*served.queue, &id).await.map(Json).map_err(refused)
}

async fn replay(State(served): State<Served>, Json(wanted): Json<Replay>) -> Result<Json<Replayed>, Refused> {
    dead_letters::replay(&*served.queue, &wanted).await.map(Json).map_err(refused)
}

/// The running server that owns a data directory, as commands see it.
#[derive(Debug)]
pub(super) struct Server {
    path: PathBuf,
}

impl Server {
    pub(super) fn of(data_dir: &Path) -> Self {
        Self { path: data_dir.join(NAME) }
    }

    /// What the server says of itself; `None` where none listens.
    pub(super) async fn live(&self) -> Option<Live> {
        self.get("/status").await.ok()
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.call(Method::GET, path, Bytes::new()).await
    }

    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<T> {
        self.call(Method::POST, path, serde_json::to_vec(body)?.into()).await
    }

    async fn call<T: DeserializeOwned>(&self, method: Method, path: &str, body: Bytes) -> anyhow::Result<T> {
        let asked = self.exchange(method, path, body);
        let (status, body) = tokio::time::timeout(ANSWER_TIMEOUT, asked)
            .await
            .with_context(|| format!("the server at {} does not answer", self.path.display()))??;
        anyhow::ensure!(status.is_success(), "{}", String::from_utf8_lossy(&body));
        Ok(serde_json::from_slice(&body)?)
    }

    async fn exchange(&self, method: Method, path: &str, body: Bytes) -> anyhow::Result<(StatusCode, Bytes)> {
        let stream = UnixStream::connect(&self.path)
            .await
            .with_context(|| format!("no server listens at {}", self.path.display()))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header("content-type", "application/json")
            .body(Full::new(body))?;
        let answered = async {
            let response = sender.send_request(request).await?;
            let status = response.status();
            anyhow::Ok((status, response.into_body().collect().await?.to_bytes()))
        };
        tokio::pin!(answered);
        // The connection moves bytes while the answer is awaited, and is done with it.
        tokio::select! {
            answer = &mut answered => answer,
            ended = connection => {
                ended?;
                answered.await
            }
        }
    }
}
