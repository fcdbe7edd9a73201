//! A site's browsers, as a server meets them: they send until they are answered.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::ensure;
use reqwest::StatusCode;
use serde_json::Value;
use tallymark_protocol::UnixMs;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::patience::PATIENCE;
use crate::product::Role;
use crate::world::{Request, World};

/// Requests under way at once.
const SENDERS: usize = 3;

/// Between a refusal and the next try: real ones wait for seconds.
const PAUSE: Duration = Duration::from_millis(10);

/// The browsers of a project, and what they have not been acknowledged yet.
#[derive(Debug)]
pub struct Browsers {
    client: reqwest::Client,
    write_key: String,
    waiting: Mutex<VecDeque<Request>>,
    refusals: AtomicUsize,
}

/// Senders under way.
#[derive(Debug)]
pub struct Sending {
    tasks: JoinSet<anyhow::Result<()>>,
    answers: Arc<AtomicUsize>,
}

impl Sending {
    /// How many requests were taken since these began.
    #[must_use]
    pub fn answers(&self) -> usize {
        self.answers.load(Ordering::SeqCst)
    }

    /// Waits until they have what they wanted, or nothing is left to send.
    ///
    /// # Errors
    /// What one of them met that no browser should.
    pub async fn end(mut self) -> anyhow::Result<usize> {
        while let Some(done) = self.tasks.join_next().await {
            done??;
        }
        Ok(self.answers())
    }
}

impl Sending {
    /// Gives those under way up: their servers are gone.
    pub async fn cut_off(mut self) {
        self.tasks.shutdown().await;
    }
}

impl Browsers {
    /// All that `world` has to send, under one key.
    ///
    /// # Errors
    /// Where there can be no HTTP client.
    pub fn of(world: &World, write_key: &str) -> anyhow::Result<Arc<Self>> {
        let client = reqwest::Client::builder().timeout(PATIENCE).build()?;
        let waiting = Mutex::new(world.requests.iter().cloned().collect());
        Ok(Arc::new(Self { client, write_key: write_key.to_owned(), waiting, refusals: AtomicUsize::new(0) }))
    }

    /// Sends to `server` until so many requests were answered, and kills it then and there, while others wait for
    /// their answers. What got none waits for the next time.
    ///
    /// # Errors
    /// Where nothing was acknowledged before.
    pub async fn send_and_kill(self: &Arc<Self>, mut server: Role, answers_max: usize) -> anyhow::Result<()> {
        let addresses = [server.address()?];
        let mut sending = self.send(&addresses, answers_max);
        while let Some(done) = sending.tasks.join_next().await {
            done??;
            if sending.answers() >= answers_max {
                break;
            }
        }
        server.kill()?;
        ensure!(sending.answers() > 0, "nothing was acknowledged before the kill");
        Ok(())
    }

    /// Sends all that is left.
    ///
    /// # Errors
    /// Where some of it is never taken.
    pub async fn send_all(self: &Arc<Self>, server: &mut Role) -> anyhow::Result<()> {
        let addresses = [server.address()?];
        self.send(&addresses, usize::MAX).end().await?;
        ensure!(self.left().await == 0, "some were never answered");
        Ok(())
    }

    /// Begins to send to the servers in turn, until `answers_max` requests were taken or none is left.
    pub fn send(self: &Arc<Self>, addresses: &[String], answers_max: usize) -> Sending {
        let answers = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        for sender in 0..SENDERS {
            let (browsers, answers) = (Arc::clone(self), Arc::clone(&answers));
            let address = addresses[sender % addresses.len()].clone();
            tasks.spawn(async move { browsers.send_one_by_one(&address, &answers, answers_max).await });
        }
        Sending { tasks, answers }
    }

    /// Requests that were not taken yet.
    pub async fn left(&self) -> usize {
        self.waiting.lock().await.len()
    }

    /// How often somebody was told to come again, or nothing at all.
    #[must_use]
    pub fn refusals(&self) -> usize {
        self.refusals.load(Ordering::SeqCst)
    }

    /// Whether a collector takes what bears the key: asked with an envelope of no events, which changes no number.
    ///
    /// # Errors
    /// Where it does not answer.
    pub async fn is_key_known(&self, address: &str) -> anyhow::Result<bool> {
        let post = self.client.post(format!("{address}/capture?write_key={}", self.write_key));
        let answer = post.body(r#"{"events":[]}"#).header("Content-Type", "text/plain").send().await?;
        Ok(answer.status() == StatusCode::ACCEPTED)
    }

    async fn send_one_by_one(
        &self,
        address: &str,
        answers: &AtomicUsize,
        answers_max: usize,
    ) -> anyhow::Result<()> {
        while answers.load(Ordering::SeqCst) < answers_max {
            // To the end of the line before it is answered: a sender that is cut off has lost nothing.
            let request = {
                let mut waiting = self.waiting.lock().await;
                let Some(request) = waiting.pop_front() else { return Ok(()) };
                waiting.push_back(request.clone());
                request
            };
            if self.post(address, &request).await? {
                self.waiting.lock().await.retain(|other| other.envelope_id != request.envelope_id);
                answers.fetch_add(1, Ordering::SeqCst);
            } else {
                self.refusals.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(PAUSE).await;
            }
        }
        Ok(())
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
