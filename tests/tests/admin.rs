//! Admin commands beside running servers.

use std::io::Write as _;
use std::path::Path;

use anyhow::{Context, ensure};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tallymark_tests::databases::on_empty_postgres;
use tallymark_tests::patience::until;
use tallymark_tests::product::{Role, json};

/// A project as `project create --json` prints it.
struct Created {
    id: String,
    write_key: String,
    token: String,
}

fn create(folder: &Path, name: &str, options: &[&str]) -> anyhow::Result<Created> {
    let arguments: Vec<&str> =
        ["project", "create", name, "--json"].into_iter().chain(options.iter().copied()).collect();
    let printed = json(folder, &arguments)?;
    let text = |field: &str| {
        printed[field].as_str().map(str::to_owned).with_context(|| format!("{field} in {printed}"))
    };
    assert_eq!(text("name")?, name);
    Ok(Created { id: text("id")?, write_key: text("write_key")?, token: text("token")? })
}

async fn capture(address: &str, project: &Created) -> anyhow::Result<StatusCode> {
    let url = format!("{address}/capture?write_key={}", project.write_key);
    let event = json!({ "name": "signup", "anonymous_id": "a-1" }).to_string();
    Ok(reqwest::Client::new().post(url).body(event).send().await?.status())
}

async fn query(address: &str, token: &str, project: &str) -> anyhow::Result<(StatusCode, Value)> {
    let query = json!({ "project": project, "metrics": ["events", "visitors"], "date_range": "7d" });
    let url = format!("{address}/api/v1/query");
    let response = reqwest::Client::new().post(url).bearer_auth(token).json(&query).send().await?;
    Ok((response.status(), response.json().await?))
}

