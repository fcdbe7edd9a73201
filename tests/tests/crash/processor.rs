//! Kills of `tallymark process`, on Redis and PostgreSQL.

use std::time::Duration;

use tallymark_tests::databases::{TestStore, on_postgres};
use tallymark_tests::patience::until;
use tallymark_tests::product::Role;
use tallymark_tests::world::{Dice, Shape, World};
use tallymark_tests::{drive, oracle};

use crate::KILLS;
use crate::proxy::AckStop;
use crate::support::{Keys, drain, redis_url};

fn arguments<'a>(test: &'a TestStore, keys: &'a Keys, redis_url: &'a str) -> [&'a str; 9] {
    let (database, prefix) = (test.address.as_str(), keys.prefix.as_str());
    let common = ["process", "--database-url", database, "--redis-url", redis_url, "--redis-prefix", prefix];
    let [a, b, c, d, e, f, g] = common;
    [a, b, c, d, e, f, g, "--batch-max", "25"]
}

/// Every batch is committed, and no ack ever gets through.
#[tokio::test(flavor = "multi_thread")]
async fn a_processor_killed_between_commit_and_ack_counts_nothing_twice() {
    on_postgres(async |test| {
        let world = World::generate(11, &Shape { visitors: 25, ..Shape::default() });
        let projects = drive::create_projects(&test, &world).await?;
        let entries = world.queued(&projects);
        let keys = Keys::new();
        let queue = keys.queue()?;
        let proxy = AckStop::before(&redis_url()).await?;
        let folder = tempfile::tempdir()?;
        let mut sql = test.sql().await?;
        let (mut appended, mut committed) = (0, 0);
        for part in entries.chunks(entries.len().div_ceil(KILLS)) {
            for entry in part {
                queue.append(entry).await?;
                appended += 1;
            }
            let mut processor = Role::start(folder.path(), &arguments(&test, &keys, &proxy.url))?;
            until("it acks", async || processor.running().map(|()| proxy.was_asked())).await?;
            processor.kill()?;
            let receipts = sql.number("select count(*) from envelope_receipt").await?;
            anyhow::ensure!(receipts > committed, "killed before it had committed anything");
            committed = receipts;
        }
        assert_eq!(queue.backlog().await?.entries, appended, "an ack got through");
        drain(&test, &queue).await?;
        oracle::assert_true(&test, &world, &projects).await?;
        keys.remove().await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_processor_killed_at_any_moment_counts_everything_once() {
    on_postgres(async |test| {
        let world = World::generate(12, &Shape { visitors: 25, ..Shape::default() });
        let projects = drive::create_projects(&test, &world).await?;
        let entries = world.queued(&projects);
        let keys = Keys::new();
        let queue = keys.queue()?;
        let (folder, redis_url) = (tempfile::tempdir()?, redis_url());
        let mut dice = Dice::new(12);
        for part in entries.chunks(entries.len().div_ceil(KILLS)) {
            for entry in part {
                queue.append(entry).await?;
            }
            let before = queue.backlog().await?;
            let mut processor = Role::start(folder.path(), &arguments(&test, &keys, &redis_url))?;
            // Once it has taken something: at any moment of the commit, the ack, and those that follow.
            until("it works", async || {
                processor.running()?;
                let now = queue.backlog().await?;
                Ok(now.entries - now.pending < before.entries - before.pending)
            })
            .await?;
            tokio::time::sleep(Duration::from_millis(dice.roll() % 50)).await;
            processor.kill()?;
        }
        drain(&test, &queue).await?;
        oracle::assert_true(&test, &world, &projects).await?;
        keys.remove().await
    })
    .await;
}
