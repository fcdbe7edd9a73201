//! The API under test: a server on a port of its own, with secrets that a test can foresee.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;
use tallymark_query::{Management, QueryApi, SecretError, router};
use tallymark_store::Store;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::support::ms;

pub(crate) const NOW: &str = "2026-03-30T09:30:00Z";

/// A server of the API, for as long as it lives.
pub(crate) struct Api {
    address: std::net::SocketAddr,
    pub(crate) management: Arc<Counting>,
    _task: JoinSet<()>,
}

pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Value,
}

/// Secrets by number, and how often collectors were told.
#[derive(Default)]
pub(crate) struct Counting {
    secrets: AtomicU32,
    pub(crate) published: AtomicU32,
}

impl Counting {
    fn next(&self) -> u32 {
        self.secrets.fetch_add(1, Ordering::SeqCst) + 1
    }
}

#[async_trait::async_trait]
impl Management for Counting {
    fn write_key(&self) -> Result<String, SecretError> {
        Ok(format!("wk_{:024}", self.next()))
    }

    fn token(&self) -> Result<String, SecretError> {
        Ok(format!("sk_made_{}", self.next()))
    }

    fn id(&self) -> Result<Uuid, SecretError> {
        Ok(Uuid::from_u128(u128::from(self.next()) + 1_000))
    }

    fn sketch_key(&self) -> Result<[u8; 16], SecretError> {
        Ok([1; 16])
    }

    async fn publish(&self) {
        self.published.fetch_add(1, Ordering::SeqCst);
    }
}

impl Api {
    pub(crate) async fn start(store: &Store) -> Self {
        let now = ms(NOW);
        let management = Arc::new(Counting::default());
        let api = QueryApi {
            store: store.clone(),
            now: Arc::new(move || now),
            management: Arc::<Counting>::clone(&management),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut task = JoinSet::new();
        task.spawn(async move { axum::serve(listener, router(api)).await.unwrap() });
        Self { address, management, _task: task }
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        authorization: Option<&str>,
        body: &str,
    ) -> Response {
        let authorization =
            authorization.map_or_else(String::new, |value| format!("authorization: {value}\r\n"));
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: t\r\nconnection: close\r\ncontent-length: {}\r\n\
             {authorization}\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        Response {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head: head.to_ascii_lowercase(),
            body: serde_json::from_str(body).unwrap_or(Value::Null),
        }
    }
}
