//! What is measured: capturing alone, and capturing until it is counted.

use std::collections::{BTreeMap, HashMap};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use sqlx::PgPool;
use uuid::Uuid;

use crate::baseline::{self, BareRoute};
use crate::load::{self, Pace, Sent, percentile, send};
use crate::process::{self, MemoryWatch, Watched};
use crate::request::Request;
use crate::servers::{Backends, FIRST_EVENTS, Fsync, Servers, Setup};

/// Sent before anything is measured.
const WARM_UP: Duration = Duration::from_millis(500);

/// How often it is looked for what is counted. As finely is the time known.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How long events may take to be counted after the last was sent.
const COUNTED_MAX: Duration = Duration::from_secs(300);

/// One envelope in so many is looked for: looking costs the database something.
const LOOKED_FOR: u64 = 5;

/// A run and what it took.
pub(crate) struct Run {
    pub(crate) name: String,
    /// Events in each envelope.
    pub(crate) events: u64,
    pub(crate) requests: u64,
    pub(crate) wall: Duration,
    /// CPU seconds by process.
    pub(crate) cpu: BTreeMap<&'static str, f64>,
    /// 99 of 100 requests took at most so many milliseconds: at full speed, and at half of [`asked_a_second`].
    pub(crate) p99_ms: (Option<f64>, Option<f64>),
    /// 99 of 100 envelopes were counted so many milliseconds after their acknowledgement.
    pub(crate) visible_p99_ms: Option<f64>,
    /// The most anonymous memory by process, in bytes.
    pub(crate) memory: BTreeMap<&'static str, u64>,
}

/// CPU of processes from a moment on.
struct CpuWatch(Vec<(Watched, f64)>);

impl CpuWatch {
    fn start(watched: &[Watched]) -> Self {
        Self(watched.iter().map(|one| (one.clone(), process::cpu(one.pid))).collect())
    }

    fn taken(&self, sender: f64) -> BTreeMap<&'static str, f64> {
        let each = self.0.iter().map(|(one, before)| (one.name, process::cpu(one.pid) - before));
        each.chain([("load", sender)]).collect()
    }
}

/// Capturing envelopes of `events` events for `time` while nobody processes; then at half of what is asked, for half as long.
pub(crate) async fn capture(
    backends: &Backends,
    setup: Setup,
    events: u64,
    time: Duration,
) -> anyhow::Result<Run> {
    let servers = Servers::start(backends, setup).await?;
    // Where a processor runs within, it waits for this table as long as the transaction is open.
    let mut no_commits = servers.pool.begin().await?;
    sqlx::query("lock table envelope_receipt in access exclusive mode").execute(&mut *no_commits).await?;
    let watched = [servers.watched(), backends.watched().to_vec()].concat();
    let request = || Request::new(&servers.write_key, events);
    let measured = flat_out(servers.address, &request, &watched, time).await?;
    no_commits.rollback().await?;
    Ok(Run { name: setup.name(), ..measured })
}

/// The same with the bare route, which keeps nothing.
pub(crate) async fn bare_route(events: u64, time: Duration) -> anyhow::Result<Run> {
    let route = BareRoute::start()?;
    let watched = [Watched { name: "axum", pid: route.pid() }];
    let measured = flat_out(route.address, &|| Request::new("wk_none", events), &watched, time).await?;
    Ok(Run { name: "bare axum: body as serde_json::Value".to_owned(), ..measured })
}

/// Appending the same bodies to Redis, by one pipelined connection.
pub(crate) async fn raw_append(
    backends: &Backends,
    fsync: Fsync,
    events: u64,
    time: Duration,
) -> anyhow::Result<Run> {
    backends.fresh_redis(fsync).await?;
    let request = Request::new("wk_none", events);
    let done = baseline::append(backends.redis_url.clone(), request, backends.redis_pid, time).await?;
    Ok(Run {
        name: format!("raw XADD, {}", fsync.as_str()),
        events,
        requests: done.entries,
        wall: done.wall,
        cpu: BTreeMap::from([("Redis", done.redis_cpu), ("load", done.client_cpu)]),
        p99_ms: (None, None),
        visible_p99_ms: None,
        memory: BTreeMap::new(),
    })
}

/// Requests that a collector is to take in a second, on two cores of which it has about one.
const fn asked_a_second(events: u64) -> f64 {
    if events == 1 { 20_000.0 } else { 4_000.0 }
}

async fn flat_out(
    address: std::net::SocketAddr,
    request: &impl Fn() -> Request,
    watched: &[Watched],
    time: Duration,
) -> anyhow::Result<Run> {
    send(address, request(), Pace::AsFastAsItGoes(WARM_UP), None).await?;
    let (memory, cpu) = (MemoryWatch::start(watched.to_vec()), CpuWatch::start(watched));
    let sent = send(address, request(), Pace::AsFastAsItGoes(time), None).await?;
    let cpu = cpu.taken(sent.cpu);
    let rate = asked_a_second(request().events()) / 2.0;
    let half = send(address, request(), Pace::PerSecond(rate, time / 2), None).await?;
    Ok(Run {
        memory: memory.peaks(),
        cpu,
        p99_ms: (Some(sent.p99_ms()), Some(half.p99_ms())),
        ..run(request(), &sent)
    })
}

