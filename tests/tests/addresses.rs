//! An address that was sent is nowhere afterwards: not in the queue, the spool, Redis's files, the dead letters, the
//! store or a log. Where an owner keeps addresses it is in the queue and the store, by which the search is known to work,
//! and still in no log.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "addresses/forms.rs"]
mod forms;
#[path = "addresses/installation.rs"]
mod installation;
#[path = "addresses/traffic.rs"]
mod traffic;

use anyhow::ensure;
use forms::{Places, files};
use installation::Installation;
use tallymark_tests::databases::{TestStore, on_empty_postgres};
use tallymark_tests::patience::until;
use tallymark_tests::redis::PrivateRedis;
use traffic::{Traffic, sent};

/// What was looked at after addresses were sent.
#[derive(Default)]
struct Evidence {
    /// What waited for its processing.
    queue: Places,
    /// What a collector kept while Redis was away.
    spool: Places,
    dead_letters: Places,
    store: Places,
    logs: Places,
    /// Everything else that was written.
    rest: Places,
}

impl Evidence {
    fn holds_no_address(&self) {
        for places in [&self.queue, &self.spool, &self.dead_letters, &self.store, &self.rest] {
            assert_none(places);
        }
        self.logs_hold_no_address();
    }

    /// Where the owner keeps addresses: what the search finds where there is something to find.
    fn holds_what_is_kept(&self) {
        let counted = sent().counted.len();
        assert_eq!((found(&self.queue), found(&self.store)), (counted, counted));
        assert_eq!(found(&self.dead_letters), 1);
        assert_eq!(found(&self.spool), usize::from(!self.spool.is_empty()));
        self.logs_hold_no_address();
    }

    fn logs_hold_no_address(&self) {
        assert_none(&self.logs);
        assert!(!self.logs.is_empty());
        for (place, bytes) in &self.logs {
            assert!(String::from_utf8_lossy(bytes).contains("DEBUG"), "{place} has all that can be logged");
        }
    }
}

fn assert_none(places: &Places) {
    let sent = sent();
    for (place, bytes) in places {
        for forms in sent.counted.iter().chain([&sent.shielded]) {
            assert_eq!(forms.found_in(bytes), None, "in {place}");
        }
    }
}

/// How many of the addresses whose events are counted stand somewhere.
fn found(places: &Places) -> usize {
    let stands = |forms: &&forms::Forms| places.iter().any(|(_, bytes)| forms.found_in(bytes).is_some());
    sent().counted.iter().filter(stands).count()
}

fn split(places: Places, is_meant: impl Fn(&str) -> bool) -> (Places, Places) {
    places.into_iter().partition(|(name, _)| is_meant(name))
}

async fn alone(keep_addresses: bool) -> anyhow::Result<Evidence> {
    let at = Installation::alone().await?;
    let project = at.project("site", keep_addresses).await?;
    let doomed = at.project("doomed", keep_addresses).await?;
    let mut server = at.start(&["serve"])?;
    let address = server.address()?;
    let held = at.hold(&doomed).await?;
    let counted = Traffic::to(&address, &project.write_key).send().await?;
    ensure!(Traffic::to(&address, &doomed.write_key).one().await? == 202);
    let queue = at.files("data/queue");
    held.release().await?;
    at.until_settled(counted).await?;
    server.stop()?;
    let (store, rest) = split(at.files("data"), |name| name.contains("tallymark.db"));
    let (dead_letters, rest) = split(rest, |name| name.contains("dead"));
    Ok(Evidence { queue, dead_letters, store, logs: at.files("logs"), rest, ..Evidence::default() })
}

async fn together(test: TestStore, keep_addresses: bool) -> anyhow::Result<Evidence> {
    let mut redis = PrivateRedis::start().await?;
    redis.ask(&["CONFIG", "SET", "rdbcompression", "no"]).await?; // what is compressed is not found
    let at = Installation::together(test, &redis.url_with_password())?;
    let project = at.project("site", keep_addresses).await?;
    let doomed = at.project("doomed", keep_addresses).await?;
    let processor = at.start(&["process"])?;
    let mut collector = at.start(&["collect"])?;
    let address = collector.address()?;
    let traffic = Traffic::to(&address, &project.write_key);
    let to_doomed = Traffic::to(&address, &doomed.write_key);
    until("projects and salts are known", async || {
        Ok(traffic.is_shielded().await?
            && to_doomed.is_shielded().await?
            && traffic.cookieless().await? == 202)
    })
    .await?;
    processor.stop()?;

    let mut counted = 1 + traffic.send().await?;
    ensure!(to_doomed.one().await? == 202);
    redis.ask(&["SAVE"]).await?;
    let queue = files("redis", &redis.folder());
    redis.kill()?;
    ensure!(traffic.one().await? == 202, "without Redis the collector keeps events itself");
    counted += 1;
    let spool = at.files("data");
    redis.start_again().await?;

    at.remove(&doomed).await?;
    let processor = at.start(&["process"])?;
    at.until_settled(counted).await?;
    collector.stop()?;
    processor.stop()?;
    redis.ask(&["SAVE"]).await?;
    let dead_letters = vec![("dead letters".to_owned(), redis.stream("tallymark:dead-letters:{0}").await?)];
    let rest = at.files("data").into_iter().chain(files("redis", &redis.folder())).collect();
    Ok(Evidence { queue, spool, dead_letters, store: at.rows().await?, logs: at.files("logs"), rest })
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_keeps_no_address() -> anyhow::Result<()> {
    alone(false).await?.holds_no_address();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_keeps_addresses_in_queue_and_store_where_it_is_told_to() -> anyhow::Result<()> {
    alone(true).await?.holds_what_is_kept();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn collectors_and_processors_keep_no_address() {
    on_empty_postgres(async |test| {
        together(test, false).await?.holds_no_address();
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn collectors_and_processors_keep_addresses_in_queue_and_store_where_they_are_told_to() {
    on_empty_postgres(async |test| {
        together(test, true).await?.holds_what_is_kept();
        Ok(())
    })
    .await;
}
