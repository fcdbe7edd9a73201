//! `cargo xtask bench commit`: events a second and CPU an event of the full commit, beside plain text COPY
//! (PostgreSQL) or insert (SQLite) of the same rows in the same run; the same again while another connection holds
//! a snapshot open; and bytes an event of everything that is stored.

mod baseline;
mod cpu;
mod load;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use futures_util::{StreamExt, TryStreamExt};
use sqlx::PgPool;
use tallymark_processor::{Enricher, commit, parallel_commits};
use tallymark_protocol::UnixMs;
use tallymark_queue::QueuedEnvelope;
use tallymark_store::{Batch, EnvelopeRow, NewProject, Store};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BATCH_EVENTS: usize = 5_000;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    #[expect(clippy::disallowed_methods, reason = "a bench's size and its server come from who runs it")]
    let (size, url) = (
        std::env::var("TALLYMARK_BENCH_EVENTS")
            .map_or(400_000, |text| text.parse().expect("a number of events")),
        std::env::var("TALLYMARK_TEST_DATABASE_URL"),
    );
    let sessions = size / 8;
    println!("{size} events in sessions of 8, batches of {BATCH_EVENTS}");
    println!("{:<34} {:>10} {:>9} {:>9} {:>11}", "", "events/s", "µs ours", "µs server", "of baseline");
    on_sqlite(sessions).await?;
    match url {
        Ok(url) => on_postgres(&url, sessions).await,
        Err(_) => anyhow::bail!("TALLYMARK_TEST_DATABASE_URL is not set; run `cargo xtask bench commit`"),
    }
}

async fn on_postgres(url: &str, sessions: usize) -> anyhow::Result<()> {
    let (admin_url, name) = (url, "tallymark_bench_commit");
    let admin = PgPool::connect(admin_url).await.context("connecting to PostgreSQL")?;
    sqlx::query(sqlx::AssertSqlSafe(format!("drop database if exists {name} with (force)")))
        .execute(&admin)
        .await?;
    sqlx::query(sqlx::AssertSqlSafe(format!("create database {name}"))).execute(&admin).await?;
    let url = url.rsplit_once('/').map(|(server, _)| format!("{server}/{name}")).context("a database URL")?;
    let pool = PgPool::connect(&url).await?;
    let (server,): (i32,) =
        sqlx::query_as("select pid from pg_stat_activity where backend_type = 'checkpointer'")
            .fetch_one(&pool)
            .await?;
    let server = parent_of(server.cast_unsigned());
    let store = Store::open(&url).await?;
    let (project_id, now) = prepare(&store).await?;

    let batches = batches(load::envelopes(project_id, sessions, now));
    let plain = baseline::copy(&pool, &batches, server).await?;
    report("PostgreSQL: text COPY", &plain, None);
    let run = committed(&store, &batches, server).await?;
    report("PostgreSQL: commit", &run, Some(&plain));
    let events = sqlx::query_as::<_, (i64,)>("select count(*) from event").fetch_one(&pool).await?.0;
    anyhow::ensure!(usize::try_from(events)? == run.events, "{events} events are stored, not {}", run.events);
    baseline::relation_sizes(&pool, run.events).await?;

    let mut snapshot = pool.begin().await?;
    sqlx::query("set transaction isolation level repeatable read").execute(&mut *snapshot).await?;
    sqlx::query("select count(*) from project").execute(&mut *snapshot).await?;
    let other = prepare_project(&store, now).await?;
    let batches = self::batches(load::envelopes(other, sessions, now));
    let run = committed(&store, &batches, server).await?;
    report("PostgreSQL: under a snapshot", &run, Some(&plain));
    drop(snapshot);
    store.close().await;
    pool.close().await;
    sqlx::query(sqlx::AssertSqlSafe(format!("drop database if exists {name} with (force)")))
        .execute(&admin)
        .await?;
    Ok(())
}

