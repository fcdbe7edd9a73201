//! An envelope that ends whoever processes it alone, and one that can never work: neither takes others along.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tallymark_processor::{Processor, ProcessorConfig};
use tallymark_protocol::UnixMs;
use tallymark_queue::{
    ENTRY_VERSION, EmbeddedConfig, EmbeddedQueue, Queue, QueuedEnvelope, RedisConfig, RedisQueue,
};
use tallymark_tests::databases::{Sql, TestStore, on_postgres};
use tallymark_tests::patience::until;
use tallymark_tests::product::Role;
use tallymark_tests::redis::PrivateRedis;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::made::{envelope, now, project};

/// Envelopes that nothing is wrong with.
const GOOD: u128 = 10;

/// Makes a database in which whoever commits the event `poison` stands still, to be killed over it.
const MAKE_POISON: &str = "create function stand_still() returns trigger language plpgsql as $$ begin \
    if new.name = 'poison' then perform pg_sleep(120); end if; return new; end $$";
const USE_POISON: &str =
    "create trigger stand_still before insert on event for each row execute function stand_still()";
const STANDING: &str = "select count(*) from pg_stat_activity where wait_event = 'PgSleep' \
    and datname = current_database()";
const LET_GO: &str = "select count(pg_terminate_backend(pid)) from pg_stat_activity \
    where wait_event = 'PgSleep' and datname = current_database()";

async fn append_all(queue: &dyn Queue, project_id: i32) -> anyhow::Result<()> {
    for number in 0..GOOD {
        queue.append(&envelope(project_id, number, "good", now())).await?;
    }
    Ok(queue.append(&envelope(project_id, 99, "poison", now())).await?)
}

