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

#[tokio::test(flavor = "multi_thread")]
async fn a_project_made_beside_running_collectors_counts_at_once() {
    on_empty_postgres(async |database| {
        let folder = tempfile::tempdir()?;
        #[expect(
            clippy::disallowed_methods,
            reason = "tests are told by the environment where their Redis is"
        )]
        let redis_url =
            std::env::var("TALLYMARK_TEST_REDIS_URL").context("run `cargo xtask test`, which sets it")?;
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
