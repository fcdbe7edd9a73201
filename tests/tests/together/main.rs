//! Collectors that share limits and salts, and processes that start while what they need is away.

mod start;
mod support;

use std::collections::HashMap;

use anyhow::ensure;
use reqwest::StatusCode;
use tallymark_tests::databases::on_empty_postgres;
use tallymark_tests::patience::until;
use tallymark_tests::product::Role;
use tallymark_tests::redis::PrivateRedis;

use crate::support::{Cluster, project};

#[tokio::test(flavor = "multi_thread")]
async fn two_collectors_let_in_what_the_project_may_send() {
    on_empty_postgres(async |test| {
        let redis = PrivateRedis::start().await?;
        let cluster = Cluster::over(&redis, &test.address)?;
        let processor = cluster.role("process")?;
        let (mut one, mut other) = (cluster.collector("one")?, cluster.collector("other")?);
        // A token every twelve seconds: what the test takes in time hardly counts.
        let limited = project(&cluster, "Limited", &["--rate-limit-per-minute", "5"])?;
        let addresses = [one.address()?, other.address()?];
        let mut answers: HashMap<StatusCode, usize> = HashMap::new();
        for _ in 0..10 {
            for address in &addresses {
                let answer = limited.capture(address, "a-1").await?;
                if answer.status() == StatusCode::TOO_MANY_REQUESTS {
                    let wait = answer.headers()["retry-after"].to_str()?.parse::<u64>()?;
                    ensure!((1..=12).contains(&wait), "{wait}");
                }
                *answers.entry(answer.status()).or_default() += 1;
            }
        }
        let let_in = answers[&StatusCode::ACCEPTED];
        ensure!((5..=6).contains(&let_in), "{answers:?}");
        ensure!(answers[&StatusCode::TOO_MANY_REQUESTS] + let_in == 20, "{answers:?}");
        stop([one, other, processor])
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_collectors_see_one_visitor_without_cookies_and_a_third_without_the_secret_none() {
    on_empty_postgres(async |test| {
        let redis = PrivateRedis::start().await?;
        let cluster = Cluster::over(&redis, &test.address)?;
        let processor = cluster.role("process")?;
        let (mut one, mut other) = (cluster.collector("one")?, cluster.collector("other")?);
        let mut without = cluster.collector_without_secret("without")?;
        let site = project(&cluster, "Site", &[])?;
        let addresses = [one.address()?, other.address()?];
        for address in &addresses {
            // Until the salt has come from Redis.
            until("it counts without cookies", async || {
                Ok(site.browse(address).await? == StatusCode::ACCEPTED)
            })
            .await?;
        }
        let without_secret = without.address()?;
        ensure!(site.browse(&without_secret).await? == StatusCode::SERVICE_UNAVAILABLE);
        let named = site.capture(&without_secret, "a-1").await?;
        ensure!(named.status() == StatusCode::ACCEPTED, "everything else works: {}", named.status());
        let mut sql = test.sql().await?;
        until("all are counted", async || Ok(sql.number("select count(*) from event").await? == 3)).await?;
        let visitors = sql.number("select count(distinct visitor_id) from event where name = 'seen'").await?;
        ensure!(visitors == 1, "{visitors}");
        stop([one, other, without, processor])
    })
    .await;
}

fn stop<const N: usize>(roles: [Role; N]) -> anyhow::Result<()> {
    roles.into_iter().try_for_each(Role::stop)
}
