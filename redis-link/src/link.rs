//! The connection that commands share, and those of one's own for commands that wait.
//!
//! The redis crate's own connection manager replaces a connection only when it broke: not when the other
//! side fell silent, and not when connecting once failed for another reason than I/O (a server that is
//! still loading, a password being changed). Either would outlive its cause until we are restarted, so
//! here every error replaces the connection that is not an answer, and every answer of a server that is the wrong one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ErrorKind, RedisError, RedisResult};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::{LinkConfig, address};

/// How long connecting may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// After a failed try to connect, or a server that was the wrong one, callers fail at once for this long instead of
/// each trying in turn.
pub const CONNECT_PAUSE: Duration = Duration::from_millis(250);

/// Answers that say "ask somebody else, or log in": after a failover the name may lead to another server by now.
const WRONG_SERVER: [&str; 6] = ["READONLY", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "NOAUTH", "WRONGPASS"];

#[derive(Default)]
struct Current {
    connection: Option<MultiplexedConnection>,
    failed: Option<(Instant, Arc<RedisError>)>,
}

/// A Redis, connected to when it is first used. Share one value: callers share its connection.
pub struct Link {
    config: LinkConfig,
    current: Mutex<Current>,
    /// Counts connections, so that an error on an old one does not drop its successor. Changed only under the lock.
    generation: AtomicU64,
}

/// A connection, and which one it is.
pub struct Linked {
    /// Commands of all callers go over it, and none waits for another's answer.
    pub connection: MultiplexedConnection,
    generation: u64,
}

impl Link {
    /// A link that connects when it is first used: a Redis that is away does not keep a process from starting.
    ///
    /// # Errors
    /// When the URL is none, or a file cannot be read or holds no certificates.
    pub fn new(config: LinkConfig) -> RedisResult<Self> {
        // An error says that one is set already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        address::check(&config)?;
        Ok(Self { config, current: Mutex::default(), generation: AtomicU64::new(0) })
    }

    /// How long an answer may take.
    #[must_use]
    pub fn response_timeout(&self) -> Duration {
        self.config.response_timeout
    }

    /// Which of its connections the link is at. Connections of one's own from before a change may lead to another server
    /// than the shared one does now.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Does `work` over the shared connection, once more over a new one where the old was found broken: `work` must be
    /// such that twice does no harm. (No `AsyncFnMut`: its futures cannot be said to be `Send`.)
    ///
    /// # Errors
    /// The last try's.
    pub async fn call<T, Work>(&self, mut work: impl FnMut(MultiplexedConnection) -> Work) -> RedisResult<T>
    where
        Work: Future<Output = RedisResult<T>>,
    {
        let mut retried = false;
        loop {
            let linked = self.get().await?;
            let error = match work(linked.connection.clone()).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            self.report(&linked, &error).await;
            if retried || !error.is_connection_dropped() || error.is_connection_refusal() {
                return Err(error);
            }
            retried = true;
        }
    }

    /// The shared connection, made where it is missing. One caller connects, the others wait for it.
    ///
    /// # Errors
    /// Why it cannot be made, or could not a moment ago.
    pub async fn get(&self) -> RedisResult<Linked> {
        // Held while connecting, which is bounded by its timeout: connecting many times at once would be
        // the alternative.
        let mut current = self.current.lock().await;
        if let Some(connection) = &current.connection {
            return Ok(Linked { connection: connection.clone(), generation: self.generation() });
        }
        if let Some((at, error)) = &current.failed
            && at.elapsed() < CONNECT_PAUSE
        {
            return Err(RedisError::clone(error));
        }
        match self.connect(Some(self.config.response_timeout)).await {
            Ok(connection) => {
                if self.generation() > 0 {
                    metrics::counter!("tallymark_redis_reconnects_total").increment(1);
                    tracing::info!("connected to Redis again");
                }
                let generation = self.generation.fetch_add(1, Ordering::AcqRel) + 1;
                current.failed = None;
                current.connection = Some(connection.clone());
                Ok(Linked { connection, generation })
            }
            Err(error) => {
                metrics::counter!("tallymark_redis_connect_failures_total").increment(1);
                current.failed = Some((Instant::now(), Arc::new(error.clone())));
                Err(error)
            }
        }
    }

    /// A connection of one's own, whose answers may take for ever: for commands that wait on purpose. Drop it after any
    /// error.
    ///
    /// # Errors
    /// Why it cannot be made.
    pub async fn own(&self) -> RedisResult<MultiplexedConnection> {
        self.connect(None).await
    }

    async fn connect(&self, response_timeout: Option<Duration>) -> RedisResult<MultiplexedConnection> {
        let client = address::client(&self.config).await?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(response_timeout);
        client.get_multiplexed_async_connection_with_config(&config).await
    }

    /// Gives `linked` up after `error`, unless the error is an answer of the right server: then the connection is well.
    pub async fn report(&self, linked: &Linked, error: &RedisError) {
        let is_answer = matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension);
        if is_answer && !is_of_wrong_server(error) {
            return;
        }
        let mut current = self.current.lock().await;
        if self.generation() == linked.generation && current.connection.take().is_some() {
            tracing::warn!(%error, "giving up a connection to Redis");
            if is_answer {
                // Connecting would succeed, and lead to the same answer as often as somebody asks.
                current.failed = Some((Instant::now(), Arc::new(error.clone())));
            }
        }
    }

    /// Lets go of the connection.
    pub async fn close(&self) {
        self.current.lock().await.connection = None;
    }
}

fn is_of_wrong_server(error: &RedisError) -> bool {
    error.code().is_some_and(|code| WRONG_SERVER.contains(&code))
}

#[cfg(test)]
mod tests {
    use redis::ServerErrorKind;

    use super::*;

    #[test]
    fn a_replica_a_loading_server_and_a_missing_password_are_the_wrong_server() {
        for kind in [ServerErrorKind::ReadOnly, ServerErrorKind::BusyLoading, ServerErrorKind::MasterDown] {
            assert!(is_of_wrong_server(&RedisError::from((ErrorKind::Server(kind), "no"))), "{kind:?}");
        }
        assert!(!is_of_wrong_server(&RedisError::from((ErrorKind::Server(ServerErrorKind::NoScript), "no"))));
    }

    #[test]
    fn what_is_no_address_or_no_file_is_said_at_once() {
        let error = |config: LinkConfig| Link::new(config).err().expect("refused").to_string();
        assert!(!error(LinkConfig::new("http://somewhere")).is_empty());
        let missing = Some("/nowhere/password".into());
        let said = error(LinkConfig { password_file: missing, ..LinkConfig::new("redis://localhost") });
        assert!(said.contains("/nowhere/password"), "{said}");
    }

    #[test]
    fn a_configuration_shows_no_password() {
        let shown = format!("{:?}", LinkConfig::new("redis://:secret@localhost"));
        assert!(!shown.contains("secret"), "{shown}");
    }
}
