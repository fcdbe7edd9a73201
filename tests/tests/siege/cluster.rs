//! The roles, and the Redis between them.

use tallymark_queue::{Queue, RedisConfig, RedisQueue};
use tallymark_tests::browsers::Browsers;
use tallymark_tests::databases::TestStore;
use tallymark_tests::patience::until;
use tallymark_tests::product::{self, Role};
use tallymark_tests::redis::PrivateRedis;
use tempfile::TempDir;

/// How long a dead processor's entries wait: a minute would be the product's default.
const RECLAIM_IDLE_SECONDS: &str = "2";

/// Two collectors and two processors.
pub(crate) struct Cluster {
    pub(crate) redis: PrivateRedis,
    folder: TempDir,
    database: String,
    collectors: Vec<(Role, String)>,
    processors: Vec<Role>,
}

impl Cluster {
    pub(crate) async fn start(test: &TestStore) -> anyhow::Result<Self> {
        let redis = PrivateRedis::start().await?;
        let folder = tempfile::tempdir()?;
        let database = test.address.clone();
        let mut cluster = Self { redis, folder, database, collectors: Vec::new(), processors: Vec::new() };
        for number in 0..2 {
            let processor = cluster.processor()?;
            cluster.processors.push(processor);
            let collector = cluster.collector(number)?;
            cluster.collectors.push(collector);
        }
        Ok(cluster)
    }

    fn with_redis(&self, arguments: &[&str]) -> Vec<String> {
        let own = arguments.iter().map(|argument| (*argument).to_owned());
        let password_file = self.redis.password_file().display().to_string();
        let redis =
            ["--redis-url".to_owned(), self.redis.url(), "--redis-password-file".to_owned(), password_file];
        own.chain(redis).collect()
    }

    fn processor(&self) -> anyhow::Result<Role> {
        let arguments = self.with_redis(&[
            "process",
            "--database-url",
            &self.database,
            "--linger-ms",
            "50",
            "--reclaim-idle-seconds",
            RECLAIM_IDLE_SECONDS,
        ]);
        Role::start(self.folder.path(), &arguments)
    }

    fn collector(&self, number: usize) -> anyhow::Result<(Role, String)> {
        let data_dir = format!("collector-{number}");
        let arguments = self.with_redis(&["collect", "--listen", "127.0.0.1:0", "--data-dir", &data_dir]);
        let mut role = Role::start(self.folder.path(), &arguments)?;
        let address = role.address()?;
        Ok((role, address))
    }

    /// Where the collectors are.
    pub(crate) fn addresses(&self) -> Vec<String> {
        self.collectors.iter().map(|(_, address)| address.clone()).collect()
    }

    pub(crate) async fn until(&mut self, what: &str, is: impl Fn() -> bool) -> anyhow::Result<()> {
        until(what, async || {
            self.all_running()?;
            Ok(is())
        })
        .await
    }

    fn all_running(&mut self) -> anyhow::Result<()> {
        self.collectors
            .iter_mut()
            .map(|(role, _)| role)
            .chain(&mut self.processors)
            .try_for_each(Role::running)
    }

    pub(crate) async fn until_key_is_known(&mut self, browsers: &Browsers) -> anyhow::Result<()> {
        let addresses = self.addresses();
        until("collectors know the project", async || {
            self.all_running()?;
            for address in &addresses {
                if !browsers.is_key_known(address).await? {
                    return Ok(false);
                }
            }
            Ok(true)
        })
        .await
    }

    pub(crate) fn kill_and_replace_a_processor(&mut self) -> anyhow::Result<()> {
        self.processors.remove(0).kill()?;
        let processor = self.processor()?;
        self.processors.push(processor);
        Ok(())
    }

    pub(crate) fn kill_and_replace_a_collector(&mut self) -> anyhow::Result<()> {
        self.collectors.remove(0).0.kill()?;
        let collector = self.collector(0)?;
        self.collectors.insert(0, collector);
        Ok(())
    }

    /// Waits until each collector knows that Redis is there, and has handed on what it had spooled.
    pub(crate) async fn until_nothing_is_spooled(&mut self) -> anyhow::Result<()> {
        until("nothing is spooled", async || {
            self.all_running()?;
            for number in 0..self.collectors.len() {
                let data_dir = format!("collector-{number}");
                let arguments = self.with_redis(&["status", "--json", "--data-dir", &data_dir]);
                let status = product::json(self.folder.path(), &arguments)?;
                let spool = &status["server"]["spool"];
                if spool["entries"] != 0 || spool["is_away"] != false {
                    return Ok(false);
                }
            }
            Ok(true)
        })
        .await
    }

    /// Waits until the spools and the queue are empty.
    pub(crate) async fn until_all_is_processed(&mut self) -> anyhow::Result<()> {
        self.until_nothing_is_spooled().await?;
        let queue = RedisQueue::new(&RedisConfig::new(self.redis.url_with_password()))?;
        until("everything is processed", async || {
            self.all_running()?;
            Ok(queue.backlog().await?.entries == 0)
        })
        .await?;
        anyhow::ensure!(queue.backlog().await?.dead_letters == 0, "entries were set aside");
        queue.close().await;
        Ok(())
    }

    pub(crate) fn stop(self) -> anyhow::Result<()> {
        for (collector, _) in self.collectors {
            collector.stop()?;
        }
        self.processors.into_iter().try_for_each(Role::stop)
    }
}
