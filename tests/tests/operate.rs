//! What operators see and do: probes, metrics, status, doctor, dead letters, on both kinds of backends.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tallymark_protocol::{Context as PageContext, Place, UnixMs};
use tallymark_queue::{ENTRY_VERSION, QueuedEnvelope};
use tallymark_tests::databases::on_empty_postgres;
use tallymark_tests::installation::Installation;
use tallymark_tests::patience::until;
use tallymark_tests::product::json as run;
use uuid::Uuid;

/// One event of a project that may not exist.
fn envelope(project_id: i32) -> anyhow::Result<QueuedEnvelope> {
    let now = UnixMs(jiff::Timestamp::now().as_millisecond());
    let body =
        json!({ "id": Uuid::from_u128(7), "name": "late", "anonymous_id": "a-1", "occurred_at": now.0 });
    let arrival = tallymark_protocol::Arrival { received_at: now, fresh_id: &mut || Uuid::from_u128(8) };
    let decoded = tallymark_protocol::decode(body.to_string().as_bytes(), arrival)?;
    Ok(QueuedEnvelope {
        v: ENTRY_VERSION,
        envelope_id: Uuid::from_u128(9),
        project_id,
        received_at: now,
        received: 1,
        from_browser: false,
        user_agent: None,
        place: Place::default(),
        address: None,
        context: PageContext::default(),
        rejected: Vec::new(),
        events: decoded.events,
    })
}

async fn get(url: String) -> anyhow::Result<(u16, String)> {
    let answer = reqwest::get(url).await?;
    Ok((answer.status().as_u16(), answer.text().await?))
}

