//! A Redis that is away: collectors go on answering, and everything counts once.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tallymark_queue::{Queue, RedisConfig, RedisQueue};
use tallymark_tests::browsers::Browsers;
use tallymark_tests::databases::{TestStore, on_postgres};
use tallymark_tests::patience::until;
use tallymark_tests::product::{self, Role};
use tallymark_tests::redis::PrivateRedis;
use tallymark_tests::world::{Shape, World};
use tallymark_tests::{drive, oracle};
use tempfile::TempDir;
use tokio::time::Instant;

/// Requests that are taken during each of the things that happen.
const EACH: usize = 20;

/// A site, a collector and a processor over a Redis of its own.
struct Site {
    redis: PrivateRedis,
    folder: TempDir,
    world: World,
    projects: Vec<i32>,
    browsers: Arc<Browsers>,
    processor: Role,
    collector: Option<Role>,
    address: String,
}

impl Site {
    async fn start(test: &TestStore, seed: u64) -> anyhow::Result<Self> {
        let now_ms = jiff::Timestamp::now().as_millisecond();
        let shape = Shape {
            now_ms,
            projects: 1,
            visitors: 60,
            wrong_clocks: false,
            located: false,
            ..Shape::default()
        };
        let world = World::generate(seed, &shape);
        let projects = drive::create_projects(test, &world).await?;
        let (key, _) = test.write_keys().await?.remove(0);
        let browsers = Browsers::of(&world, &key)?;
        let (redis, folder) = (PrivateRedis::start().await?, tempfile::tempdir()?);
        let processor = processor(&redis, folder.path(), &test.address)?;
        let (collector, address) = collector(&redis, folder.path())?;
        let collector = Some(collector);
        let mut site = Self { redis, folder, world, projects, browsers, processor, collector, address };
        until("the collector knows the project", async || {
            site.processor.running()?;
            site.browsers.is_key_known(&site.address).await
        })
        .await?;
        Ok(site)
    }

    /// Sends some, none of which may be refused.
    async fn send(&self, requests: usize) -> anyhow::Result<()> {
        let refusals = self.browsers.refusals();
        let taken = self.browsers.send(std::slice::from_ref(&self.address), requests).end().await?;
        ensure!(taken >= requests, "only {taken} were taken");
        ensure!(self.browsers.refusals() == refusals, "some were refused");
        Ok(())
    }

    /// What the collector answers at `path`, where it answers well.
    async fn ask(&self, path: &str) -> anyhow::Result<String> {
        Ok(reqwest::get(format!("{}{path}", self.address)).await?.error_for_status()?.text().await?)
    }

    fn spooled(&self) -> anyhow::Result<u64> {
        let url = self.redis.url_with_password();
        let status = product::json(self.folder.path(), &["status", "--json", "--redis-url", &url])?;
        let entries = status["server"]["spool"]["entries"].as_u64();
        entries.ok_or_else(|| anyhow::anyhow!("no spool in {status}"))
    }

    /// Sends what is left, waits until all of it is counted, and holds it against the world.
    async fn settle(mut self, test: &TestStore) -> anyhow::Result<()> {
        self.browsers.send(std::slice::from_ref(&self.address), usize::MAX).end().await?;
        ensure!(self.browsers.left().await == 0, "some were never taken");
        until("the spool is empty", async || {
            self.collector.as_mut().context("a collector")?.running()?;
            Ok(self.spooled()? == 0)
        })
        .await?;
        let queue = RedisQueue::new(&RedisConfig::new(self.redis.url_with_password()))?;
        until("everything is processed", async || {
            self.processor.running()?;
            Ok(queue.backlog().await?.entries == 0)
        })
        .await?;
        ensure!(queue.backlog().await?.dead_letters == 0, "entries were set aside");
        queue.close().await;
        self.collector.context("a collector")?.stop()?;
        self.processor.stop()?;
        oracle::assert_true_but_for_retries(test, &self.world, &self.projects).await
    }
}

