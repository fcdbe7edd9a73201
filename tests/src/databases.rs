//! Databases for tests, one each.

use std::future::Future;
use std::ops::Deref;
use std::panic::AssertUnwindSafe;

use anyhow::Context;
use futures_util::FutureExt;
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, SqliteConnection};
use tallymark_store::{Kind, Store};
use tempfile::TempDir;

/// A store on a database of its own. Clones are of the same database.
#[derive(Clone, Debug)]
pub struct TestStore {
    /// The store.
    pub store: Store,
    /// By which others open the same database.
    pub address: String,
}

impl Deref for TestStore {
    type Target = Store;
    fn deref(&self) -> &Store {
        &self.store
    }
}

/// A connection of a test's own, for what the store offers nobody.
#[derive(Debug)]
pub enum Sql {
    /// To PostgreSQL.
    Postgres(PgConnection),
    /// To a file.
    Sqlite(SqliteConnection),
}

impl Sql {
    /// Runs a statement that is the same in both databases.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn run(&mut self, statement: &'static str) -> Result<(), sqlx::Error> {
        match self {
            Self::Postgres(connection) => sqlx::query(statement).execute(connection).await.map(drop),
            Self::Sqlite(connection) => sqlx::query(statement).execute(connection).await.map(drop),
        }
    }

    /// Runs a query of one number.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn number(&mut self, query: &'static str) -> Result<i64, sqlx::Error> {
        match self {
            Self::Postgres(connection) => sqlx::query_scalar(query).fetch_one(connection).await,
            Self::Sqlite(connection) => sqlx::query_scalar(query).fetch_one(connection).await,
        }
    }
}

impl TestStore {
    /// Opens a connection beside the store.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn sql(&self) -> anyhow::Result<Sql> {
        Ok(match self.store.kind() {
            Kind::Postgres => Sql::Postgres(PgConnection::connect(&self.address).await?),
            Kind::Sqlite => {
                let options: SqliteConnectOptions = self.address.parse()?;
                Sql::Sqlite(options.connect().await?)
            }
        })
    }
}

/// What has to go away when a test is over.
enum Place {
    Folder(TempDir),
    Database { server: String, name: String },
}

async fn sqlite() -> anyhow::Result<(TestStore, Place)> {
    let dir = tempfile::tempdir()?;
    let address = format!("sqlite:{}", dir.path().join("tallymark.db").display());
    Ok((TestStore { store: Store::open(&address).await?, address }, Place::Folder(dir)))
}

async fn postgres() -> anyhow::Result<(TestStore, Place)> {
    let server = server_url();
    let name = format!("tallymark_test_{:016x}", getrandom::u64().context("randomness")?);
    administer(&server, format!("create database {name}")).await?;
    let options: PgConnectOptions = server.parse()?;
    let address = options.database(&name).to_url_lossy().to_string();
    let store = Store::open(&address).await?;
    Ok((TestStore { store, address }, Place::Database { server, name }))
}

async fn administer(server: &str, statement: String) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(server).await.context("cannot reach the tests' PostgreSQL")?;
    // The statement is made of words of ours and a number.
    sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await?;
    Ok(connection.close().await?)
}

/// Runs `scenario` on an empty SQLite database, without a schema.
///
/// # Panics
/// Where the scenario does, or answers an error.
pub async fn on_empty_sqlite<F: Future<Output = anyhow::Result<()>>>(scenario: impl FnOnce(TestStore) -> F) {
    run(sqlite().await, scenario).await;
}

/// Runs `scenario` on an empty PostgreSQL database, without a schema, and takes that away afterwards, whatever happened.
///
/// # Panics
/// Where the scenario does, or answers an error.
pub async fn on_empty_postgres<F: Future<Output = anyhow::Result<()>>>(
    scenario: impl FnOnce(TestStore) -> F,
) {
    run(postgres().await, scenario).await;
}

/// Runs `scenario` on a fresh SQLite store.
///
/// # Panics
/// Where the scenario does, or answers an error.
pub async fn on_sqlite<F: Future<Output = anyhow::Result<()>>>(scenario: impl FnOnce(TestStore) -> F) {
    on_empty_sqlite(async |test| migrated(test, scenario).await).await;
}

/// Runs `scenario` on a fresh PostgreSQL store, and takes its database away afterwards, whatever happened.
///
/// # Panics
/// Where the scenario does, or answers an error.
pub async fn on_postgres<F: Future<Output = anyhow::Result<()>>>(scenario: impl FnOnce(TestStore) -> F) {
    on_empty_postgres(async |test| migrated(test, scenario).await).await;
}

async fn migrated<F: Future<Output = anyhow::Result<()>>>(
    test: TestStore,
    scenario: impl FnOnce(TestStore) -> F,
) -> anyhow::Result<()> {
    test.migrate().await?;
    scenario(test).await
}

async fn run<F: Future<Output = anyhow::Result<()>>>(
    opened: anyhow::Result<(TestStore, Place)>,
    scenario: impl FnOnce(TestStore) -> F,
) {
    let (test, place) = opened.expect("a database for this test");
    let outcome = AssertUnwindSafe(scenario(test.clone())).catch_unwind().await;
    test.close().await;
    match place {
        Place::Folder(dir) => drop(dir),
        Place::Database { server, name } => {
            let dropped = administer(&server, format!("drop database {name} with (force)")).await;
            dropped.expect("the test's database goes away");
        }
    }
    match outcome {
        Ok(result) => result.expect("the scenario ends well"),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Makes a test of each scenario (`async fn(TestStore) -> anyhow::Result<()>`) on both stores.
#[macro_export]
macro_rules! on_both_stores {
    ($($scenario:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $scenario() {
                $crate::databases::on_sqlite(super::$scenario).await;
            })+
        }
        mod postgres {
            $(#[tokio::test]
            async fn $scenario() {
                $crate::databases::on_postgres(super::$scenario).await;
            })+
        }
    };
}

/// A test that passes because it did nothing is worse than one that fails.
#[expect(clippy::disallowed_methods, reason = "tests are told where their PostgreSQL is by the environment")]
fn server_url() -> String {
    std::env::var("TALLYMARK_TEST_DATABASE_URL").expect(
        "TALLYMARK_TEST_DATABASE_URL is not set: run `cargo xtask test`, which starts a PostgreSQL for the tests",
    )
}
