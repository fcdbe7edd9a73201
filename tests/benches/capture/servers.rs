//! The servers that are measured: the release build of the product over a Redis and a PostgreSQL of the bench's own.

use std::net::SocketAddr;

use anyhow::Context;
use sqlx::{AssertSqlSafe, PgPool};
use tallymark_tests::product::{self, Role};
use tempfile::TempDir;

use crate::load::send_first;
use crate::process::{Watched, parent_of};
use crate::request::Request;

/// More than is sent while nobody processes.
const BACKLOG_BYTES_MAX: &str = "8000000000";

/// Events that are sent before any is measured.
pub(crate) const FIRST_EVENTS: u64 = 1;

/// How often Redis writes to its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fsync {
    Always,
    EverySecond,
}

impl Fsync {
    /// As Redis calls it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::EverySecond => "everysec",
        }
    }
}

/// Redis and PostgreSQL.
pub(crate) struct Backends {
    pub(crate) redis_url: String,
    pub(crate) redis_pid: u32,
    postgres_url: String,
    postgres_pid: u32,
}

impl Backends {
    /// Those at these addresses.
    pub(crate) async fn at(redis_url: String, postgres_url: String) -> anyhow::Result<Self> {
        let mut redis = redis_at(&redis_url).await?;
        let said: String = redis::cmd("INFO").arg("server").query_async(&mut redis).await?;
        let redis_pid = said.lines().find_map(|line| line.strip_prefix("process_id:"));
        let redis_pid = redis_pid.and_then(|pid| pid.trim().parse().ok()).context("Redis says its pid")?;
        let pool = PgPool::connect(&postgres_url).await?;
        let checkpointer = "select pid from pg_stat_activity where backend_type = 'checkpointer'";
        let (child,): (i32,) = sqlx::query_as(checkpointer).fetch_one(&pool).await?;
        pool.close().await;
        let postgres_pid = parent_of(child.cast_unsigned()).context("PostgreSQL runs on this machine")?;
        Ok(Self { redis_url, redis_pid, postgres_url, postgres_pid })
    }

    /// What is looked at beside the product.
    pub(crate) fn watched(&self) -> [Watched; 2] {
        [
            Watched { name: "Redis", pid: self.redis_pid },
            Watched { name: "PostgreSQL", pid: self.postgres_pid },
        ]
    }

    /// Empties Redis, and makes it write to its disk as `fsync` says.
    pub(crate) async fn fresh_redis(&self, fsync: Fsync) -> anyhow::Result<()> {
        let mut redis = redis_at(&self.redis_url).await?;
        redis::cmd("CONFIG").arg("SET").arg("appendfsync").arg(fsync.as_str()).exec_async(&mut redis).await?;
        redis::cmd("FLUSHALL").exec_async(&mut redis).await?;
        Ok(())
    }

    /// A database of this name with nothing in it.
    async fn fresh_database(&self, name: &str) -> anyhow::Result<String> {
        let admin = PgPool::connect(&self.postgres_url).await?;
        for statement in
            [format!("drop database if exists {name} with (force)"), format!("create database {name}")]
        {
            sqlx::query(AssertSqlSafe(statement)).execute(&admin).await?;
        }
        admin.close().await;
        let (server, _) = self.postgres_url.rsplit_once('/').context("a database's URL")?;
        Ok(format!("{server}/{name}"))
    }
}

async fn redis_at(url: &str) -> anyhow::Result<redis::aio::MultiplexedConnection> {
    Ok(redis::Client::open(url)?.get_multiplexed_async_connection().await?)
}

/// Where the product keeps what it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Setup {
    /// `collect`, and `process` where events are to be counted, over Redis and PostgreSQL.
    Redis(Fsync),
    /// `serve` with its embedded queue, over PostgreSQL.
    Embedded,
}

impl Setup {
    /// For people.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Redis(fsync) => format!("Redis, {}", fsync.as_str()),
            Self::Embedded => "embedded queue".to_owned(),
        }
    }
}

/// The product under way over a fresh database, with one project. Killed when it is dropped.
pub(crate) struct Servers {
    roles: Vec<(&'static str, Role)>,
    options: Vec<String>,
    database: String,
    folder: TempDir,
    /// Where it captures.
    pub(crate) address: SocketAddr,
    pub(crate) write_key: String,
    pub(crate) project_id: i32,
    /// For looking at what is counted.
    pub(crate) pool: PgPool,
}

impl Servers {
    /// Starts the role that captures. `serve` has its processor within, `collect` has none yet.
    pub(crate) async fn start(backends: &Backends, setup: Setup) -> anyhow::Result<Self> {
        let database = backends.fresh_database("tallymark_bench_capture").await?;
        let folder = tempfile::tempdir()?;
        let data_dir = folder.path().join("data").display().to_string();
        let mut options = texts(&["--data-dir", &data_dir, "--backlog-bytes-max", BACKLOG_BYTES_MAX]);
        let with_database = texts(&["--database-url", &database]);
        let (role, own) = match setup {
            Setup::Redis(fsync) => {
                backends.fresh_redis(fsync).await?;
                options.extend(texts(&["--redis-url", &backends.redis_url]));
                ("collect", Vec::new())
            }
            Setup::Embedded => ("serve", with_database.clone()),
        };
        let create =
            [texts(&["project", "create", "bench", "--json"]), with_database, options.clone()].concat();
        let made = product::json(folder.path(), &create)?;
        let text = |name: &str| made[name].as_str().context("a project is made with its keys");
        let listen = texts(&[role, "--listen", "127.0.0.1:0"]);
        let mut capturing = Role::start(folder.path(), &[listen, own, options.clone()].concat())?;
        let address = capturing.address()?.trim_start_matches("http://").parse()?;
        let write_key = text("write_key")?.to_owned();
        send_first(address, &Request::new(&write_key, FIRST_EVENTS)).await?;
        Ok(Self {
            address,
            write_key,
            project_id: text("id")?.parse()?,
            pool: PgPool::connect(&database).await?,
            roles: vec![(role, capturing)],
            options,
            database,
            folder,
        })
    }

    /// Starts a processor beside a collector.
    pub(crate) fn process(&mut self) -> anyhow::Result<()> {
        if self.roles.iter().any(|(name, _)| *name == "collect") {
            let process =
                [texts(&["process", "--database-url", &self.database]), self.options.clone()].concat();
            self.roles.push(("process", Role::start(self.folder.path(), &process)?));
        }
        Ok(())
    }

    /// The product's processes; the one that captures is the first.
    pub(crate) fn watched(&self) -> Vec<Watched> {
        self.roles.iter().map(|(name, role)| Watched { name, pid: role.pid() }).collect()
    }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}