async fn until_counted(address: &str, project: &Created, events: u64) -> anyhow::Result<()> {
    until(&format!("{events} events are counted"), async || {
        let (status, answer) = query(address, &project.token, &project.id).await?;
        ensure!(status == StatusCode::OK, "{status} {answer}");
        Ok(answer["results"][0]["metrics"] == json!([events, 1]))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_made_beside_a_running_server_counts_at_once() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut server = Role::start(folder.path(), &["serve", "--listen", "127.0.0.1:0"])?;
    let address = server.address()?;
    let project = create(folder.path(), "Beside", &["--timezone", "Asia/Kolkata"])?;
    assert_eq!(capture(&address, &project).await?, StatusCode::ACCEPTED);
    until_counted(&address, &project, 1).await?;

    let other = create(folder.path(), "Other", &[])?;
    let (status, _) = query(&address, &project.token, &other.id).await?;
    assert_eq!(status, StatusCode::FORBIDDEN, "a token reads its own project alone");
    let listed = json(folder.path(), &["project", "list", "--json"])?;
    assert_eq!(listed[0]["timezone"], "Asia/Kolkata");
    assert_eq!(listed[1]["write_keys"], json!([other.write_key]));
    server.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_reads_nothing_any_more() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut server = Role::start(folder.path(), &["serve", "--listen", "127.0.0.1:0"])?;
    let address = server.address()?;
    let project = create(folder.path(), "Site", &[])?;
    let token = json(folder.path(), &["token", "create", "laptop", "--project", &project.id, "--json"])?;
    let secret = token["token"].as_str().context("a secret")?;
    assert_eq!(query(&address, secret, &project.id).await?.0, StatusCode::OK);
    let revoke = ["token", "revoke", token["id"].as_str().context("an id")?];
    Role::start(folder.path(), &revoke)?.ended()?;
    assert_eq!(query(&address, secret, &project.id).await?.0, StatusCode::UNAUTHORIZED);
    assert_eq!(query(&address, &project.token, &project.id).await?.0, StatusCode::OK);
    server.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_ends_its_request_lets_a_server_stop_well() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut server = Role::start(folder.path(), &["serve", "--listen", "127.0.0.1:0"])?;
    let address = server.address()?;
    let project = create(folder.path(), "Site", &[])?;
    let mut half = std::net::TcpStream::connect(address.trim_start_matches("http://"))?;
    let head = format!(
        "POST /capture?write_key={} HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{{",
        project.write_key
    );
    half.write_all(head.as_bytes())?;
    assert_eq!(capture(&address, &project).await?, StatusCode::ACCEPTED);
    server.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_has_one_server() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut server = Role::start(folder.path(), &["serve", "--listen", "127.0.0.1:0"])?;
    server.address()?;
    let refused = json(folder.path(), &["serve", "--listen", "127.0.0.1:0"])
        .err()
        .context("a second server started")?;
    assert!(refused.to_string().contains("another tallymark server uses"), "{refused}");
    server.stop()
}

/// Runs a command that is to fail, and answers what it says.
fn refused(folder: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let error = json(folder, arguments).err().with_context(|| format!("{arguments:?} was taken"))?;
    Ok(error.to_string())
}

#[test]
fn every_setting_is_set_and_shown() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let run = |arguments: &[&str]| json(folder.path(), arguments);
    let options =
        ["--origin", "https://shop.example/", "--retention-days", "10", "--rate-limit-per-minute", "600"];
    let project = create(folder.path(), "Shop", &options)?;
    let shown = run(&["project", "show", &project.id, "--json"])?;
    let created_at = shown["created_at"].clone();
    assert_eq!(
        shown,
        json!({
            "id": project.id, "name": "Shop", "timezone": "UTC", "origins": ["https://shop.example"],
            "session_timeout_minutes": 30, "retention_days": 10, "hourly_retention_days": 365,
            "daily_retention_days": 1826, "rate_limit_per_minute": 600, "address_rate_limit_per_minute": null,
            "quota_per_month": null, "quota_exceeded_until": null, "keep_addresses": false, "version": 1,
            "created_at": created_at, "write_keys": [project.write_key]
        })
    );
    let set = [
        &["project", "set", &project.id, "--json", "--name", "Other", "--timezone", "Europe/Berlin"][..],
        &[
            "--origin",
            "https://a.example",
            "--origin",
            "https://*.b.example",
            "--session-timeout-minutes",
            "45",
        ],
        &["--retention-days", "0", "--hourly-retention-days", "20", "--daily-retention-days", "30"],
        &["--rate-limit-per-minute", "none", "--address-rate-limit-per-minute", "60"],
        &["--quota-per-month", "1000", "--keep-addresses", "true"],
    ];
    let set = run(&set.concat())?;
    let wanted = json!({
        "id": project.id, "name": "Other", "timezone": "Europe/Berlin",
        "origins": ["https://*.b.example", "https://a.example"],
        "session_timeout_minutes": 45, "retention_days": 0, "hourly_retention_days": 20,
        "daily_retention_days": 30, "rate_limit_per_minute": null, "address_rate_limit_per_minute": 60,
        "quota_per_month": 1000, "quota_exceeded_until": null, "keep_addresses": true, "version": 2,
        "created_at": created_at, "write_keys": [project.write_key]
    });
    assert_eq!(set, wanted);
    assert_eq!(run(&["project", "list", "--json"])?, json!([wanted]));
    let any = run(&["project", "set", &project.id, "--origin", "*", "--quota-per-month", "0", "--json"])?;
    assert_eq!(
        (&any["origins"], &any["quota_per_month"], &any["version"]),
        (&json!([]), &json!(null), &json!(3))
    );
    Ok(())
}

#[test]
fn a_setting_that_cannot_be_so_says_what_to_write() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let project = create(folder.path(), "Shop", &[])?;
    for (option, value, says) in [
        ("--timezone", "Berlin", "Europe/Berlin"),
        ("--origin", "https://shop.example/path", "https://shop.example"),
        ("--retention-days", "2", "at least 3, or 0 for ever"),
        ("--session-timeout-minutes", "0", "1 to 1440"),
        ("--rate-limit-per-minute", "-1", "0 for no limit"),
        ("--quota-per-month", "many", "none for no limit"),
        ("--name", " ", "1 to 128 bytes"),
    ] {
        let said = refused(folder.path(), &["project", "set", &project.id, &format!("{option}={value}")])?;
        assert!(said.contains(option) && said.contains(says), "{said}");
    }
    for (arguments, says) in [
        (&["project", "set", &project.id][..], "project set --help"),
        (&["project", "set", "99", "--name", "x"], "there is no project 99"),
        (&["shield", "add", &project.id, "country", "DE"], "address, hostname, path, user_agent"),
        (&["shield", "add", &project.id, "address", "203.0.113"], "203.0.113.0/24"),
        (&["property", "declare", &project.id, "feature_used"], "feature_used.feature_name"),
        (&["write-key", "list", "99"], "there is no project 99"),
        (&["write-key", "revoke", &project.id, "wk_x"], "write-key list"),
        (&["event-source", "off", &project.id, " "], "1 to 128 bytes"),
    ] {
        let said = refused(folder.path(), arguments)?;
        assert!(said.contains(says), "{said}");
    }
    assert_eq!(json(folder.path(), &["project", "show", &project.id, "--json"])?["version"], 1);
    Ok(())
}

