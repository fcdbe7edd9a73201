//! Connections: taken up to a number, given little time to say what they want, and ended well.

use std::future::Future;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::taken::Taken;

/// A request's line and headers. A page's address, its referrer and a few properties fit into a pixel's.
const HEADERS_BYTES_MAX: usize = 16 * 1024;

/// What is read at once: bodies come in pieces of this size.
const READ_BYTES_MAX: usize = 64 * 1024;

/// How long to wait before accepting again when the system has no more to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How connections are treated.
#[derive(Clone, Debug)]
pub struct ServeConfig {
    /// Connections at once. Each that does nothing costs about 12 KiB; more wait in the system's own queue.
    pub connections_max: usize,
    /// How long a connection may take to send a request's headers, the pause since its last request included.
    /// Load balancers keep connections for 60 s, and must not be the ones surprised by the end of one.
    pub headers_timeout: Duration,
    /// The same for connections that come when half of [`ServeConfig::connections_max`] are there already.
    pub headers_timeout_when_crowded: Duration,
    /// How long a client may take nothing of what it is answered.
    pub answers_timeout: Duration,
    /// How long requests that have begun may take to end at shutdown.
    pub requests_end_within: Duration,
}

impl Default for ServeConfig {
    fn default() -> Self {
        Self {
            connections_max: 8_192,
            headers_timeout: Duration::from_secs(75),
            headers_timeout_when_crowded: Duration::from_secs(10),
            answers_timeout: Duration::from_secs(30),
            requests_end_within: Duration::from_secs(4),
        }
    }
}

/// Answers requests with `app` until `shutdown`, then finishes those that have begun. A client that never ends its
/// request does not keep the rest of the process from ending well. Handlers find the peer's address in
/// [`ConnectInfo`].
pub async fn serve(
    listener: TcpListener,
    app: Router,
    config: &ServeConfig,
    shutdown: impl Future<Output = ()>,
) {
    let app = app.with_state(()); // once, not for each request
    let mut connections = JoinSet::new();
    let stop = CancellationToken::new();
    let mut shutdown = std::pin::pin!(shutdown);
    let mut accepts_well = true;
    loop {
        let has_room = connections.len() < config.connections_max;
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(ended) = connections.join_next() => note_panic(ended),
            accepted = listener.accept(), if has_room => match accepted {
                Ok((stream, peer)) => {
                    accepts_well = true;
                    // An answer is one small write: nothing is gained by waiting for more.
                    let _ = stream.set_nodelay(true);
                    let is_crowded = connections.len() >= config.connections_max / 2;
                    let stream = Taken::new(stream, config.answers_timeout);
                    connections.spawn(connection(stream, peer, app.clone(), http(config, is_crowded), stop.clone()));
                }
                Err(error) if is_the_clients(error.kind()) => {}
                Err(error) => {
                    if std::mem::take(&mut accepts_well) {
                        tracing::error!(%error, "cannot accept connections; trying again");
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
    drop(listener);
    stop.cancel();
    let all_ended = async {
        while let Some(ended) = connections.join_next().await {
            note_panic(ended);
        }
    };
    if tokio::time::timeout(config.requests_end_within, all_ended).await.is_err() {
        tracing::warn!(requests = connections.len(), "requests that have not ended are left");
        connections.shutdown().await;
    }
}

fn http(config: &ServeConfig, is_crowded: bool) -> http1::Builder {
    let timeout = if is_crowded { config.headers_timeout_when_crowded } else { config.headers_timeout };
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(timeout)
        .max_header_size(HEADERS_BYTES_MAX)
        .max_buf_size(READ_BYTES_MAX);
    http
}

async fn connection(
    stream: Taken,
    peer: SocketAddr,
    app: Router,
    http: http1::Builder,
    stop: CancellationToken,
) {
    let app = TowerToHyperService::new(app);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        app.call(request)
    });
    let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    // Clients that break off, send no HTTP or say nothing: theirs to see, and too many to log.
    if let Err(error) = ended {
        tracing::trace!(%error, "a connection ended early");
    }
}

const fn is_the_clients(error: ErrorKind) -> bool {
    matches!(error, ErrorKind::ConnectionRefused | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset)
}

fn note_panic(ended: Result<(), JoinError>) {
    if ended.is_err_and(|error| error.is_panic()) {
        tracing::error!("a request made its handler panic; its connection is closed");
    }
}
