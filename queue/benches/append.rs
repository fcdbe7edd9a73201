//! `cargo bench -p tallymark-queue --bench append`: appends a second to Redis, and what they cost, beside one script
//! for each append over the same connection: what the queue did before scripts were shared.
//!
//! Starts a redis-server of its own for each `appendfsync`. Both ways are measured in turn, so that what else
//! happens on the machine happens to both. Linux only: CPU time is read from `/proc`.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use redis::Script;
use tallymark_protocol::{Event, Place, UnixMs};
use tallymark_queue::{ENTRY_VERSION, EncodedEnvelope, Queue, QueuedEnvelope, RedisConfig, RedisQueue};
use tallymark_redis_link::{Link, LinkConfig};
use tokio::task::JoinSet;
use tokio::time::Instant;
use uuid::Uuid;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long each way is measured, each time.
const ROUND: Duration = Duration::from_secs(2);
const ROUNDS: u32 = 2;

/// The kernel counts CPU time in this many ticks a second.
const TICKS_A_SECOND: f64 = 100.0;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    println!("{:<44} {:>10} {:>11} {:>11} {:>7}", "", "appends/s", "µs ours", "µs Redis", "ratio");
    for appendfsync in ["everysec", "always"] {
        for (events, bytes) in [(1, 300), (50, 15_000)] {
            for at_once in [1, 64, 512] {
                let what = format!("{appendfsync}, {events} events in {bytes} bytes, {at_once} at once");
                compare(&what, appendfsync, &envelope(events, bytes)?, at_once).await?;
            }
        }
    }
    Ok(())
}

async fn compare(
    what: &str,
    appendfsync: &str,
    envelope: &EncodedEnvelope,
    at_once: usize,
) -> anyhow::Result<()> {
    let redis = Redis::start(appendfsync).await?;
    let config = RedisConfig { backlog_bytes_max: 1 << 40, ..RedisConfig::new(&redis.url) };
    let queue = Arc::new(RedisQueue::new(&config)?);
    let single = Arc::new(Single::new(&redis.url)?);
    let (mut before, mut after) = (Measured::default(), Measured::default());
    for _ in 0..ROUNDS {
        before.add(
            measure(&redis, at_once, &single, envelope, async |single: Arc<Single>, envelope| {
                single.append(&envelope).await
            })
            .await?,
        );
        after.add(
            measure(&redis, at_once, &queue, envelope, async |queue: Arc<RedisQueue>, envelope| {
                Ok(queue.append_encoded(&envelope).await?)
            })
            .await?,
        );
    }
    before.print(&format!("{what}: a script each"), None);
    after.print(&format!("{what}: shared"), Some(&before));
    queue.close().await;
    Ok(())
}

/// One script for each append, on one connection that all share.
struct Single {
    link: Link,
    script: Script,
}

impl Single {
    fn new(url: &str) -> anyhow::Result<Self> {
        let script = Script::new(include_str!("../src/redis/scripts/append.lua"));
        Ok(Self { link: Link::new(LinkConfig::new(url))?, script })
    }

    async fn append(&self, envelope: &EncodedEnvelope) -> anyhow::Result<()> {
        let mut script = self.script.prepare_invoke();
        script.key("single").key("single:bytes").arg(1_u64 << 40);
        script.arg(envelope.events()).arg(envelope.received_at().0).arg(&envelope.json()[..]);
        let script = &script;
        let refused: Vec<usize> = self
            .link
            .call(|mut connection| async move { script.invoke_async(&mut connection).await })
            .await?;
        anyhow::ensure!(refused.is_empty(), "refused");
        Ok(())
    }
}

#[derive(Default)]
struct Measured {
    appends: f64,
    seconds: f64,
    our_cpu_seconds: f64,
    redis_cpu_seconds: f64,
}

impl Measured {
    fn add(&mut self, other: Self) {
        self.appends += other.appends;
        self.seconds += other.seconds;
        self.our_cpu_seconds += other.our_cpu_seconds;
        self.redis_cpu_seconds += other.redis_cpu_seconds;
    }

    fn per_second(&self) -> f64 {
        self.appends / self.seconds
    }

