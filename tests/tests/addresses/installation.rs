//! An installation whose every byte can be looked at.

use std::path::PathBuf;

use anyhow::{Context, bail};
use futures_util::TryStreamExt as _;
use serde_json::Value;
use sqlx::{AssertSqlSafe, SqliteConnection};
use tallymark_store::Store;
use tallymark_tests::databases::{Sql, TestStore};
use tallymark_tests::patience::until;
use tallymark_tests::product::{Role, json};
use tempfile::TempDir;

use crate::forms::{Places, files};
use crate::traffic::SHIELDED_NETWORK;

/// Where everything is, and what every command is told.
pub(crate) struct Installation {
    folder: TempDir,
    options: Vec<String>,
    store: TestStore,
}

/// A project: who it is, and by what its events come.
pub(crate) struct Project {
    pub(crate) id: i64,
    pub(crate) write_key: String,
}

impl Installation {
    /// Everything in one process, on files.
    pub(crate) async fn alone() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        std::fs::create_dir(folder.path().join("data"))?;
        let address = format!("sqlite:{}", folder.path().join("data/tallymark.db").display());
        let store = TestStore { store: Store::open(&address).await?, address };
        Ok(Self { folder, options: ["--data-dir", "data"].map(str::to_owned).into(), store })
    }

    /// A collector and a processor, over Redis and PostgreSQL.
    pub(crate) fn together(store: TestStore, redis_url: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("secret"), [7; 64])?;
        let options = ["--data-dir", "data", "--secret-file", "secret", "--redis-url", redis_url];
        let mut options = options.map(str::to_owned).to_vec();
        options.extend(["--database-url".to_owned(), store.address.clone()]);
        Ok(Self { folder, options, store })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn told(&self, arguments: &[&str]) -> Vec<String> {
        arguments.iter().map(|argument| (*argument).to_owned()).chain(self.options.clone()).collect()
    }

    /// What a command prints.
    pub(crate) fn run(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        json(self.folder.path(), &self.told(arguments))
    }

    /// Starts a role that logs all that it can.
    pub(crate) fn start(&self, arguments: &[&str]) -> anyhow::Result<Role> {
        let mut told = self.told(arguments);
        told.extend(
            ["--log-level", "trace", "--linger-ms", "20", "--reclaim-idle-seconds", "1"].map(str::to_owned),
        );
        if arguments[0] != "process" {
            told.extend(["--listen", "127.0.0.1:0", "--trusted-proxy", "127.0.0.1"].map(str::to_owned));
        }
        let log = self.path("logs").join(format!("{}.log", arguments[0]));
        std::fs::create_dir_all(self.path("logs"))?;
        Role::start_with_log(self.folder.path(), &told, &log)
    }

    /// Creates a project with a shield, and with a limit for addresses that nobody meets.
    pub(crate) async fn project(&self, name: &str, keep_addresses: bool) -> anyhow::Result<Project> {
        let created = self.run(&["project", "create", name, "--json"])?;
        let text = |field: &str| created[field].as_str().map(str::to_owned).context(field.to_owned());
        let project = Project { id: text("id")?.parse()?, write_key: text("write_key")? };
        let (id, now) = match self.store.sql().await? {
            Sql::Postgres(_) => ("gen_random_uuid()", "now()"),
            Sql::Sqlite(_) => ("randomblob(16)", "0"),
        };
        self.sql(format!(
            "insert into shield (project_id, id, kind, pattern, created_at)
             values ({}, {id}, 'address', '{SHIELDED_NETWORK}', {now})",
            project.id
        ))
        .await?;
        self.sql(format!(
            "update project set keep_addresses = {keep_addresses}, address_rate_limit_per_minute = 1000000,
             version = version + 1 where id = {}",
            project.id
        ))
        .await?;
        Ok(project)
    }

    /// Takes a project away from under the events that it has sent.
    pub(crate) async fn remove(&self, project: &Project) -> anyhow::Result<()> {
        for statement in removal(project) {
            self.sql(statement).await?;
        }
        Ok(())
    }

    /// Takes a project away, and until that is committed keeps everybody else from writing.
    pub(crate) async fn hold(&self, removed: &Project) -> anyhow::Result<Held> {
        let Sql::Sqlite(mut connection) = self.store.sql().await? else { bail!("only a file can be held") };
        sqlx::query("begin immediate").execute(&mut connection).await?;
        for statement in removal(removed) {
            sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await?;
        }
        Ok(Held(connection))
    }

    /// Waits until so many events are counted, beside those that came before the shield was known, and what can never be is
    /// set aside.
    pub(crate) async fn until_settled(&self, events: i64) -> anyhow::Result<()> {
        let mut seen = (0, Value::Null);
        let settled = until("everything is counted or set aside", async || {
            let counted =
                self.store.sql().await?.number("select count(*) from event where name <> 'kept out'").await?;
            seen = (counted, self.run(&["status", "--json"])?["queue"].take());
            Ok(seen.0 == events && seen.1["entries"] == 0 && seen.1["dead_letters"] != 0)
        });
        let settled = settled.await;
        settled.with_context(|| format!("of {events} events {} are counted; the queue: {}", seen.0, seen.1))
    }

    /// The statement is made of words and numbers of ours.
    async fn sql(&self, statement: String) -> anyhow::Result<()> {
        match &mut self.store.sql().await? {
            Sql::Postgres(connection) => {
                sqlx::query(AssertSqlSafe(statement)).execute(connection).await?;
            }
            Sql::Sqlite(connection) => {
                sqlx::query(AssertSqlSafe(statement)).execute(connection).await?;
            }
        }
        Ok(())
    }

    /// Every file below a folder of this installation.
    pub(crate) fn files(&self, name: &str) -> Places {
        files(name, &self.path(name))
    }

    /// Every row of every table.
    pub(crate) async fn rows(&self) -> anyhow::Result<Places> {
        rows(&self.store).await
    }
}

/// A store that nobody can write to.
pub(crate) struct Held(SqliteConnection);

impl Held {
    pub(crate) async fn release(mut self) -> anyhow::Result<()> {
        sqlx::query("commit").execute(&mut self.0).await?;
        Ok(())
    }
}

fn removal(project: &Project) -> Vec<String> {
    let tables = [
        ("shield", "project_id"),
        ("write_key", "project_id"),
        ("api_token", "project_id"),
        ("project", "id"),
    ];
    tables.map(|(table, column)| format!("delete from {table} where {column} = {}", project.id)).into()
}

/// Every row of every table, as PostgreSQL writes them out.
async fn rows(store: &TestStore) -> anyhow::Result<Places> {
    let Sql::Postgres(mut connection) = store.sql().await? else { return Ok(Places::new()) };
    let tables: Vec<(String, String)> = sqlx::query_as(
        "select format('%I.%I', schemaname, tablename), format('copy (select * from %I.%I) to stdout', schemaname, \
         tablename) from pg_tables where schemaname not in ('pg_catalog', 'information_schema')",
    )
    .fetch_all(&mut connection)
    .await?;
    let mut places = Places::new();
    for (table, copy) in tables {
        let pieces: Vec<_> = connection.copy_out_raw(&copy).await?.try_collect().await?;
        places.push((format!("store/{table}"), pieces.concat()));
    }
    Ok(places)
}
