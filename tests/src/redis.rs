//! A Redis of a test's own: one that may be killed, stopped, filled up and locked.

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, ensure};
use tempfile::TempDir;

use crate::patience::until;

/// A Redis that keeps everything: it writes each append down before it answers.
#[derive(Debug)]
pub struct PrivateRedis {
    folder: TempDir,
    port: u16,
    password: String,
    child: Option<Child>,
}

impl PrivateRedis {
    /// Starts one, with a password in [`PrivateRedis::password_file`].
    ///
    /// # Errors
    /// Where there is no redis-server, or it does not answer.
    pub async fn start() -> anyhow::Result<Self> {
        // Nobody else takes it in between, or the start fails: a test's luck, not its result.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let folder = tempfile::tempdir()?;
        let mut redis = Self { folder, port, password: String::new(), child: None };
        redis.keep_password("first")?;
        redis.start_again().await?;
        Ok(redis)
    }

    /// Starts it over the same files, after a kill.
    ///
    /// # Errors
    /// As [`PrivateRedis::start`].
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        let folder = self.folder.path();
        let port = self.port.to_string();
        let child = Command::new("redis-server")
            .args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--requirepass", &self.password])
            .args(["--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction"])
            .arg("--dir")
            .arg(folder)
            .stdout(Stdio::null())
            .spawn()
            .context("redis-server cannot be started: run `cargo xtask test`, which installs it")?;
        self.child = Some(child);
        until("Redis answers", async || Ok(self.ask(&["PING"]).await.is_ok())).await
    }

    /// Where it is, without the password.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Where it is, with the password.
    #[must_use]
    pub fn url_with_password(&self) -> String {
        format!("redis://:{}@127.0.0.1:{}", self.password, self.port)
    }

    /// What `--redis-password-file` names.
    #[must_use]
    pub fn password_file(&self) -> PathBuf {
        self.folder.path().join("password")
    }

    /// What the append-only file holds.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    fn keep_password(&mut self, password: &str) -> anyhow::Result<()> {
        password.clone_into(&mut self.password);
        Ok(std::fs::write(self.password_file(), format!("{password}\n"))?)
    }

    /// Changes the password there and in the file, and throws everybody out who knows only the old one.
    ///
    /// # Errors
    /// Where it does not obey.
    pub async fn change_password(&mut self, password: &str) -> anyhow::Result<()> {
        self.ask(&["CONFIG", "SET", "requirepass", password]).await?;
        self.keep_password(password)?;
        self.ask(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await
    }

    /// Runs a command whose answer says nothing.
    ///
    /// # Errors
    /// Where it refuses.
    pub async fn ask(&self, words: &[&str]) -> anyhow::Result<()> {
        let mut connection =
            redis::Client::open(self.url_with_password())?.get_multiplexed_async_connection().await?;
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        Ok(command.exec_async(&mut connection).await?)
    }

    /// Every text in a stream, one behind the other.
    ///
    /// # Errors
    /// Where it does not answer.
    pub async fn stream(&self, key: &str) -> anyhow::Result<Vec<u8>> {
        fn gather(value: redis::Value, bytes: &mut Vec<u8>) {
            match value {
                redis::Value::BulkString(text) => bytes.extend(text),
                redis::Value::Array(values) => values.into_iter().for_each(|value| gather(value, bytes)),
                _ => {}
            }
        }
        let mut connection =
            redis::Client::open(self.url_with_password())?.get_multiplexed_async_connection().await?;
        let entries: redis::Value =
            redis::cmd("XRANGE").arg(key).arg("-").arg("+").query_async(&mut connection).await?;
        let mut bytes = Vec::new();
        gather(entries, &mut bytes);
        Ok(bytes)
    }

    /// `kill -9`.
    ///
    /// # Errors
    /// Where it was gone already.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        let mut child = self.child.take().context("Redis was not running")?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Lets it hold its connections and answer nothing.
    ///
    /// # Errors
    /// Where it is gone.
    pub fn pause(&self) -> anyhow::Result<()> {
        self.signal("-STOP")
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// Where it is gone.
    pub fn resume(&self) -> anyhow::Result<()> {
        self.signal("-CONT")
    }

    fn signal(&self, signal: &str) -> anyhow::Result<()> {
        let pid = self.child.as_ref().context("Redis is not running")?.id().to_string();
        ensure!(Command::new("kill").args([signal, &pid]).status()?.success(), "it was gone already");
        Ok(())
    }
}

impl Drop for PrivateRedis {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill(); // a stopped process, too
            let _ = child.wait();
        }
    }
}