    fn print(&self, what: &str, baseline: Option<&Self>) {
        let each_us = |seconds: f64| seconds * 1e6 / self.appends;
        let ratio = baseline.map_or(1.0, |baseline| self.per_second() / baseline.per_second());
        println!(
            "{what:<60} {:>10.0} {:>9.1} {:>9.1} {ratio:>7.2}",
            self.per_second(),
            each_us(self.our_cpu_seconds),
            each_us(self.redis_cpu_seconds),
        );
    }
}

/// Appends for [`ROUND`] with `at_once` callers, each of which waits for its answer.
async fn measure<T, Work>(
    redis: &Redis,
    at_once: usize,
    with: &Arc<T>,
    envelope: &EncodedEnvelope,
    append: impl Fn(Arc<T>, EncodedEnvelope) -> Work + Clone + Send + 'static,
) -> anyhow::Result<Measured>
where
    T: Send + Sync + 'static,
    Work: Future<Output = anyhow::Result<()>> + Send,
{
    redis.empty().await?;
    let cpu = || anyhow::Ok((cpu_seconds("self")?, cpu_seconds(&redis.server.id().to_string())?));
    let (started_at, before) = (Instant::now(), cpu()?);
    let mut callers = JoinSet::new();
    for _ in 0..at_once {
        let (with, envelope, append) = (Arc::clone(with), envelope.clone(), append.clone());
        callers.spawn(async move {
            let mut appends = 0.0;
            while started_at.elapsed() < ROUND {
                append(Arc::clone(&with), envelope.clone()).await?;
                appends += 1.0;
            }
            anyhow::Ok(appends)
        });
    }
    let mut appends = 0.0;
    while let Some(caller) = callers.join_next().await {
        appends += caller??;
    }
    let after = cpu()?;
    Ok(Measured {
        appends,
        seconds: started_at.elapsed().as_secs_f64(),
        our_cpu_seconds: after.0 - before.0,
        redis_cpu_seconds: after.1 - before.1,
    })
}

/// CPU time that a process has used, in user mode and in the kernel.
fn cpu_seconds(process: &str) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let fields = stat.rsplit(')').next().context("a line of fields")?;
    let ticks: f64 =
        fields.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse().unwrap_or(0.0)).sum();
    Ok(ticks / TICKS_A_SECOND)
}

fn envelope(events: usize, bytes: usize) -> anyhow::Result<EncodedEnvelope> {
    let event = |number: usize| Event {
        id: Uuid::from_u128(number as u128),
        key_at: UnixMs(1_763_622_000_000),
        name: "$pageview".to_owned(),
        occurred_at: UnixMs(1_763_622_000_000),
        title: Some("t".repeat((bytes / events).saturating_sub(150))),
        anonymous_id: None,
        user_id: None,
        session_id: None,
        tab_id: None,
        seq: None,
        url: None,
        referrer: None,
        category: None,
        event_source: None,
        props: None,
    };
    let envelope = QueuedEnvelope {
        v: ENTRY_VERSION,
        envelope_id: Uuid::from_u128(7),
        project_id: 7,
        received_at: UnixMs(1_763_622_005_000),
        received: u32::try_from(events)?,
        from_browser: true,
        user_agent: None,
        place: Place::default(),
        address: None,
        context: tallymark_protocol::Context::default(),
        rejected: Vec::new(),
        events: (0..events).map(event).collect(),
    };
    Ok(EncodedEnvelope::encode(&envelope)?)
}

/// A redis-server of one's own, stopped when it is dropped.
struct Redis {
    url: String,
    server: Child,
    _dir: tempfile::TempDir,
}

impl Redis {
    async fn start(appendfsync: &str) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port().to_string();
        let server = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &port, "--save", "", "--appendonly", "yes"])
            .args(["--auto-aof-rewrite-percentage", "0", "--appendfsync", appendfsync, "--dir"])
            .arg(dir.path())
            .stdout(Stdio::null())
            .spawn()
            .context("starting redis-server")?;
        let redis = Self { url: format!("redis://127.0.0.1:{port}/"), server, _dir: dir };
        let started_at = Instant::now();
        while let Err(error) = redis.empty().await {
            anyhow::ensure!(
                started_at.elapsed() < Duration::from_secs(10),
                "Redis does not start: {error:#}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(redis)
    }

    async fn empty(&self) -> anyhow::Result<()> {
        let mut connection =
            redis::Client::open(self.url.as_str())?.get_multiplexed_async_connection().await?;
        Ok(redis::cmd("FLUSHALL").query_async(&mut connection).await?)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
