//! What the same bodies cost without us: an axum route that only parses, and Redis that only appends.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::post;
use bytes::Bytes;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::process;
use crate::request::Request;

/// By this argument the bench is the bare route, in a process of its own so that its CPU can be told.
pub(crate) const BARE_ROUTE: &str = "--serve-bare-route";

/// Commands that are sent to Redis before its answers are read.
const PIPELINED: usize = 32;

/// The bare route under way. Killed when it is dropped.
pub(crate) struct BareRoute {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl BareRoute {
    /// Starts it.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut child = command.arg(BARE_ROUTE).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        let stdout = child.stdout.take().context("its output is piped")?;
        BufReader::new(stdout).read_line(&mut line)?;
        Ok(Self { child, address: line.trim().parse().context("the bare route says where it listens")? })
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for BareRoute {
    fn drop(&mut self) {
        // An error would mean that it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Is the bare route, until it is killed.
pub(crate) async fn serve_bare_route() -> anyhow::Result<()> {
    async fn parse(body: Bytes) -> impl IntoResponse {
        let events = serde_json::from_slice::<Value>(&body).ok();
        let events = events.as_ref().and_then(|body| body["events"].as_array()).map_or(0, Vec::len);
        let answer = format!(r#"{{"accepted":{events},"rejected":[]}}"#);
        (StatusCode::ACCEPTED, [(header::CONTENT_TYPE, "application/json")], answer)
    }
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    axum::serve(listener, Router::new().route("/capture", post(parse))).await?;
    Ok(())
}

/// What appending alone came to.
pub(crate) struct Appended {
    pub(crate) entries: u64,
    pub(crate) wall: Duration,
    /// CPU seconds of Redis, and of our side of the connection.
    pub(crate) redis_cpu: f64,
    pub(crate) client_cpu: f64,
}

/// XADDs the body of `request` over one connection for `time`, many commands at once.
pub(crate) async fn append(
    url: String,
    mut request: Request,
    redis_pid: u32,
    time: Duration,
) -> anyhow::Result<Appended> {
    let run = move || {
        let mut connection = redis::Client::open(url)?.get_connection()?;
        let before = (process::cpu(redis_pid), process::own_thread_cpu()?);
        let (started, mut entries) = (Instant::now(), 0);
        while started.elapsed() < time {
            let mut pipe = redis::pipe();
            for _ in 0..PIPELINED {
                entries += 1;
                request.number(entries);
                pipe.cmd("XADD").arg("bench:xadd").arg("*").arg("envelope").arg(request.body()).ignore();
            }
            pipe.query::<()>(&mut connection)?;
        }
        let wall = started.elapsed();
        let (redis_cpu, client_cpu) =
            (process::cpu(redis_pid) - before.0, process::own_thread_cpu()? - before.1);
        redis::cmd("UNLINK").arg("bench:xadd").query::<()>(&mut connection)?;
        Ok(Appended { entries, wall, redis_cpu, client_cpu })
    };
    tokio::task::spawn_blocking(run).await.context("appending failed")?
}