async fn dead_letters_are_listed_shown_and_replayed(at: Installation) -> anyhow::Result<()> {
    let made = at.run(&["project", "create", "first", "--json"])?;
    assert_eq!(made["id"], "1");
    let queue = at.queue().await?;
    queue.append(&envelope(2)?).await?; // whose project is yet to come
    queue.close().await;
    let (server, address) = at.serve()?;
    until("it is set aside", async || Ok(at.run(&["status", "--json"])?["queue"]["dead_letters"] == 1))
        .await?;
    let status = at.run(&["status", "--json"])?;
    assert_eq!(status["is_well"], false, "{status}");

    let listed = at.run(&["dead-letter", "list", "--json"])?;
    assert_eq!((&listed[0]["project"], &listed[0]["events"]), (&json!("2"), &json!(1)), "{listed}");
    ensure!(listed[0]["reason"].as_str().context("a reason")?.contains("project 2"), "{listed}");
    let id = listed[0]["id"].as_str().context("an id")?;
    let shown = at.run(&["dead-letter", "show", id, "--json"])?;
    assert_eq!(shown["envelope"]["events"][0]["name"], "late", "{shown}");
    ensure!(at.fails(&["dead-letter", "show", "0:1-1"])?.contains("dead-letter list"));
    ensure!(at.fails(&["dead-letter", "replay"])?.contains("--all"));

    let second = at.run(&["project", "create", "second", "--json"])?;
    assert_eq!(second["id"], "2");
    for replayed in [1, 0] {
        assert_eq!(at.run(&["dead-letter", "replay", "--all", "--json"])?, json!({ "replayed": replayed }));
    }
    until("it is counted", async || Ok(at.run(&["status", "--json"])?["store"]["rates"][0]["accepted"] == 1))
        .await?;
    let (_, metrics) = get(format!("{address}/metrics")).await?;
    ensure!(metrics.contains("tallymark_events_total{outcome=\"accepted\"} 1"), "{metrics}");
    let status = at.run(&["status", "--json"])?;
    assert_eq!(status["is_well"], true, "{status}");
    server.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded_dead_letters_are_listed_shown_and_replayed() {
    dead_letters_are_listed_shown_and_replayed(Installation::embedded().unwrap()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_in_redis_are_listed_shown_and_replayed() {
    on_empty_postgres(async |test| {
        dead_letters_are_listed_shown_and_replayed(Installation::distributed(&test.address).await?).await
    })
    .await;
}

async fn a_server_shows_what_it_does(at: Installation) -> anyhow::Result<()> {
    let made = at.run(&["project", "create", "shop", "--json"])?;
    let key = made["write_key"].as_str().context("a key")?;
    let (server, address) = at.serve()?;
    let (status, ready) = get(format!("{address}/ready")).await?;
    assert_eq!(status, 200, "{ready}");
    let (_, before) = get(format!("{address}/metrics")).await?;
    for outcome in ["accepted", "duplicate", "quota_exceeded", "shielded_path", "too_late"] {
        ensure!(
            before.contains(&format!("tallymark_events_total{{outcome=\"{outcome}\"}} 0")),
            "{outcome}: {before}"
        );
    }
    let body = json!([{ "name": "signup", "anonymous_id": "a" }, { "anonymous_id": "nameless" }]);
    let post = reqwest::Client::new().post(format!("{address}/capture?write_key={key}"));
    assert_eq!(post.body(body.to_string()).send().await?.status().as_u16(), 202);
    until("both are counted", async || {
        let (_, metrics) = get(format!("{address}/metrics")).await?;
        let counted =
            |outcome| metrics.contains(&format!("tallymark_events_total{{outcome=\"{outcome}\"}} 1"));
        Ok(counted("accepted") && counted("name_missing"))
    })
    .await?;
    let seen = at.run(&["status", "--json"])?;
    assert_eq!(seen["server"]["role"], "serve", "{seen}");
    assert_eq!(
        (&seen["store"]["rates"][1]["accepted"], &seen["store"]["rates"][1]["discarded"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(seen["store"]["last_commits"][0]["envelopes"], 1, "{seen}");
    let client =
        reqwest::Client::new().get(format!("{address}/metrics")).header("X-Forwarded-For", "203.0.113.7");
    assert_eq!(client.send().await?.status().as_u16(), 403, "the world must not read the metrics");
    server.stop()?;
    // And beside no server at all.
    let seen = at.run(&["status", "--json"])?;
    assert_eq!((&seen["server"], &seen["queue"]["entries"]), (&Value::Null, &json!(0)), "{seen}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_embedded_server_shows_what_it_does() {
    a_server_shows_what_it_does(Installation::embedded().unwrap()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_on_redis_shows_what_it_does() {
    on_empty_postgres(async |test| {
        a_server_shows_what_it_does(Installation::distributed(&test.address).await?).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_fails_on_a_redis_that_may_lose_what_was_acknowledged() {
    on_empty_postgres(async |test| {
        let at = Installation::distributed(&test.address).await?;
        at.run(&["project", "create", "shop", "--json"])?;
        assert_eq!(at.run(&["doctor", "--json"])?["is_well"], true);
        let redis = at.redis.as_ref().context("a Redis")?;

        redis.ask(&["CONFIG", "SET", "maxmemory", "100mb", "maxmemory-policy", "allkeys-lru"]).await?;
        ensure!(at.fails(&["doctor"])?.contains("noeviction"));
        redis.ask(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]).await?;

        redis.ask(&["CONFIG", "SET", "appendfsync", "everysec"]).await?;
        ensure!(at.fails(&["doctor"])?.contains("appendfsync always"));
        assert_eq!(at.run(&["doctor", "--json", "--redis-durability", "relaxed"])?["is_well"], true);

        redis.ask(&["CONFIG", "SET", "appendonly", "no"]).await?;
        ensure!(at.fails(&["doctor"])?.contains("appendonly yes"));
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_says_what_to_do_where_nothing_answers() -> anyhow::Result<()> {
    let away =
        ["--redis-url", "redis://127.0.0.1:1", "--database-url", "postgres://me:hush@127.0.0.1:1/none"];
    let at = Installation::of_options(&away)?;
    let said = at.fails(&["doctor"])?;
    ensure!(said.contains("--redis-url") && said.contains("--database-url"), "{said}");
    ensure!(!said.contains("hush"), "{said}");
    Ok(())
}

#[test]
fn config_says_where_each_option_comes_from() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tallymark.toml"), "linger-ms = 7\n").unwrap();
    let shown = option_in(folder.path(), "--linger-ms");
    assert_eq!(shown["value"], "7");
    assert!(shown["from"].as_str().unwrap().ends_with("tallymark.toml"), "{shown}");
}

fn option_in(folder: &Path, option: &str) -> Value {
    let shown = run(folder, &["config", "--json"]).unwrap();
    shown.as_array().unwrap().iter().find(|shown| shown["option"] == option).unwrap().clone()
}
