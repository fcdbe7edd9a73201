//! Everything that stands between the internet and the store, over HTTP: what is sent, against the rows, sessions and
//! outcomes that come of it, on both kinds of backends.

use std::time::Duration;

use anyhow::{Context, ensure};
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use tallymark_tests::databases::{Sql, on_empty_postgres};
use tallymark_tests::installation::Installation;
use tallymark_tests::oracle;
use tallymark_tests::patience::until;

const DAY_MS: i64 = 86_400_000;
/// The project's timeout, so that a visit is over within a test's past.
const TIMEOUT: &str = "1";
const MINUTE_MS: i64 = 60_000;
const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

/// A site at a running server.
struct Site {
    client: Client,
    address: String,
    key: String,
}

impl Site {
    fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        let url = format!("{}{path}?write_key={}", self.address, self.key);
        self.client.post(url).header("User-Agent", BROWSER).body(body.to_string())
    }

    fn browse(&self, body: &Value) -> RequestBuilder {
        self.post("/capture", body).header("Origin", "https://shop.example")
    }
}

async fn answer(response: Response, status: u16) -> anyhow::Result<Value> {
    let found = response.status().as_u16();
    let text = response.text().await?;
    ensure!(found == status, "{found} instead of {status}: {text}");
    Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
}

fn reasons(answer: &Value) -> Vec<&str> {
    let rejected = answer["rejected"].as_array().map(Vec::as_slice).unwrap_or_default();
    rejected.iter().filter_map(|rejected| rejected["reason"].as_str()).collect()
}

/// Now, at least three minutes after a UTC midnight: visitors without cookies are others on another day.
async fn well_within_the_day() -> i64 {
    loop {
        let now_ms = jiff::Timestamp::now().as_millisecond();
        let into_the_day_ms = now_ms.rem_euclid(DAY_MS);
        if into_the_day_ms > 3 * MINUTE_MS {
            return now_ms;
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
}

async fn events_of(sql: &mut Sql, query: &'static str) -> anyhow::Result<i64> {
    Ok(sql.number(query).await?)
}

async fn what_is_sent_is_what_is_there(at: Installation) -> anyhow::Result<()> {
    let origins = ["--origin", "https://shop.example", "--origin", "https://*.shop.example"];
    let created =
        [&["project", "create", "shop", "--json", "--session-timeout-minutes", TIMEOUT], &origins[..]];
    let created = at.run(&created.concat())?;
    let (id, key) =
        (created["id"].as_str().context("an id")?, created["write_key"].as_str().context("a key")?);
    at.run(&["shield", "add", id, "path", "/admin/*", "--json"])?;
    at.run(&["event-source", "off", id, "kiosk", "--json"])?;
    let (server, address) = at.serve()?;
    let site = Site { client: Client::new(), address, key: key.to_owned() };

    // A page of the site: one event is shielded, one comes from an app that is switched off, two are taken.
    let page = |path: &str| {
        json!({ "name": "$pageview", "anonymous_id": "a-1", "session_id": "s-1",
        "url": format!("https://shop.example{path}") })
    };
    let mut kiosk = page("/kiosk");
    kiosk["event_source"] = json!("kiosk");
    let envelope = json!({ "events": [page("/"), page("/admin/users"), kiosk, page("/cart")] });
    until("the server knows the project and its rules", async || {
        Ok(site.browse(&json!({ "events": [] })).send().await?.status().as_u16() == 202)
    })
    .await?;
    let taken = answer(site.browse(&envelope).send().await?, 202).await?;
    assert_eq!((&taken["accepted"], reasons(&taken)), (&json!(2), vec!["shielded_path", "event_source_off"]));

    // A page that is not the site's; nobody's page; a subdomain's.
    let one = json!({ "name": "signup", "anonymous_id": "a-2" });
    let foreign = site.post("/capture", &one).header("Origin", "https://evil.example").send().await?;
    assert_eq!(foreign.headers()["access-control-allow-origin"], "*");
    assert_eq!(answer(foreign, 403).await?["error"], "origin_not_allowed");
    answer(site.post("/capture", &one).header("Origin", "null").send().await?, 403).await?;
    answer(site.post("/capture", &one).header("Origin", "https://m.shop.example").send().await?, 202).await?;

    // An older caller, by its own path, names and header.
    let older = json!({ "event_type": "page_view", "properties": { "plan": "pro" }, "page_url": "/old", "anonymous_id": "a-3" });
    let older = site.client.post(format!("{}/api/analytics/event", site.address)).body(older.to_string());
    answer(older.header("X-API-Key", &site.key).send().await?, 202).await?;

    // A mail's pixel.
    let pixel =
        format!("{}/capture.gif?write_key={}&name=mail_opened&anonymous_id=a-4", site.address, site.key);
    let pixel = site.client.get(pixel).send().await?;
    assert_eq!((pixel.status().as_u16(), pixel.headers()["content-type"].to_str()?), (200, "image/gif"));

    // Somebody without cookies: two visits, by the project's timeout, told in the wrong order.
    let now_ms = well_within_the_day().await;
    for before_ms in [1_000, 140_000, 130_000] {
        let view =
            json!({ "name": "$pageview", "url": "https://shop.example/", "occurred_at": now_ms - before_ms });
        until("the day's salt is there", async || {
            Ok(site.browse(&view).send().await?.status().as_u16() == 202)
        })
        .await?;
    }

    let store = at.store().await?;
    let mut sql = store.sql().await?;
    let accepted =
        "select cast(coalesce(sum(events), 0) as bigint) from outcome_hour where outcome = 'accepted'";
    until("all is counted", async || Ok(sql.number(accepted).await? == 8)).await?;
    let facts = [
        ("select count(*) from event", 8),
        ("select count(*) from event where name = '$pageview' and path = '/old'", 1),
        ("select count(*) from session where hostname = 'shop.example'", 3), // a-1's, and two without cookies
        ("select count(distinct visitor_id) from session where hostname = 'shop.example'", 2),
        ("select count(*) from event where path like '/admin%'", 0),
        ("select cast(sum(events) as bigint) from outcome_hour where outcome = 'shielded_path'", 1),
        ("select cast(sum(events) as bigint) from outcome_hour where outcome = 'event_source_off'", 1),
        ("select cast(sum(events) as bigint) from outcome_hour", 10),
        ("select cast(sum(received) as bigint) from envelope_receipt", 10),
    ];
    for (query, expected) in facts {
        assert_eq!(events_of(&mut sql, query).await?, expected, "{query}");
    }

    // The quota, counted from what was stored, takes effect without a restart; and so does another key.
    at.run(&["project", "set", id, "--quota-per-month", "8", "--json"])?;
    until("the quota is used up", async || {
        let refused = answer(site.browse(&json!({ "events": [one] })).send().await?, 202).await?;
        Ok(reasons(&refused) == ["quota_exceeded"])
    })
    .await?;
    at.run(&["write-key", "revoke", id, key, "--json"])?;
    until("the key is unknown", async || Ok(site.browse(&one).send().await?.status().as_u16() == 401))
        .await?;
    server.stop()?;
    oracle::assert_consistent(&store, &[id.parse()?]).await?;
    store.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_to_an_embedded_server_is_what_is_there() {
    what_is_sent_is_what_is_there(Installation::embedded().unwrap()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_to_a_server_on_redis_and_postgresql_is_what_is_there() {
    on_empty_postgres(async |test| {
        what_is_sent_is_what_is_there(Installation::distributed(&test.address).await?).await
    })
    .await;
}
