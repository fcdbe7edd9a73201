//! Who sends: one thread, so cheap that it hardly takes from whom it measures.
//!
//! Requests are rendered once; for each, only ids are written over, in place, and of an answer only what tells a good
//! one from others is looked at.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::process;
use crate::request::Request;

/// Connections kept open. As many requests are under way at most.
pub(crate) const CONNECTIONS: u32 = 64;

/// An answer is waited for this long.
const ANSWER_MAX: Duration = Duration::from_secs(20);

/// Numbers of envelopes that were given out: none is sent twice, in no run.
static ENVELOPES: AtomicU64 = AtomicU64::new(1);

/// How fast requests are sent, and how many.
#[derive(Clone, Copy)]
pub(crate) enum Pace {
    /// Each connection sends as soon as it has its answer, until time is up.
    AsFastAsItGoes(Duration),
    /// The same, until there were this many.
    Count(u64),
    /// This many a second, whether answers come or not, until time is up.
    PerSecond(f64, Duration),
}

/// What became of a run.
pub(crate) struct Sent {
    pub(crate) requests: u64,
    pub(crate) wall: Duration,
    /// From when a request was due, in microseconds, the shortest first.
    pub(crate) latencies_us: Vec<u32>,
    /// The sender's own CPU seconds.
    pub(crate) cpu: f64,
}

impl Sent {
    /// What 99 of 100 requests took at most, in milliseconds.
    pub(crate) fn p99_ms(&self) -> f64 {
        f64::from(percentile(&self.latencies_us, 99)) / 1_000.0
    }
}

/// The value that `percent` of the sorted `values` do not pass.
pub(crate) fn percentile(values: &[u32], percent: usize) -> u32 {
    let at = (values.len() * percent).div_ceil(100).saturating_sub(1);
    values.get(at).copied().unwrap_or(0)
}

/// An envelope that was acknowledged: the first of its events' numbers, and when.
pub(crate) type Acknowledged = (u64, Instant);

/// Sends `request` to `address` at `pace`, from a thread of its own; `acknowledged` hears of each answer.
///
/// # Errors
/// At the first answer that is not 202 with nothing refused.
pub(crate) async fn send(
    address: SocketAddr,
    request: Request,
    pace: Pace,
    acknowledged: Option<Sender<Acknowledged>>,
) -> anyhow::Result<Sent> {
    let run = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let before = process::own_thread_cpu()?;
        let mut sent = runtime.block_on(send_over_all(address, &request, pace, acknowledged.as_ref()))?;
        sent.cpu = process::own_thread_cpu()? - before;
        sent.latencies_us.sort_unstable();
        Ok(sent)
    };
    tokio::task::spawn_blocking(run).await.context("the load generator failed")?
}

/// Sends one request until it is taken: who has just started may still look for what it stands on.
///
/// # Errors
/// What stood in the way to the last.
pub(crate) async fn send_first(address: SocketAddr, request: &Request) -> anyhow::Result<()> {
    let started = Instant::now();
    loop {
        match send(address, request.clone(), Pace::Count(1), None).await {
            Ok(_) => return Ok(()),
            Err(error) if started.elapsed() > ANSWER_MAX => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn send_over_all(
    address: SocketAddr,
    request: &Request,
    pace: Pace,
    acknowledged: Option<&Sender<Acknowledged>>,
) -> anyhow::Result<Sent> {
    let mut connections = JoinSet::new();
    let started = Instant::now();
    for number in 0..CONNECTIONS {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let connection = Connection {
            stream,
            request: request.clone(),
            answer: Vec::with_capacity(4 * 1024),
            acknowledged: acknowledged.cloned(),
            latencies_us: Vec::new(),
        };
        connections.spawn(connection.run(Turns::of(pace, number, started)));
    }
    let mut latencies_us = Vec::new();
    while let Some(connection) = connections.join_next().await {
        latencies_us.append(&mut connection??);
    }
    let (requests, wall) = (latencies_us.len() as u64, started.elapsed());
    Ok(Sent { requests, wall, latencies_us, cpu: 0.0 })
}

/// When one connection sends.
struct Turns {
    /// Until then, or for so many.
    until: Option<Instant>,
    left: u64,
    /// The next one is due at, and how far the one after it is; `None` for at once.
    schedule: Option<(Instant, Duration)>,
}

impl Turns {
    fn of(pace: Pace, number: u32, started: Instant) -> Self {
        match pace {
            Pace::AsFastAsItGoes(time) => {
                Self { until: Some(started + time), left: u64::MAX, schedule: None }
            }
            Pace::Count(count) => {
                let all = u64::from(CONNECTIONS);
                let left = count / all + u64::from(u64::from(number) < count % all);
                Self { until: None, left, schedule: None }
            }
            Pace::PerSecond(rate, time) => {
                let every = Duration::from_secs_f64(f64::from(CONNECTIONS) / rate);
                let first = started + every.mul_f64(f64::from(number) / f64::from(CONNECTIONS));
                Self { until: Some(started + time), left: u64::MAX, schedule: Some((first, every)) }
            }
        }
    }

    /// Waits for the next turn; says since when it is due.
    async fn next(&mut self) -> Option<Instant> {
        let now = Instant::now();
        let due = match &mut self.schedule {
            None => now,
            Some((next, every)) => {
                let due = *next;
                *next += *every;
                if due > now {
                    tokio::time::sleep_until(due.into()).await;
                    // The timer's own delay is nobody's latency.
                    Instant::now()
                } else {
                    due // the answer before came too late: this one has waited since
                }
            }
        };
        if self.left == 0 || self.until.is_some_and(|until| due >= until) {
            return None;
        }
        self.left -= 1;
        Some(due)
    }
}

struct Connection {
    stream: TcpStream,
    request: Request,
    answer: Vec<u8>,
    acknowledged: Option<Sender<Acknowledged>>,
    latencies_us: Vec<u32>,
}

impl Connection {
    async fn run(mut self, mut turns: Turns) -> anyhow::Result<Vec<u32>> {
        while let Some(due) = turns.next().await {
            let envelope = ENVELOPES.fetch_add(1, Ordering::Relaxed);
            let first_event = self.request.number(envelope);
            self.stream.write_all(self.request.bytes()).await?;
            tokio::time::timeout(ANSWER_MAX, self.read_answer()).await.context("no answer came")??;
            let now = Instant::now();
            self.latencies_us.push(u32::try_from((now - due).as_micros()).unwrap_or(u32::MAX));
            if let Some(acknowledged) = &self.acknowledged {
                acknowledged.send((first_event, now)).context("nobody listens")?;
            }
        }
        Ok(self.latencies_us)
    }

    async fn read_answer(&mut self) -> anyhow::Result<()> {
        const GOOD: (&[u8], &[u8]) = (b"HTTP/1.1 202 ", b"\"rejected\":[]}");
        self.answer.clear();
        while !self.answer.ends_with(GOOD.1) {
            let read = self.stream.read_buf(&mut self.answer).await?;
            let so_far = || String::from_utf8_lossy(&self.answer);
            ensure!(read > 0, "the connection was closed after {:?}", so_far());
            let begins_well = self.answer.starts_with(GOOD.0) || GOOD.0.starts_with(&self.answer);
            ensure!(begins_well && self.answer.len() < 4 * 1024, "an answer that is not 202: {:?}", so_far());
        }
        Ok(())
    }
}