async fn on_sqlite(sessions: usize) -> anyhow::Result<()> {
    let directory = std::env::temp_dir().join(format!("tallymark-bench-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let file = directory.join("bench.db");
    let store = Store::open(&format!("sqlite:{}", file.display())).await?;
    let (project_id, now) = prepare(&store).await?;
    let batches = batches(load::envelopes(project_id, sessions, now));
    let plain = baseline::insert(&directory.join("plain.db"), &batches).await?;
    report("SQLite: plain insert", &plain, None);
    let run = committed(&store, &batches, None).await?;
    report("SQLite: commit", &run, Some(&plain));
    store.close().await;
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let bytes = std::fs::metadata(&file)?.len() as f64 / run.events as f64;
    println!("SQLite: {bytes:.0} bytes an event, the whole file\n");
    std::fs::remove_dir_all(&directory)?;
    Ok(())
}

async fn prepare(store: &Store) -> anyhow::Result<(i32, UnixMs)> {
    store.migrate().await?;
    #[expect(clippy::disallowed_methods, reason = "a bench runs now")]
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let now = UnixMs(i64::try_from(now.as_millis())?);
    store.ensure_days(now, &[]).await?;
    Ok((prepare_project(store, now).await?, now))
}

async fn prepare_project(store: &Store, now: UnixMs) -> anyhow::Result<i32> {
    let write_key = format!("wk_{:024}", now.0 + i64::from(store.projects().await?.len() == 1));
    let project = NewProject {
        name: "bench".to_owned(),
        time_zone: "Europe/Berlin".to_owned(),
        sketch_key: [7; 16],
        write_key,
        created_at: now,
    };
    Ok(store.create_project(&project).await?)
}

/// A measured run.
pub(crate) struct Run {
    pub(crate) events: usize,
    pub(crate) wall: Duration,
    pub(crate) cpu: cpu::Cpu,
    pub(crate) compacting: Option<Duration>,
}

fn batches(envelopes: Vec<QueuedEnvelope>) -> Vec<Batch> {
    let mut enricher = Enricher::default();
    let started = Instant::now();
    let rows: Vec<EnvelopeRow> = envelopes.into_iter().map(|envelope| enricher.enrich(envelope)).collect();
    let events: usize = rows.iter().map(|row| row.events.len()).sum();
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let each_us = started.elapsed().as_secs_f64() * 1e6 / events as f64;
    println!("enriching, before the commit: {each_us:.2} µs an event");
    let mut batches = vec![Batch::default()];
    let mut filled = 0;
    for row in rows {
        if filled >= BATCH_EVENTS {
            batches.push(Batch::default());
            filled = 0;
        }
        filled += row.events.len();
        batches.last_mut().expect("never empty").envelopes.push(row);
    }
    batches
}

/// Commits all batches with the compactor beside them, as a processor does.
async fn committed(store: &Store, batches: &[Batch], server: Option<u32>) -> anyhow::Result<Run> {
    let stop = Arc::new(AtomicBool::new(false));
    let compacting_us = Arc::new(AtomicU64::new(0));
    let compactor = {
        let (store, stop, compacting_us) = (store.clone(), Arc::clone(&stop), Arc::clone(&compacting_us));
        async move {
            loop {
                let last = stop.load(Ordering::Relaxed);
                let started = Instant::now();
                store.compact_all().await?;
                #[expect(clippy::cast_possible_truncation, reason = "a bench's time")]
                compacting_us.fetch_add(started.elapsed().as_micros() as u64, Ordering::Relaxed);
                if last {
                    return anyhow::Ok(());
                }
                let rest = (started.elapsed() * 9).clamp(Duration::from_secs(1), Duration::from_secs(10));
                tokio::time::sleep(rest).await;
            }
        }
    };
    let (started, before) = (Instant::now(), cpu::now(server));
    let committer = async {
        let commits = futures_util::stream::iter(batches).map(|batch| commit(store, batch));
        let commits =
            commits.buffer_unordered(parallel_commits(store.kind())).map_ok(|committed| committed.accepted);
        let events = commits.try_fold(0, |all, accepted| async move { Ok(all + accepted) }).await?;
        stop.store(true, Ordering::Relaxed);
        anyhow::Ok((events, started.elapsed()))
    };
    let (counted, compacted) = tokio::join!(committer, compactor);
    let (events, wall) = counted?;
    compacted?;
    let after = cpu::now(server);
    let cpu = cpu::Cpu { ours: after.ours - before.ours, server: after.server - before.server };
    let compacting = Some(Duration::from_micros(compacting_us.load(Ordering::Relaxed)));
    Ok(Run { events, wall, cpu, compacting })
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn report(name: &str, run: &Run, baseline: Option<&Run>) {
    let rate = |run: &Run| run.events as f64 / run.wall.as_secs_f64();
    let share =
        baseline.map_or(String::new(), |baseline| format!("{:.0} %", 100.0 * rate(run) / rate(baseline)));
    let us = |seconds: f64| seconds * 1e6 / run.events as f64;
    let (ours, server) = (us(run.cpu.ours), us(run.cpu.server));
    println!("{name:<34} {:>10.0} {ours:>9.2} {server:>9.2} {share:>11}", rate(run));
    if let Some(compacting) = run.compacting {
        println!("    compactor: {:.2} s of {:.2} s", compacting.as_secs_f64(), run.wall.as_secs_f64());
    }
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}
