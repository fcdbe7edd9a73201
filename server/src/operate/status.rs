//! `tallymark status`: what comes in, what waits, what is amiss.

use std::fmt::Write as _;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tallymark_protocol::UnixMs;
use tallymark_queue::Queue;
use tallymark_store::{CommitRow, Kind, Store};

use super::access::Access;
use super::socket::{Live, Server};
use super::table::{Table, ago, bytes, span, time};
use crate::backends::reach_store;
use crate::clock;
use crate::config::Options;
use crate::out::say;

/// How long each of store and queue may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Commits that are shown.
const COMMITS: u32 = 5;
/// What has waited longer is said to be amiss: processing takes a second.
const LAG_MS: i64 = 60_000;

/// What waits in the queue.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct QueueStatus {
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
    pub(crate) pending: u64,
    pub(crate) dead_letters: u64,
    /// Unix milliseconds.
    pub(crate) oldest_received_at: Option<i64>,
    /// How long the oldest has waited.
    pub(crate) lag_ms: i64,
}

/// What waits on a server's disk while Redis is away.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SpoolStatus {
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
    pub(crate) bytes_max: u64,
    /// Entries that the disk damaged.
    pub(crate) damaged: u64,
    /// Unix milliseconds.
    pub(crate) oldest_received_at: Option<i64>,
    /// Whether Redis is away, as this server sees it.
    pub(crate) is_away: bool,
}

impl SpoolStatus {
    /// Looks at the spool before a queue.
    pub(super) fn of(queue: &dyn Queue) -> Option<Self> {
        let spool = queue.spool()?;
        Some(Self {
            entries: spool.entries,
            bytes: spool.bytes,
            bytes_max: spool.bytes_max,
            damaged: spool.damaged,
            oldest_received_at: spool.oldest_received_at.map(|at| at.0),
            is_away: spool.is_away,
        })
    }

    /// What is amiss with it.
    fn amiss(&self) -> Option<String> {
        if self.damaged > 0 {
            return Some(format!("the disk damaged {} entries of the spool; see the log", self.damaged));
        }
        let waits = format!("{} envelopes, {}", self.entries, bytes(self.bytes));
        self.is_away.then(|| format!("Redis is away: this server spools what it acknowledges ({waits})"))
    }
}

impl QueueStatus {
    /// Asks a queue, and says what is amiss with it.
    pub(super) async fn ask(queue: &dyn Queue) -> (Option<Self>, Vec<String>) {
        let mut degraded = Vec::new();
        let backlog = match tokio::time::timeout(ANSWER_TIMEOUT, queue.backlog()).await {
            Ok(Ok(backlog)) => backlog,
            Ok(Err(error)) => return (None, vec![format!("the queue: {:#}", anyhow::Error::from(error))]),
            Err(_) => return (None, vec!["the queue does not answer".to_owned()]),
        };
        let oldest = backlog.oldest_received_at.map(|at| at.0);
        let lag_ms = oldest.map_or(0, |oldest| (clock::now().0 - oldest).max(0));
        if lag_ms > LAG_MS {
            degraded.push(format!("processing is behind: the oldest envelope has waited {}", span(lag_ms)));
        }
        if backlog.dead_letters > 0 {
            let letters = backlog.dead_letters;
            degraded
                .push(format!("{letters} envelopes could not be counted; see: tallymark dead-letter list"));
        }
        let status = Self {
            entries: backlog.entries,
            bytes: backlog.bytes,
            pending: backlog.pending,
            dead_letters: backlog.dead_letters,
            oldest_received_at: oldest,
            lag_ms,
        };
        (Some(status), degraded)
    }
}

#[derive(Debug, Serialize)]
struct Commit {
    committed_at: i64,
    took_ms: i32,
    envelopes: i64,
    accepted: i64,
    duplicates: i64,
    discarded: i64,
}

impl From<CommitRow> for Commit {
    fn from(row: CommitRow) -> Self {
        Self {
            committed_at: row.committed_at.0,
            took_ms: row.took_ms,
            envelopes: row.envelopes,
            accepted: row.accepted,
            duplicates: row.duplicates,
            discarded: row.discarded,
        }
    }
}

/// What was counted in a span of time, and how fast.
#[derive(Debug, Serialize)]
struct Rate {
    seconds: i64,
    events_per_second: f64,
    accepted: i64,
    duplicates: i64,
    discarded: i64,
}

#[derive(Debug, Serialize)]
struct StoreStatus {
    kind: String,
    projects: usize,
    rates: Vec<Rate>,
    last_commits: Vec<Commit>,
}

#[derive(Debug, Serialize)]
struct Status {
    at: i64,
    is_well: bool,
    degraded: Vec<String>,
    queue: Option<QueueStatus>,
    store: Option<StoreStatus>,
    /// The server that owns the data directory on this machine.
    server: Option<Live>,
}

/// Shows the status. It succeeds whatever it shows; `doctor` is the one that fails.
pub(crate) async fn status(options: Options, json: bool) -> anyhow::Result<()> {
    let status = look(&options).await;
    if json {
        say!("{}", serde_json::to_string(&status)?);
    } else {
        say!("{}", text(&status).trim_end());
    }
    Ok(())
}