#[test]
fn keys_sources_shields_properties_and_tokens_come_and_go() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let id = &create(folder.path(), "Shop", &[])?.id;
    let run = |arguments: &[&str]| json(folder.path(), &[arguments, &["--json"]].concat());
    let key = run(&["write-key", "create", id, "--name", "app"])?;
    assert_eq!((&key["name"], &key["revoked_at"]), (&json!("app"), &json!(null)));
    let text = key["key"].as_str().context("a key")?;
    assert_eq!(run(&["write-key", "revoke", id, text])?, json!({ "revoked": true }));
    let keys = run(&["write-key", "list", id])?;
    assert!(keys[0]["revoked_at"].is_null() && keys[1]["revoked_at"].is_string(), "{keys}");

    assert_eq!(run(&["event-source", "off", id, "app"])?["is_on"], false);
    assert_eq!(run(&["event-source", "list", id])?[0]["is_on"], false);
    assert_eq!(run(&["event-source", "on", id, "app"])?["is_on"], true);

    let shield = run(&["shield", "add", id, "user-agent", "Pingdom"])?;
    assert_eq!((&shield["kind"], &shield["pattern"]), (&json!("user_agent"), &json!("pingdom")));
    assert_eq!(run(&["shield", "list", id])?, json!([shield]));
    let shield_id = shield["id"].as_str().context("an id")?;
    assert_eq!(run(&["shield", "remove", id, shield_id])?, json!({ "removed": true }));
    assert_eq!(run(&["shield", "list", id])?, json!([]));

    let property = run(&["property", "declare", id, "cart.feature_used.size", "--kind", "number"])?;
    assert_eq!((&property["event"], &property["property"]), (&json!("cart.feature_used"), &json!("size")));
    assert_eq!(run(&["property", "list", id])?, json!([property]));
    assert_eq!(run(&["property", "remove", id, "cart.feature_used.size"])?, json!({ "removed": true }));

    let token = run(&["token", "create", "ci", "--project", id, "--admin"])?;
    assert_eq!((&token["role"], &token["project"]), (&json!("admin"), &json!(id)));
    let tokens = run(&["token", "list"])?;
    assert_eq!(tokens.as_array().context("a list")?.len(), 2);
    assert!(!tokens.to_string().contains("sk_"), "no list shows a secret");
    assert_eq!(
        run(&["token", "revoke", token["id"].as_str().context("an id")?])?,
        json!({ "revoked": true })
    );
    Ok(())
}

