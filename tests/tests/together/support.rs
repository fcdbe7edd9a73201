//! Roles over one Redis and one PostgreSQL, and a project that is sent to.

use std::path::{Path, PathBuf};

use anyhow::Context;
use reqwest::{Response, StatusCode};
use serde_json::json;
use tallymark_tests::product::{Role, json};
use tallymark_tests::redis::PrivateRedis;
use tempfile::TempDir;

/// Where roles meet, and their folder.
pub(crate) struct Cluster {
    folder: TempDir,
    redis_url: String,
    password_file: PathBuf,
    pub(crate) database_url: String,
}

impl Cluster {
    pub(crate) fn over(redis: &PrivateRedis, database_url: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("secret"), [7; 32])?;
        let (redis_url, password_file) = (redis.url(), redis.password_file());
        Ok(Self { folder, redis_url, password_file, database_url: database_url.to_owned() })
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The options of every command here.
    fn options(&self) -> anyhow::Result<Vec<&str>> {
        let password_file = self.password_file.to_str().context("a path in UTF-8")?;
        Ok(vec![
            "--redis-url",
            &self.redis_url,
            "--redis-password-file",
            password_file,
            "--database-url",
            &self.database_url,
        ])
    }

    pub(crate) fn role(&self, role: &str) -> anyhow::Result<Role> {
        let mut arguments = vec![role, "--listen", "127.0.0.1:0"];
        arguments.extend(self.options()?);
        Role::start(self.folder(), &arguments)
    }

    /// A collector with a data directory of its own.
    pub(crate) fn collector(&self, data: &str) -> anyhow::Result<Role> {
        let mut arguments = vec!["collect", "--listen", "127.0.0.1:0", "--data-dir", data];
        arguments.extend(["--secret-file", "secret"]);
        arguments.extend(self.options()?);
        Role::start(self.folder(), &arguments)
    }

    pub(crate) fn collector_without_secret(&self, data: &str) -> anyhow::Result<Role> {
        let mut arguments = vec!["collect", "--listen", "127.0.0.1:0", "--data-dir", data];
        arguments.extend(self.options()?);
        Role::start(self.folder(), &arguments)
    }
}

/// A project, as a sender knows it.
pub(crate) struct Project {
    pub(crate) write_key: String,
}

/// Makes a project.
pub(crate) fn project(cluster: &Cluster, name: &str, options: &[&str]) -> anyhow::Result<Project> {
    let mut arguments = vec!["project", "create", name, "--json"];
    arguments.extend(options);
    arguments.extend(cluster.options()?);
    Project::printed(cluster.folder(), &arguments)
}

impl Project {
    /// Runs `project create` by `arguments`.
    pub(crate) fn printed(folder: &Path, arguments: &[&str]) -> anyhow::Result<Self> {
        let printed = json(folder, arguments)?;
        let write_key = printed["write_key"].as_str().context("a write key")?.to_owned();
        Ok(Self { write_key })
    }

    /// A project that nobody made.
    pub(crate) fn unknown() -> Self {
        Self { write_key: "wk_0123456789abcdefghijklmnopqrstuv".to_owned() }
    }

    fn url(&self, address: &str) -> String {
        format!("{address}/capture?write_key={}", self.write_key)
    }

    /// Sends one event of a visitor with an id.
    pub(crate) async fn capture(&self, address: &str, visitor: &str) -> anyhow::Result<Response> {
        let event = json!({ "name": "signup", "anonymous_id": visitor }).to_string();
        Ok(reqwest::Client::new().post(self.url(address)).body(event).send().await?)
    }

    /// Sends one event as a browser does that keeps nothing.
    pub(crate) async fn browse(&self, address: &str) -> anyhow::Result<StatusCode> {
        let request = reqwest::Client::new().post(self.url(address)).body(r#"{"name":"seen"}"#);
        let request = request.header("origin", "https://shop.example").header("user-agent", "Mozilla/5.0");
        Ok(request.send().await?.status())
    }
}