async fn look(options: &Options) -> Status {
    let mut degraded = Vec::new();
    let server = Server::of(&options.data_dir).live().await;
    let queue = match &server {
        // The embedded queue is this server's; Redis is asked directly, since the server may have lost it.
        Some(live) if options.redis_url.is_none() => {
            degraded.extend(live.degraded.iter().cloned());
            live.queue.clone()
        }
        live => {
            degraded.extend(live.iter().filter_map(|live| live.spool.as_ref()?.amiss()));
            queue_status(options, &mut degraded).await
        }
    };
    let store = match tokio::time::timeout(ANSWER_TIMEOUT, store_status(options)).await {
        Ok(Ok(store)) => Some(store),
        Ok(Err(error)) => {
            degraded.push(format!("the store: {error:#}"));
            None
        }
        Err(_) => {
            degraded.push("the store does not answer".to_owned());
            None
        }
    };
    degraded.dedup();
    Status { at: clock::now().0, is_well: degraded.is_empty(), degraded, queue, store, server }
}

async fn queue_status(options: &Options, degraded: &mut Vec<String>) -> Option<QueueStatus> {
    let access = match Access::open(options).await {
        Ok(access) => access,
        Err(error) => {
            degraded.push(format!("{error:#}"));
            return None;
        }
    };
    let Access::Queue(queue, _) = &access else { return None };
    let (status, amiss) = QueueStatus::ask(&**queue).await;
    degraded.extend(amiss);
    access.close().await;
    status
}

async fn store_status(options: &Options) -> anyhow::Result<StoreStatus> {
    anyhow::ensure!(
        options.database_url.is_some() || options.data_dir.join("tallymark.db").is_file(),
        "there is none in {}: give the server's --data-dir, or its --database-url",
        options.data_dir.display()
    );
    let store = reach_store(options).await?;
    let now = clock::now();
    let mut rates = Vec::new();
    for seconds in [60, 3_600] {
        rates.push(rate(&store, now, seconds).await?);
    }
    let last_commits = store.last_commits(COMMITS).await?.into_iter().map(Commit::from).collect();
    let projects = store.projects().await?.len();
    let kind = match store.kind() {
        Kind::Postgres => "PostgreSQL",
        Kind::Sqlite => "SQLite",
    };
    store.close().await;
    Ok(StoreStatus { kind: kind.to_owned(), projects, rates, last_commits })
}

#[expect(clippy::cast_precision_loss, reason = "a rate is a float")]
async fn rate(store: &Store, now: UnixMs, seconds: i64) -> anyhow::Result<Rate> {
    let done = store.committed_since(UnixMs(now.0 - seconds * 1_000)).await?;
    let events = done.accepted + done.duplicates + done.discarded;
    Ok(Rate {
        seconds,
        events_per_second: events as f64 / seconds as f64,
        accepted: done.accepted,
        duplicates: done.duplicates,
        discarded: done.discarded,
    })
}

fn text(status: &Status) -> String {
    let mut text = String::new();
    let mut line = |name: &str, what: String| {
        let _ = writeln!(text, "{name:<13} {what}");
    };
    line("Tallymark", if status.is_well { "all is well".to_owned() } else { "DEGRADED".to_owned() });
    for amiss in &status.degraded {
        line("", format!("- {amiss}"));
    }
    if let Some(server) = &status.server {
        let since = ago(status.at - server.started_at);
        let draining = if server.is_draining { ", draining" } else { "" };
        line(
            "Server",
            format!("{} {}, pid {}, started {since}{draining}", server.role, server.version, server.pid),
        );
    }
    if let Some(spool) = status.server.as_ref().and_then(|server| server.spool.as_ref()) {
        let away = if spool.is_away { "; Redis is away" } else { "" };
        let waits = format!(
            "{} envelopes, {} of {}{away}",
            spool.entries,
            bytes(spool.bytes),
            bytes(spool.bytes_max)
        );
        line("Spool", waits);
    }
    if let Some(queue) = &status.queue {
        let lag = queue
            .oldest_received_at
            .map_or("nothing waits".to_owned(), |_| format!("oldest {}", span(queue.lag_ms)));
        let waits =
            format!("{} envelopes, {}; {} being processed", queue.entries, bytes(queue.bytes), queue.pending);
        line("Queue", format!("{waits}; {lag}"));
        line("Dead letters", queue.dead_letters.to_string());
    }
    if let Some(store) = &status.store {
        line("Store", format!("{}; projects: {}", store.kind, store.projects));
        for rate in &store.rates {
            let span = span(rate.seconds * 1_000);
            let rate = format!(
                "{:.1} events/s: {} accepted, {} duplicates, {} discarded",
                rate.events_per_second, rate.accepted, rate.duplicates, rate.discarded
            );
            line(&format!("Last {span}"), rate);
        }
        if !store.last_commits.is_empty() {
            text.push('\n');
            text.push_str(&commits(&store.last_commits));
        }
    }
    text
}

fn commits(commits: &[Commit]) -> String {
    let mut table =
        Table::new(["LAST COMMITS (UTC)", "TOOK", "ENVELOPES", "ACCEPTED", "DUPLICATES", "DISCARDED"]);
    for commit in commits {
        table.row([
            time(commit.committed_at),
            format!("{} ms", commit.took_ms),
            commit.envelopes.to_string(),
            commit.accepted.to_string(),
            commit.duplicates.to_string(),
            commit.discarded.to_string(),
        ]);
    }
    table.to_string()
}