fn processor(redis: &PrivateRedis, folder: &Path, database: &str) -> anyhow::Result<Role> {
    let url = redis.url_with_password();
    let data = ["--database-url", database, "--linger-ms", "50", "--reclaim-idle-seconds", "2"];
    Role::start(folder, &[&["process", "--redis-url", &url][..], &data].concat())
}

fn collector(redis: &PrivateRedis, folder: &Path) -> anyhow::Result<(Role, String)> {
    let url = redis.url_with_password();
    let mut role = Role::start(folder, &["collect", "--redis-url", &url, "--listen", "127.0.0.1:0"])?;
    let address = role.address()?;
    Ok((role, address))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_takes_everything_while_redis_is_dead_and_dies_over_its_spool() {
    on_postgres(async |test| {
        let mut site = Site::start(&test, 41).await?;
        site.send(EACH).await?;
        site.redis.kill()?;
        site.send(EACH).await?;
        let spooled = site.spooled()?;
        ensure!(spooled >= EACH as u64, "only {spooled} are in the spool");
        site.ask("/ready").await.context("it takes envelopes, and so is ready")?;
        let metrics = site.ask("/metrics").await?;
        for metric in ["tallymark_spool_entries", "tallymark_spool_bytes", "tallymark_spool_appends_total"] {
            let line = metrics.lines().find(|line| line.starts_with(&format!("{metric} ")));
            let value: f64 =
                line.with_context(|| format!("there is no {metric}"))?[metric.len() + 1..].parse()?;
            ensure!(value >= EACH as f64, "{metric} is {value}");
        }

        // Killed over its spool, with requests under way. Its successor finds the same spool, and no Redis either.
        let sending = site.browsers.send(std::slice::from_ref(&site.address), usize::MAX);
        until("some more are taken", async || Ok(sending.answers() > 3)).await?;
        site.collector.take().context("a collector")?.kill()?;
        sending.cut_off().await;
        let (next, address) = collector(&site.redis, site.folder.path())?;
        (site.collector, site.address) = (Some(next), address);
        ensure!(site.spooled()? > spooled, "what was spooled before the kill is not there");

        site.redis.start_again().await?;
        site.settle(&test).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_in_an_embedded_queue_counts_after_going_over_to_redis() {
    on_postgres(async |test| {
        let mut site = Site::start(&test, 44).await?;
        site.redis.kill()?;
        site.send(EACH).await?;
        site.collector.take().context("a collector")?.kill()?;
        // As if there had never been a Redis.
        let data = site.folder.path().join("tallymark-data");
        std::fs::rename(data.join("spool"), data.join("queue"))?;
        site.redis.start_again().await?;
        let (next, address) = collector(&site.redis, site.folder.path())?;
        (site.collector, site.address) = (Some(next), address);
        site.settle(&test).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_answered_quickly_while_redis_is_silent() {
    on_postgres(async |test| {
        let site = Site::start(&test, 42).await?;
        site.send(EACH).await?;
        site.redis.pause()?;
        let started = Instant::now();
        let sent = site.send(3 * EACH).await;
        let took = started.elapsed();
        site.redis.resume()?;
        sent?;
        // The first ones wait for a second; if each did, it would be a third of a minute.
        ensure!(took < Duration::from_secs(8), "60 requests took {took:?}");
        site.settle(&test).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_collector_on_the_same_directory_says_what_to_do() {
    on_postgres(async |test| {
        let site = Site::start(&test, 43).await?;
        let url = site.redis.url_with_password();
        let (folder, log) = (site.folder.path(), site.folder.path().join("second.log"));
        let collect = ["collect", "--redis-url", &url, "--listen", "127.0.0.1:0"];
        let mut second = Role::start_with_log(folder, &collect, &log)?;
        until("the second one gives up", async || Ok(second.running().is_err())).await?;
        let said = std::fs::read_to_string(&log)?;
        ensure!(said.contains("another tallymark server uses") && said.contains("--data-dir"), "{said}");
        site.settle(&test).await
    })
    .await;
}