/// Sends one event of a page; answers the status and the reasons of the refused.
async fn send(address: &str, project: &Created, origin: &str) -> anyhow::Result<(StatusCode, Vec<String>)> {
    let url = format!("{address}/capture?write_key={}", project.write_key);
    let event = json!({ "name": "signup", "event_source": "app" }).to_string();
    let response = reqwest::Client::new().post(url).header("origin", origin).body(event).send().await?;
    let (status, answer) = (response.status(), response.json::<Value>().await.unwrap_or_default());
    let refused = answer["rejected"].as_array().into_iter().flatten();
    Ok((status, refused.filter_map(|event| event["reason"].as_str().map(str::to_owned)).collect()))
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_by_the_management_api_reach_a_running_server() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut server = Role::start(folder.path(), &["serve", "--listen", "127.0.0.1:0"])?;
    let address = server.address()?;
    let project = create(folder.path(), "Site", &[])?;
    let admin = json(folder.path(), &["token", "create", "admin", "--admin", "--json"])?;
    let admin = admin["token"].as_str().context("a secret")?;
    let settings = format!("{address}/api/v1/projects/{}", project.id);
    let ask = async |method: reqwest::Method, path: &str, body: Value| {
        let request = reqwest::Client::new().request(method, format!("{settings}{path}")).bearer_auth(admin);
        anyhow::Ok(request.json(&body).send().await?.status())
    };
    let (mine, other) = ("https://site.example", "https://other.example");
    assert_eq!(send(&address, &project, other).await?, (StatusCode::ACCEPTED, vec![]));

    let origins = json!({ "origins": [mine] });
    assert_eq!(ask(reqwest::Method::PATCH, "", origins).await?, StatusCode::OK);
    until("the other origin is refused", async || {
        Ok(send(&address, &project, other).await?.0 == StatusCode::FORBIDDEN)
    })
    .await?;
    let off = json!({ "is_on": false });
    assert_eq!(ask(reqwest::Method::PUT, "/event-sources/app", off).await?, StatusCode::OK);
    until("events of the app are refused", async || {
        Ok(send(&address, &project, mine).await?
            == (StatusCode::ACCEPTED, vec!["event_source_off".to_owned()]))
    })
    .await?;
    assert_eq!(
        ask(reqwest::Method::PUT, "/event-sources/app", json!({ "is_on": true })).await?,
        StatusCode::OK
    );
    assert_eq!(ask(reqwest::Method::PATCH, "", json!({ "quota_per_month": 1 })).await?, StatusCode::OK);
    until("the quota is used up", async || {
        Ok(send(&address, &project, mine).await? == (StatusCode::ACCEPTED, vec!["quota_exceeded".to_owned()]))
    })
    .await?;
    assert_eq!(ask(reqwest::Method::PATCH, "", json!({ "quota_per_month": null })).await?, StatusCode::OK);
    until("events are taken again", async || {
        Ok(send(&address, &project, mine).await? == (StatusCode::ACCEPTED, vec![]))
    })
    .await?;
    server.stop()
}

fn redis_url() -> anyhow::Result<String> {
    #[expect(clippy::disallowed_methods, reason = "tests are told by the environment where their Redis is")]
    std::env::var("TALLYMARK_TEST_REDIS_URL").context("run `cargo xtask test`, which sets it")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_made_beside_running_collectors_counts_at_once() {
    on_empty_postgres(async |database| {
        let folder = tempfile::tempdir()?;
        let redis_url = redis_url()?;
        let prefix = format!("tallymark-admin:{:016x}:", getrandom::u64()?);
        let common =
            ["--redis-url", &redis_url, "--redis-prefix", &prefix, "--database-url", &database.address];
        let role = |words: &[&'static str]| words.iter().copied().chain(common).collect::<Vec<&str>>();
        let mut collector = Role::start(folder.path(), &role(&["collect", "--listen", "127.0.0.1:0"]))?;
        let processor = Role::start(folder.path(), &role(&["process"]))?;
        let address = collector.address()?;
        let project = create(folder.path(), "Beside", &common)?;
        assert_eq!(capture(&address, &project).await?, StatusCode::ACCEPTED);
        until_counted(&address, &project, 1).await?;
        collector.stop()?;
        processor.stop()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_reaches_collectors_while_no_processor_runs() {
    on_empty_postgres(async |database| {
        let folder = tempfile::tempdir()?;
        let redis_url = redis_url()?;
        let prefix = format!("tallymark-admin:{:016x}:", getrandom::u64()?);
        let common =
            ["--redis-url", &redis_url, "--redis-prefix", &prefix, "--database-url", &database.address];
        let with = |words: &[&str]| -> Vec<String> {
            words.iter().chain(&common).map(|word| (*word).to_owned()).collect()
        };
        let project = create(folder.path(), "Alone", &common)?;
        let mut collector = Role::start(folder.path(), &with(&["collect", "--listen", "127.0.0.1:0"]))?;
        let address = collector.address()?;
        assert_eq!(capture(&address, &project).await?, StatusCode::ACCEPTED);
        json(folder.path(), &with(&["write-key", "revoke", &project.id, &project.write_key, "--json"]))?;
        until("the revoked key is refused", async || {
            Ok(capture(&address, &project).await? == StatusCode::UNAUTHORIZED)
        })
        .await?;
        collector.stop()
    })
    .await;
}