fn run(request: Request, sent: &Sent) -> Run {
    Run {
        name: String::new(),
        events: request.events(),
        requests: sent.requests,
        wall: sent.wall,
        cpu: BTreeMap::new(),
        p99_ms: (None, None),
        visible_p99_ms: None,
        memory: BTreeMap::new(),
    }
}

/// Sending `envelopes` as fast as it goes with the processor running, until all of their events are counted.
pub(crate) async fn until_counted(
    backends: &Backends,
    setup: Setup,
    events: u64,
    envelopes: u64,
) -> anyhow::Result<Run> {
    let mut servers = Servers::start(backends, setup).await?;
    servers.process()?;
    let watched = [servers.watched(), backends.watched().to_vec()].concat();
    let (memory, cpu) = (MemoryWatch::start(watched.clone()), CpuWatch::start(&watched));
    let (request, started) = (Request::new(&servers.write_key, events), Instant::now());
    let sent = send(servers.address, request.clone(), Pace::Count(envelopes), None).await?;
    while counted(&servers.pool).await? < FIRST_EVENTS + envelopes * events {
        ensure!(started.elapsed() < COUNTED_MAX, "not all events were counted");
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let (wall, cpu) = (started.elapsed(), cpu.taken(sent.cpu));
    let name = format!("{}, until counted", setup.name());
    Ok(Run { name, wall, cpu, memory: memory.peaks(), ..run(request, &sent) })
}

/// Events in all commits so far.
async fn counted(pool: &PgPool) -> anyhow::Result<u64> {
    let count: i64 = sqlx::query_scalar("select coalesce(sum(accepted), 0)::bigint from commit_log")
        .fetch_one(pool)
        .await?;
    Ok(u64::try_from(count)?)
}

/// Sending `events_a_second` for `time` with the processor running, and how long it takes after each answer until the
/// events are counted.
pub(crate) async fn visible(
    backends: &Backends,
    setup: Setup,
    events: u64,
    events_a_second: u32,
    time: Duration,
) -> anyhow::Result<Run> {
    let mut servers = Servers::start(backends, setup).await?;
    servers.process()?;
    let watched = [servers.watched(), backends.watched().to_vec()].concat();
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let pace = |time| Pace::PerSecond(f64::from(events_a_second) / events as f64, time);
    let request = Request::new(&servers.write_key, events);
    send(servers.address, request.clone(), pace(WARM_UP), None).await?;
    let (memory, cpu) = (MemoryWatch::start(watched.clone()), CpuWatch::start(&watched));
    let (acknowledge, acknowledged) = mpsc::channel();
    let looking = look_for(&servers, &request, acknowledged);
    let sending = send(servers.address, request.clone(), pace(time), Some(acknowledge));
    let (sent, visible_us) = tokio::join!(sending, looking);
    let (sent, visible_us) = (sent?, visible_us?);
    Ok(Run {
        name: format!("{}, {events_a_second} events/s", setup.name()),
        cpu: cpu.taken(sent.cpu),
        memory: memory.peaks(),
        p99_ms: (Some(sent.p99_ms()), None),
        visible_p99_ms: Some(f64::from(percentile(&visible_us, 99)) / 1_000.0),
        ..run(request, &sent)
    })
}

/// Looks for acknowledged events until nobody sends any more and all are there; says how long each took.
async fn look_for(
    servers: &Servers,
    request: &Request,
    acknowledged: mpsc::Receiver<load::Acknowledged>,
) -> anyhow::Result<Vec<u32>> {
    let (mut waiting, mut took_us, mut is_over) = (HashMap::<Uuid, Instant>::new(), Vec::new(), false);
    let started = Instant::now();
    while !is_over || !waiting.is_empty() {
        ensure!(started.elapsed() < COUNTED_MAX, "{} envelopes were not counted", waiting.len());
        tokio::time::sleep(LOOK_EVERY).await;
        loop {
            match acknowledged.try_recv() {
                Ok((event, at)) if (event / request.events()).is_multiple_of(LOOKED_FOR) => {
                    waiting.insert(request.id_of(event), at);
                }
                Ok(_) => {}
                Err(mpsc::TryRecvError::Empty) => break,
                Err(mpsc::TryRecvError::Disconnected) => {
                    is_over = true;
                    break;
                }
            }
        }
        let wanted: Vec<Uuid> = waiting.keys().copied().collect();
        for id in stored(servers, &wanted).await? {
            if let Some(at) = waiting.remove(&id) {
                took_us.push(u32::try_from(at.elapsed().as_micros()).unwrap_or(u32::MAX));
            }
        }
    }
    took_us.sort_unstable();
    Ok(took_us)
}

/// Those of `ids` that are stored: with what they count, in one transaction.
async fn stored(servers: &Servers, ids: &[Uuid]) -> anyhow::Result<Vec<Uuid>> {
    let Some(any) = ids.first() else { return Ok(Vec::new()) };
    // All are of one run, and so of one day, or of two around midnight: then those of the other wait for ever.
    let seconds = tallymark_protocol::time_in_v7(*any).map_or(0, |at| at.0 / 1_000);
    let query = "select id from event where project_id = $1 and id = any($2) \
                 and day = (to_timestamp($3::bigint) at time zone 'UTC')::date";
    Ok(sqlx::query_scalar(query)
        .bind(servers.project_id)
        .bind(ids)
        .bind(seconds)
        .fetch_all(&servers.pool)
        .await?)
}
