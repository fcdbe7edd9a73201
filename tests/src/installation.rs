//! A whole installation, of either kind: where it is, and how its commands are told.

use std::process::Command;
use std::sync::Arc;

use anyhow::ensure;
use serde_json::Value;
use tallymark_queue::{EmbeddedConfig, EmbeddedQueue, Queue, RedisConfig, RedisQueue};
use tallymark_store::Store;
use tempfile::TempDir;

use crate::databases::TestStore;
use crate::product::{self, Role};
use crate::redis::PrivateRedis;

/// A folder, the options that every command is given, and a Redis where there is one.
#[derive(Debug)]
pub struct Installation {
    /// Where commands are run.
    pub folder: TempDir,
    options: Vec<String>,
    database: String,
    /// Between collectors and processors.
    pub redis: Option<PrivateRedis>,
}

impl Installation {
    /// The embedded queue and SQLite.
    ///
    /// # Errors
    /// Where no folder can be made.
    pub fn embedded() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let database = format!("sqlite:{}", folder.path().join("data/tallymark.db").display());
        Ok(Self { folder, options: vec!["--data-dir".to_owned(), "data".to_owned()], database, redis: None })
    }

    /// A Redis of its own, and this PostgreSQL database.
    ///
    /// # Errors
    /// Where the Redis cannot be started.
    pub async fn distributed(database: &str) -> anyhow::Result<Self> {
        let redis = PrivateRedis::start().await?;
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("secret"), [7; 32])?;
        let password_file = redis.password_file().display().to_string();
        let url = redis.url();
        let options = [
            ["--data-dir", "data"],
            ["--secret-file", "secret"],
            ["--redis-url", &url],
            ["--redis-password-file", &password_file],
            ["--database-url", database],
        ];
        let options = options.concat().into_iter().map(str::to_owned).collect();
        Ok(Self { folder, options, database: database.to_owned(), redis: Some(redis) })
    }

    /// Nothing but these options.
    ///
    /// # Errors
    /// Where no folder can be made.
    pub fn of_options(options: &[&str]) -> anyhow::Result<Self> {
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        Ok(Self { options, ..Self::embedded()? })
    }

    fn told(&self, arguments: &[&str]) -> Vec<String> {
        arguments.iter().map(|argument| (*argument).to_owned()).chain(self.options.clone()).collect()
    }

    /// Runs a command to its end and reads the JSON that it prints.
    ///
    /// # Errors
    /// Where it fails, with what it said.
    pub fn run(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        product::json(self.folder.path(), &self.told(arguments))
    }

    /// What a command that fails prints, on both outputs.
    ///
    /// # Errors
    /// Where it does not fail.
    pub fn fails(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new(product::binary());
        let output = command.args(self.told(arguments)).current_dir(self.folder.path()).output()?;
        ensure!(!output.status.success(), "it does not fail: {}", String::from_utf8_lossy(&output.stdout));
        Ok(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    }

    /// Starts everything in one process, which does not make a test wait.
    ///
    /// # Errors
    /// Where it ends without listening.
    pub fn serve(&self) -> anyhow::Result<(Role, String)> {
        let serve = ["serve", "--listen", "127.0.0.1:0", "--linger-ms", "20", "--reclaim-idle-seconds", "1"];
        let mut role = Role::start(self.folder.path(), &self.told(&serve))?;
        let address = role.address()?;
        Ok((role, address))
    }

    /// The queue itself, while no server has it.
    ///
    /// # Errors
    /// Where it cannot be opened.
    pub async fn queue(&self) -> anyhow::Result<Arc<dyn Queue>> {
        Ok(match &self.redis {
            Some(redis) => Arc::new(RedisQueue::new(&RedisConfig::new(redis.url_with_password()))?),
            None => {
                let config = EmbeddedConfig::new(self.folder.path().join("data/queue"));
                Arc::new(EmbeddedQueue::open(config).await?)
            }
        })
    }

    /// The store, beside whoever uses it.
    ///
    /// # Errors
    /// Where it cannot be opened.
    pub async fn store(&self) -> anyhow::Result<TestStore> {
        Ok(TestStore { store: Store::open(&self.database).await?, address: self.database.clone() })
    }
}
