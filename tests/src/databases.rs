//! Databases for tests, one each.

use std::future::Future;
use std::panic::AssertUnwindSafe;

use anyhow::Context;
use futures_util::FutureExt;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use tallymark_store::Store;
use tempfile::TempDir;

/// A migrated store of a test's own.
#[derive(Debug)]
pub struct TestStore {
    /// The store.
    pub store: Store,
    /// By which other processes, and tests that need plain SQL, open the same database.
    pub address: String,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Folder(#[expect(dead_code, reason = "removes the database's folder when it is dropped")] TempDir),
    Database { server: String, name: String },
}

impl TestStore {
    /// A file in a folder of its own, gone with the value.
    ///
    /// # Errors
    /// Where no folder can be made.
    pub async fn sqlite() -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let address = format!("sqlite:{}", dir.path().join("tallymark.db").display());
        Self::open(address, Place::Folder(dir)).await
    }

    /// A fresh database on the server that `TALLYMARK_TEST_DATABASE_URL` names. [`drop_database`](Self::drop_database)
    /// takes it away again.
    ///
    /// # Errors
    /// Where the server does not answer.
    ///
    /// # Panics
    /// Where there is none: a test that passes because it did nothing is worse than one that fails.
    pub async fn postgres() -> anyhow::Result<Self> {
        let server = server_url();
        let name = format!("tallymark_test_{:016x}", getrandom::u64().context("randomness")?);
        administer(&server, format!("create database {name}")).await?;
        let mut address: sqlx::postgres::PgConnectOptions = server.parse()?;
        address = address.database(&name);
        Self::open(address.to_url_lossy().into(), Place::Database { server, name }).await
    }

    async fn open(address: String, place: Place) -> anyhow::Result<Self> {
        let store = Store::open(&address).await?;
        store.migrate().await?;
        Ok(Self { store, address, place })
    }

    /// Closes the store and takes its database away.
    ///
    /// # Errors
    /// Where the server does not let it go.
    pub async fn drop_database(self) -> anyhow::Result<()> {
        self.store.close().await;
        match self.place {
            Place::Folder(_) => Ok(()),
            Place::Database { server, name } => {
                administer(&server, format!("drop database {name} with (force)")).await
            }
        }
    }
}

async fn administer(server: &str, statement: String) -> anyhow::Result<()> {
    let options: sqlx::postgres::PgConnectOptions = server.parse()?;
    let mut connection = options.connect().await.context("cannot reach the tests' PostgreSQL")?;
    // The statement is made of words of ours and a number.
    sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await?;
    Ok(connection.close().await?)
}

/// Runs `scenario` on a fresh SQLite database.
///
/// # Panics
/// Where the scenario does, or answers an error.
pub async fn on_sqlite<F: Future<Output = anyhow::Result<()>>>(scenario: impl FnOnce(Store) -> F) {
    on(TestStore::sqlite().await, scenario).await;
}

/// Runs `scenario` on a fresh PostgreSQL database, and takes that away afterwards, whatever happened.
///
/// # Panics
/// Where the scenario does, or answers an error.
pub async fn on_postgres<F: Future<Output = anyhow::Result<()>>>(scenario: impl FnOnce(Store) -> F) {
    on(TestStore::postgres().await, scenario).await;
}

async fn on<F: Future<Output = anyhow::Result<()>>>(
    opened: anyhow::Result<TestStore>,
    scenario: impl FnOnce(Store) -> F,
) {
    let test = opened.expect("a database for this test");
    let outcome = AssertUnwindSafe(scenario(test.store.clone())).catch_unwind().await;
    test.drop_database().await.expect("the test's database goes away");
    match outcome {
        Ok(result) => result.expect("the scenario ends well"),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Makes a test of each scenario (`async fn(Store) -> anyhow::Result<()>`) on both stores.
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

#[expect(clippy::disallowed_methods, reason = "tests are told where their PostgreSQL is by the environment")]
fn server_url() -> String {
    std::env::var("TALLYMARK_TEST_DATABASE_URL").expect(
        "TALLYMARK_TEST_DATABASE_URL is not set: run `cargo xtask test`, which starts a PostgreSQL for the tests",
    )
}
