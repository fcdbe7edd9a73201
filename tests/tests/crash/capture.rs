//! Kills of whoever answered 202.

use std::sync::Arc;

use anyhow::Context;
use tallymark_queue::{EmbeddedConfig, EmbeddedQueue, Queue};
use tallymark_store::Store;
use tallymark_tests::browsers::Browsers;
use tallymark_tests::databases::{TestStore, on_postgres};
use tallymark_tests::patience::until;
use tallymark_tests::product::{self, Role};
use tallymark_tests::world::Dice;
use tallymark_tests::{drive, oracle};

use crate::KILLS;
use crate::support::{Keys, drain, redis_url, world_of_now};

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_after_202_has_everything_it_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    serve_and_kill(folder.path()).await.unwrap();
}

async fn serve_and_kill(folder: &std::path::Path) -> anyhow::Result<()> {
    let world = world_of_now(21);
    let zone = world.projects[0].time_zone;
    let made = product::json(
        folder,
        &["project", "create", "shop", "--timezone", zone, "--json", "--data-dir", "data"],
    )?;
    let project_id: i32 = made["id"].as_str().context("an id")?.parse()?;
    let browsers = Browsers::of(&world, made["write_key"].as_str().context("a key")?)?;
    let serve = || {
        Role::start(folder, &["serve", "--data-dir", "data", "--listen", "127.0.0.1:0", "--linger-ms", "20"])
    };
    let mut dice = Dice::new(21);
    let each = world.requests.len() / (KILLS + 1);
    for _ in 0..KILLS {
        browsers.send_and_kill(serve()?, 1 + dice.below(each)).await?;
    }
    let mut server = serve()?;
    browsers.send_all(&mut server).await?;
    server.stop()?;

    // What the last server left in its queue when it was asked to stop, the next one would take up.
    let store = Store::open(&format!("sqlite:{}", folder.join("data/tallymark.db").display())).await?;
    let queue: Arc<dyn Queue> =
        Arc::new(EmbeddedQueue::open(EmbeddedConfig::new(folder.join("data/queue"))).await?);
    drain(&store, &queue).await?;
    oracle::assert_true_but_for_retries(&store, &world, &[project_id]).await?;
    queue.close().await;
    store.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_killed_after_202_has_handed_everything_on() {
    on_postgres(async |test| collect_and_kill(test).await).await;
}

async fn collect_and_kill(test: TestStore) -> anyhow::Result<()> {
    let world = world_of_now(22);
    let project_ids = drive::create_projects(&test, &world).await?;
    let (key, _) = test.write_keys().await?.remove(0);
    let (keys, folder) = (Keys::new(), tempfile::tempdir()?);
    let redis_url = redis_url();
    let redis = ["--redis-url", &redis_url, "--redis-prefix", &keys.prefix];
    // It also tells the collectors about the project.
    let process = [&["process", "--database-url", &test.address], &redis[..]].concat();
    let mut processor = Role::start(folder.path(), &process)?;
    let collect = [&["collect", "--listen", "127.0.0.1:0"], &redis[..]].concat();
    let browsers = Browsers::of(&world, &key)?;
    wait_for_key(&mut processor, &browsers, folder.path(), &collect).await?;
    let mut dice = Dice::new(22);
    let each = world.requests.len() / (KILLS + 1);
    for _ in 0..KILLS {
        let collector = Role::start(folder.path(), &collect)?;
        browsers.send_and_kill(collector, 1 + dice.below(each)).await?;
    }
    let mut collector = Role::start(folder.path(), &collect)?;
    browsers.send_all(&mut collector).await?;
    collector.stop()?;
    let queue = keys.queue()?;
    until("the queue is empty", async || {
        processor.running()?;
        Ok(queue.backlog().await?.entries == 0)
    })
    .await?;
    processor.stop()?;
    oracle::assert_true_but_for_retries(&test, &world, &project_ids).await?;
    keys.remove().await
}

/// Waits until collectors know the project's key: with an envelope of no events, which changes no number.
async fn wait_for_key(
    processor: &mut Role,
    browsers: &Browsers,
    folder: &std::path::Path,
    collect: &[&str],
) -> anyhow::Result<()> {
    let mut collector = Role::start(folder, collect)?;
    let address = collector.address()?;
    until("collectors know the project", async || {
        processor.running()?;
        browsers.is_key_known(&address).await
    })
    .await?;
    collector.stop()
}