/// Starts `role` again and again, and kills it over the poison each time, until `is_over`. Answers how often.
async fn kill_over_poison(
    sql: &mut Sql,
    role: impl Fn() -> anyhow::Result<Role>,
    mut is_over: impl AsyncFnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<usize> {
    for kills in 0..20 {
        let (mut running, mut over) = (role()?, false);
        until("the poison is tried, or given up", async || {
            running.running()?;
            over = is_over().await?;
            Ok(over || sql.number(STANDING).await? > 0)
        })
        .await?;
        if over {
            running.stop()?;
            return Ok(kills);
        }
        running.kill()?;
        sql.number(LET_GO).await?;
        until("its transaction is gone", async || Ok(sql.number(STANDING).await? == 0)).await?;
    }
    anyhow::bail!("it is tried again and again")
}

/// What must hold once the poison is with the dead letters: the others are counted, and it is as soon as it is none.
async fn check(sql: &mut Sql, queue: &dyn Queue, kills: usize) -> anyhow::Result<()> {
    // Three times under suspicion of nobody, three times alone.
    ensure!(kills == 6, "it was killed {kills} times");
    ensure!(sql.number("select count(*) from event where name = 'good'").await? == GOOD as i64);
    ensure!(sql.number("select count(*) from event where name = 'poison'").await? == 0);
    let letters = queue.dead_letters(None, 10).await?;
    ensure!(letters.len() == 1 && letters[0].reason.contains("the process ended"), "{letters:?}");
    ensure!(letters[0].envelope_id == Some(Uuid::from_u128(99)), "{letters:?}");
    sql.run("drop trigger stand_still on event").await?;
    ensure!(queue.replay(&[letters[0].id]).await? == 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_envelope_that_ends_each_processor_is_set_aside_and_the_others_count() {
    on_postgres(async |test| {
        let project_id = project(&test).await?;
        let (redis, folder) = (PrivateRedis::start().await?, tempfile::tempdir()?);
        let url = redis.url_with_password();
        let queue = RedisQueue::new(&RedisConfig::new(&url))?;
        append_all(&queue, project_id).await?;
        let mut sql = test.sql().await?;
        sql.run(MAKE_POISON).await?;
        sql.run(USE_POISON).await?;
        let process = ["process", "--redis-url", &url, "--database-url", &test.address];
        let process = [&process[..], &["--linger-ms", "20", "--reclaim-idle-seconds", "1"]].concat();
        let start = || Role::start(folder.path(), &process);
        let is_over = async || Ok(queue.backlog().await?.dead_letters == 1);
        let kills = kill_over_poison(&mut sql, start, is_over).await?;
        check(&mut sql, &queue, kills).await?;
        let mut last = start()?;
        until("it is counted", async || {
            last.running()?;
            Ok(queue.backlog().await?.entries == 0)
        })
        .await?;
        last.stop()?;
        ensure!(sql.number("select count(*) from event where name = 'poison'").await? == 1);
        queue.close().await;
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_envelope_that_ends_each_server_is_set_aside_and_the_others_count() {
    on_postgres(async |test| {
        let project_id = project(&test).await?;
        let folder = tempfile::tempdir()?;
        let at = folder.path().join("data/queue");
        let open = async || EmbeddedQueue::open(EmbeddedConfig::new(&at)).await.context("the queue opens");
        let queue = open().await?;
        append_all(&queue, project_id).await?;
        queue.close().await;
        let mut sql = test.sql().await?;
        sql.run(MAKE_POISON).await?;
        sql.run(USE_POISON).await?;
        let serve = ["serve", "--data-dir", "data", "--listen", "127.0.0.1:0", "--linger-ms", "20"];
        let serve = [&serve[..], &["--database-url", &test.address]].concat();
        let start = || Role::start(folder.path(), &serve);
        let is_over = async || Ok(has_dead_letter(&at));
        let kills = kill_over_poison(&mut sql, start, is_over).await?;
        let queue = open().await?;
        check(&mut sql, &queue, kills).await?;
        queue.close().await;
        let mut last = start()?;
        until("it is counted", async || {
            last.running()?;
            Ok(sql.number("select count(*) from event where name = 'poison'").await? == 1)
        })
        .await?;
        last.stop()
    })
    .await;
}

fn has_dead_letter(queue: &Path) -> bool {
    std::fs::metadata(queue.join("dead-letters.log")).is_ok_and(|file| file.len() > 0)
}

/// Runs a processor in this process while `scenario` goes on.
async fn processing(
    test: &TestStore,
    queue: &Arc<dyn Queue>,
    scenario: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let config = ProcessorConfig {
        linger: Duration::from_millis(20),
        reclaim_idle: Duration::from_millis(100),
        ..ProcessorConfig::default()
    };
    let now = Arc::new(|| UnixMs(jiff::Timestamp::now().as_millisecond()));
    let processor = Processor::new(test.store.clone(), Arc::clone(queue), config, now);
    let shutdown = CancellationToken::new();
    let scenario = async {
        let _stops_the_processor = shutdown.clone().drop_guard(); // where the scenario fails, too
        scenario.await
    };
    let ((), done) = tokio::join!(processor.run(shutdown.clone()), scenario);
    done
}

#[tokio::test(flavor = "multi_thread")]
async fn an_envelope_that_can_never_work_is_tried_three_times_and_set_aside() {
    on_postgres(async |test| {
        let project_id = project(&test).await?;
        let folder = tempfile::tempdir()?;
        let queue: Arc<dyn Queue> = Arc::new(EmbeddedQueue::open(EmbeddedConfig::new(folder.path())).await?);
        for number in 0..GOOD {
            queue.append(&envelope(project_id, number, "good", now())).await?;
        }
        queue.append(&envelope(project_id + 1, 99, "of nobody", now())).await?;
        let later =
            QueuedEnvelope { v: ENTRY_VERSION + 1, ..envelope(project_id, 100, "of tomorrow", now()) };
        queue.append(&later).await?;
        processing(&test, &queue, async {
            until("nothing waits", async || Ok(queue.backlog().await?.entries == 0)).await
        })
        .await?;
        let mut sql = test.sql().await?;
        ensure!(sql.number("select count(*) from event").await? == GOOD as i64);
        let letters = queue.dead_letters(None, 10).await?;
        let reasons: Vec<&str> = letters.iter().map(|letter| letter.reason.as_str()).collect();
        ensure!(letters.len() == 2, "{reasons:?}");
        ensure!(reasons[0].contains("there is no project") && reasons[1].contains("form 2"), "{reasons:?}");
        queue.close().await;
        Ok(())
    })
    .await;
}

/// A store that is away is nobody's fault, however often an entry is taken over meanwhile, alone too.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_is_counted_against_no_envelope() {
    on_postgres(async |test| {
        let project_id = project(&test).await?;
        let folder = tempfile::tempdir()?;
        let queue: Arc<dyn Queue> = Arc::new(EmbeddedQueue::open(EmbeddedConfig::new(folder.path())).await?);
        for number in 0..GOOD {
            queue.append(&envelope(project_id, number, "good", now())).await?;
        }
        // Under suspicion already.
        let everything = tallymark_queue::BatchLimit::default();
        let handles: Vec<_> =
            queue.read(everything, Duration::ZERO).await?.iter().map(|d| d.handle).collect();
        for _ in 0..5 {
            queue.reclaim(everything, Duration::ZERO).await?;
        }
        let mut sql = test.sql().await?;
        sql.run("alter table event rename to event_away").await?;
        for _ in 0..2 {
            // Stopped over it, twice.
            processing(&test, &queue, async {
                tokio::time::sleep(Duration::from_millis(700)).await; // shorter makes the test weaker, never red
                Ok(())
            })
            .await?;
        }
        ensure!(queue.backlog().await?.entries == GOOD as u64, "nothing is given up");
        for handle in handles {
            let tries = queue.begin_alone(handle).await?;
            ensure!(tries == 1, "{} tries were counted", tries - 1);
            queue.withdraw_alone(handle).await?;
        }
        sql.run("alter table event_away rename to event").await?;
        processing(&test, &queue, async {
            until("nothing waits", async || Ok(queue.backlog().await?.entries == 0)).await
        })
        .await?;
        ensure!(sql.number("select count(*) from event").await? == GOOD as i64);
        ensure!(queue.backlog().await?.dead_letters == 0);
        queue.close().await;
        Ok(())
    })
    .await;
}
