//! The connection that all commands but the waiting ones share.
//!
//! The redis crate's own connection manager replaces a connection only when it broke: not when the other
//! side fell silent, and not when connecting once failed for another reason than I/O (a server that is
//! still loading, a password being rotated). Either would outlive its cause until we are restarted, so
//! here every error that is not an answer replaces the connection.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ErrorKind, RedisError, RedisResult};
use tokio::sync::Mutex;
use tokio::time::Instant;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// After a failed try to connect, callers fail at once for this long instead of each trying in turn.
const CONNECT_PAUSE: Duration = Duration::from_millis(250);

#[derive(Default)]
struct Current {
    connection: Option<MultiplexedConnection>,
    /// Counts connections, so that an error on an old one does not drop its successor.
    generation: u64,
    failed: Option<(Instant, Arc<RedisError>)>,
}

pub(super) struct Link {
    client: Client,
    response_timeout: Duration,
    current: Mutex<Current>,
}

/// A connection, and which one it is.
pub(super) struct Linked {
    pub(super) connection: MultiplexedConnection,
    generation: u64,
}

impl Link {
    pub(super) fn new(client: Client, response_timeout: Duration) -> Self {
        Self { client, response_timeout, current: Mutex::default() }
    }

    /// The shared connection, made where it is missing. One caller connects, the others wait for it.
    pub(super) async fn get(&self) -> RedisResult<Linked> {
        // Held while connecting, which is bounded by its timeout: connecting many times at once would be
        // the alternative.
        let mut current = self.current.lock().await;
        if let Some(connection) = &current.connection {
            return Ok(Linked { connection: connection.clone(), generation: current.generation });
        }
        if let Some((at, error)) = &current.failed
            && at.elapsed() < CONNECT_PAUSE
        {
            return Err(RedisError::clone(error));
        }
        match self.connect(Some(self.response_timeout)).await {
            Ok(connection) => {
                current.generation += 1;
                current.failed = None;
                current.connection = Some(connection.clone());
                Ok(Linked { connection, generation: current.generation })
            }
            Err(error) => {
                current.failed = Some((Instant::now(), Arc::new(error.clone())));
                Err(error)
            }
        }
    }

    /// A connection of one's own, whose answers may take for ever: for commands that wait on purpose.
    pub(super) async fn own(&self) -> RedisResult<MultiplexedConnection> {
        self.connect(None).await
    }

    async fn connect(&self, response_timeout: Option<Duration>) -> RedisResult<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(response_timeout);
        self.client.get_multiplexed_async_connection_with_config(&config).await
    }

    /// Gives `linked` up after `error`, unless the error is an answer: then the connection is well.
    pub(super) async fn report(&self, linked: &Linked, error: &RedisError) {
        if matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension) {
            return;
        }
        let mut current = self.current.lock().await;
        if current.generation == linked.generation {
            current.connection = None;
        }
    }

    /// Lets go of the connection.
    pub(super) async fn close(&self) {
        self.current.lock().await.connection = None;
    }
}
