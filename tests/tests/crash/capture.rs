//! Kills of whoever answered 202.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, ensure};
use reqwest::StatusCode;
use serde_json::Value;
use tallymark_protocol::UnixMs;
use tallymark_queue::{EmbeddedConfig, EmbeddedQueue, Queue};
use tallymark_store::{Store, WriteKeyRow};
use tallymark_tests::databases::{TestStore, on_postgres};
use tallymark_tests::patience::{PATIENCE, until};
use tallymark_tests::product::{self, Role};
use tallymark_tests::world::{Dice, Request, World};
use tallymark_tests::{drive, oracle};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::KILLS;
use crate::support::{Keys, drain, redis_url, world_of_now};

/// Requests under way at once.
const SENDERS: usize = 3;

/// A site's browsers: they send until they are answered.
struct Browsers {
    client: reqwest::Client,
    write_key: String,
    waiting: Mutex<VecDeque<Request>>,
}

impl Browsers {
    fn of(world: &World, write_key: &str) -> anyhow::Result<Arc<Self>> {
        let client = reqwest::Client::builder().timeout(PATIENCE).build()?;
        let waiting = Mutex::new(world.requests.iter().cloned().collect());
        Ok(Arc::new(Self { client, write_key: write_key.to_owned(), waiting }))
    }

    /// Sends to `server` until so many requests were answered, and kills it then and there, while others wait for
    /// their answers. What got none waits for the next time.
    async fn send_and_kill(self: &Arc<Self>, mut server: Role, answers_max: usize) -> anyhow::Result<()> {
        let address = server.address()?;
        let (mut senders, answers) = self.senders(&address, answers_max);
        while let Some(done) = senders.join_next().await {
            done??;
            if answers.load(Ordering::SeqCst) >= answers_max {
                break;
            }
        }
        server.kill()?;
        ensure!(answers.load(Ordering::SeqCst) > 0, "nothing was acknowledged before the kill");
        Ok(())
    }

    /// Sends all that is left.
    async fn send_all(self: &Arc<Self>, server: &mut Role) -> anyhow::Result<()> {
        let address = server.address()?;
        let (mut senders, _) = self.senders(&address, usize::MAX);
        while let Some(done) = senders.join_next().await {
            done??;
        }
        ensure!(self.waiting.lock().await.is_empty(), "some were never answered");
        Ok(())
    }

    fn senders(
        self: &Arc<Self>,
        address: &str,
        answers_max: usize,
    ) -> (JoinSet<anyhow::Result<()>>, Arc<AtomicUsize>) {
        let answers = Arc::new(AtomicUsize::new(0));
        let mut senders = JoinSet::new();
        for _ in 0..SENDERS {
            let (browsers, address) = (Arc::clone(self), address.to_owned());
            let answers = Arc::clone(&answers);
            senders.spawn(async move { browsers.send_one_by_one(&address, &answers, answers_max).await });
        }
        (senders, answers)
    }

    async fn send_one_by_one(
        &self,
        address: &str,
        answers: &AtomicUsize,
        answers_max: usize,
    ) -> anyhow::Result<()> {
        loop {
            // To the end of the line before it is answered: a sender that is cut off has lost nothing.
            let request = {
                let mut waiting = self.waiting.lock().await;
                let Some(request) = waiting.pop_front() else { return Ok(()) };
                waiting.push_back(request.clone());
                request
            };
            if self.post(address, &request).await? {
                self.waiting.lock().await.retain(|other| other.envelope_id != request.envelope_id);
                if answers.fetch_add(1, Ordering::SeqCst) + 1 >= answers_max {
                    return Ok(());
                }
            }
        }
    }

    /// Whether it was taken.
    async fn post(&self, address: &str, request: &Request) -> anyhow::Result<bool> {
        let body = request.body(UnixMs(jiff::Timestamp::now().as_millisecond()));
        let mut post = self.client.post(format!("{address}/capture?write_key={}", self.write_key));
        if let Some(user_agent) = request.user_agent {
            post = post.header("User-Agent", user_agent);
        }
        if request.from_browser {
            post = post.header("Origin", "https://shop.example");
        }
        let Ok(answer) = post.json(&body).send().await else { return Ok(false) };
        match answer.status() {
            StatusCode::ACCEPTED => {}
            status if status.is_server_error() => return Ok(false),
            status => anyhow::bail!("{status} to {body}: {}", answer.text().await?),
        }
        let Ok(answer) = answer.json::<Value>().await else { return Ok(false) };
        let rejected = answer["rejected"].as_array().map_or(0, Vec::len);
        let accepted = answer["accepted"].as_u64().and_then(|accepted| usize::try_from(accepted).ok());
        ensure!(accepted.map(|accepted| accepted + rejected) == Some(request.events()), "{answer} to {body}");
        Ok(true)
    }
}

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
    let WriteKeyRow { key, .. } = test.write_keys().await?.remove(0);
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
        let post = browsers.client.post(format!("{address}/capture?write_key={}", browsers.write_key));
        let answer = post.body(r#"{"events":[]}"#).header("Content-Type", "text/plain").send().await?;
        Ok(answer.status() == StatusCode::ACCEPTED)
    })
    .await?;
    collector.stop()
}
