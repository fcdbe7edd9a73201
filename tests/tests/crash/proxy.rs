//! Stands between a processor and Redis, and lets everything through but acks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What Redis is asked to run when entries are acked.
const ACK: &str = include_str!("../../../queue/src/redis/scripts/ack.lua");

/// A proxy on a port of its own. Gone with the value.
pub(crate) struct AckStop {
    /// Redis, as the processor is to know it.
    pub(crate) url: String,
    asked: Arc<AtomicBool>,
    _tasks: JoinSet<()>,
}

impl AckStop {
    /// Begins to listen, and to hand on to the Redis at `url`.
    pub(crate) async fn before(url: &str) -> anyhow::Result<Self> {
        let mut url: url::Url = url.parse()?;
        let redis = format!("{}:{}", url.host_str().unwrap_or("127.0.0.1"), url.port().unwrap_or(6379));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        url.set_host(Some("127.0.0.1"))?;
        url.set_port(Some(port)).map_err(|()| anyhow::anyhow!("{url} has no port"))?;
        let asked = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, redis, Arc::clone(&asked)));
        Ok(Self { url: url.into(), asked, _tasks: tasks })
    }

    /// Whether somebody wanted to ack since this was last asked, and was left waiting for the answer.
    pub(crate) fn was_asked(&self) -> bool {
        self.asked.swap(false, Ordering::SeqCst)
    }
}

async fn accept(listener: TcpListener, redis: String, asked: Arc<AtomicBool>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let Ok(server) = TcpStream::connect(&redis).await else { continue };
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        connections.spawn(ask(from_client, to_server, Arc::clone(&asked)));
        connections.spawn(answer(from_server, to_client));
    }
}

async fn answer(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    // Ends with either side; the test sees what comes of it.
    let _ = tokio::io::copy(&mut from, &mut to).await;
}

/// Hands requests on until there is an ack among them.
async fn ask(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, asked: Arc<AtomicBool>) {
    let hash = redis::Script::new(ACK).get_hash().to_owned();
    let mut seen: Vec<u8> = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        let read = match from.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(read) => &buffer[..read],
        };
        // The hash may lie across two reads.
        let kept = seen.len().saturating_sub(hash.len());
        seen.drain(..kept);
        seen.extend_from_slice(read);
        if seen.windows(hash.len()).any(|window| window == hash.as_bytes()) {
            asked.store(true, Ordering::SeqCst);
            return std::future::pending().await; // open, and silent
        }
        if to.write_all(read).await.is_err() {
            return;
        }
    }
}
