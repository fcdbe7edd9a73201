//! The whole path, as its users walk it: a real browser on the demo's shop, the real binary, and the numbers that the
//! query API gives, held against what was done. Once on the embedded default in one process; once with a collector
//! and a processor as processes of their own over Redis and PostgreSQL.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::{Map, Value, json};
use tallymark_tests::databases::on_empty_postgres;
use tallymark_tests::patience::until;
use tallymark_tests::product::Role;

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_on_the_embedded_default_is_counted_number_by_number() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut server = Role::start(folder.path(), &["serve", "--demo", "--listen", "127.0.0.1:0"])?;
    let shop = Shop::of(&mut server, &folder.path().join("tallymark-data"))?;
    shop.browse_and_compare().await?;
    server.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_on_redis_and_postgres_is_counted_number_by_number() {
    on_empty_postgres(async |database| {
        let folder = tempfile::tempdir()?;
        let prefix = format!("tallymark-browser:{:016x}:", getrandom::u64()?);
        let redis_url = variable("TALLYMARK_TEST_REDIS_URL")?;
        let common =
            ["--redis-url", &redis_url, "--redis-prefix", &prefix, "--database-url", &database.address];
        let collector = ["collect", "--demo", "--listen", "127.0.0.1:0"].into_iter().chain(common);
        let mut collector = Role::start(folder.path(), &collector.collect::<Vec<_>>())?;
        let processor: Vec<&str> = ["process"].into_iter().chain(common).collect();
        let processor = Role::start(folder.path(), &processor)?;
        let shop = Shop::of(&mut collector, &folder.path().join("tallymark-data"))?;
        shop.browse_and_compare().await?;
        collector.stop()?;
        processor.stop()
    })
    .await;
}

/// The demo's shop on a running server.
struct Shop {
    address: String,
    project: String,
    token: String,
    /// Today and tomorrow: what the demo came with ends yesterday.
    days: Value,
}

impl Shop {
    fn of(server: &mut Role, data_dir: &Path) -> anyhow::Result<Self> {
        let address = server.address()?;
        let demo: Value = serde_json::from_slice(&std::fs::read(data_dir.join("demo.json"))?)?;
        let text =
            |name: &str| demo[name].as_str().map(str::to_owned).with_context(|| format!("{name} in {demo}"));
        let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
        let days = json!([today.to_string(), today.tomorrow()?.to_string()]);
        Ok(Self { address, project: text("id")?, token: text("token")?, days })
    }

    async fn browse_and_compare(&self) -> anyhow::Result<()> {
        let done = browse(&self.address)?;
        self.until_counted(&done["events"]).await?;
        // By the rollups and from raw rows: a filter that nothing is caught in sends a query the other way.
        for filters in
            [json!([]), json!([["is_not", "event:name", ["never"]], ["is_not", "visit:source", ["never"]]])]
        {
            self.compare_totals(&done, &filters).await?;
            for (dimension, metric, expected) in [
                ("event:page", "pageviews", &done["pageviews_by_path"]),
                ("event:name", "events", &done["events_by_name"]),
                ("visit:entry_page", "sessions", &done["entry_pages"]),
                ("visit:source", "sessions", &done["sources"]),
                ("visit:browser", "sessions", &json!({ name(&done, "browser"): done["sessions"] })),
                ("visit:os", "visitors", &json!({ name(&done, "os"): done["visitors"] })),
                ("visit:device", "visitors", &json!({ name(&done, "device"): done["visitors"] })),
            ] {
                let counted = self.by(dimension, metric, &filters).await?;
                assert_eq!(
                    &Value::Object(counted),
                    expected,
                    "{metric} by {dimension}, filtered by {filters}"
                );
            }
        }
        self.compare_hours(&done).await
    }

    async fn compare_totals(&self, done: &Value, filters: &Value) -> anyhow::Result<()> {
        let metrics = ["visitors", "sessions", "pageviews", "events", "bounce_rate"];
        let results = self.query(&json!(metrics), &json!([]), filters).await?;
        let count = |name: &str| done[name].as_f64().context("a number");
        let bounce_rate = (10_000.0 * count("bounces")? / count("sessions")?).round() / 100.0;
        let expected =
            json!([done["visitors"], done["sessions"], done["pageviews"], done["events"], bounce_rate]);
        assert_eq!(results[0]["metrics"], expected, "{metrics:?}, filtered by {filters}");
        Ok(())
    }

    /// Every hour is there, empty ones too, and together they are what was done.
    async fn compare_hours(&self, done: &Value) -> anyhow::Result<()> {
        let results = self.query(&json!(["events", "sessions"]), &json!(["time:hour"]), &json!([])).await?;
        let hours = results.as_array().context("results")?;
        assert_eq!(hours.len(), 48);
        let sum =
            |metric: usize| hours.iter().filter_map(|hour| hour["metrics"][metric].as_u64()).sum::<u64>();
        assert_eq!((Some(sum(0)), Some(sum(1))), (done["events"].as_u64(), done["sessions"].as_u64()));
        Ok(())
    }

    async fn until_counted(&self, events: &Value) -> anyhow::Result<()> {
        until(&format!("{events} events are counted"), async || {
            Ok(self.query(&json!(["events"]), &json!([]), &json!([])).await?[0]["metrics"][0] == *events)
        })
        .await
    }

    /// What `metric` is for each value of `dimension`; values for which it is 0 are left out.
    async fn by(&self, dimension: &str, metric: &str, filters: &Value) -> anyhow::Result<Map<String, Value>> {
        let results = self.query(&json!([metric]), &json!([dimension]), filters).await?;
        let rows = results.as_array().context("results")?.iter().filter(|row| row["metrics"][0] != 0);
        rows.map(|row| {
            let value = row["dimensions"][0].as_str().context("a dimension's value")?;
            Ok((value.to_owned(), row["metrics"][0].clone()))
        })
        .collect()
    }

    async fn query(&self, metrics: &Value, dimensions: &Value, filters: &Value) -> anyhow::Result<Value> {
        let query = json!({
            "project": self.project, "metrics": metrics, "dimensions": dimensions, "filters": filters,
            "date_range": self.days,
        });
        let url = format!("{}/api/v1/query", self.address);
        let response = reqwest::Client::new().post(url).bearer_auth(&self.token).json(&query).send().await?;
        let status = response.status();
        let answer: Value = response.json().await?;
        ensure!(status.is_success(), "{query} was answered {status} {answer}");
        Ok(answer["results"].clone())
    }
}

/// Walks through the shop in Chromium; answers what that must have been counted as.
fn browse(address: &str) -> anyhow::Result<Value> {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("browser/shop.mjs");
    let chromium = variable("TALLYMARK_TEST_CHROMIUM")?;
    let output = Command::new("node")
        .arg(script)
        .args(["--base", address, "--chromium", &chromium])
        .output()
        .context("node is needed: run `cargo xtask test`, which installs what is missing")?;
    ensure!(output.status.success(), "the browser failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn name(done: &Value, field: &str) -> String {
    done[field].as_str().unwrap_or_default().to_owned()
}

#[expect(clippy::disallowed_methods, reason = "tests are told by the environment where their servers are")]
fn variable(name: &str) -> anyhow::Result<String> {
    std::env::var(name)
        .ok()
        .with_context(|| format!("{name} is not set: run `cargo xtask test`, which sets it"))
}
