//! SQLite: one file, one writer, readers beside it.

mod commit;
mod compact;
mod multi_row;
mod visits;

use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Sqlite, SqlitePool, Transaction};

pub(crate) use commit::CommitTx;
pub(crate) use compact::CompactTx;

use crate::StoreError;

/// How long a writer waits for another process's (the command line's beside a running server).
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Rows that the connection's thread may be ahead of who reads them: fewer hand-overs between the two.
const ROWS_BUFFERED: usize = 1_024;
/// Readers: a dashboard asks several things at once.
const READERS_MAX: u32 = 4;
/// Statements that a connection keeps prepared: those of a commit, in their sizes, and the readers'.
const STATEMENTS_MAX: usize = 200;

/// A writer and readers of one file.
#[derive(Clone, Debug)]
pub(crate) struct SqliteStore {
    writer: SqlitePool,
    readers: SqlitePool,
}

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("migrations/sqlite");

/// How many migrations this version knows.
pub(crate) fn migrations() -> usize {
    MIGRATIONS.iter().count()
}

impl SqliteStore {
    pub(crate) async fn open(address: &str) -> Result<Self, StoreError> {
        let options: SqliteConnectOptions =
            address.parse().map_err(|error| StoreError::Address(format!("the database file: {error}")))?;
        let options = options
            .create_if_missing(true)
            .page_size(8192) // a commit's events fill pages of this size better than 4,096
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full) // acknowledged means on the disk
            .pragma("cache_size", "-65536") // 64 MiB
            .pragma("temp_store", "memory")
            .pragma("wal_autocheckpoint", "4000")
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
            .row_buffer_size(ROWS_BUFFERED)
            .statement_cache_capacity(STATEMENTS_MAX);
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options.clone())
            .await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS_MAX)
            .connect_with(options.pragma("cache_size", "-16384"))
            .await?;
        Ok(Self { writer, readers })
    }

    pub(crate) async fn migrate(&self) -> Result<(), StoreError> {
        // In one transaction that is a writer's from the start: SQLite has no lock of its own for migrations, and
        // of two processes that begin at once one has to wait. (`run` on a connection makes no Send future.)
        let mut tx = self.begin_write().await?;
        MIGRATIONS.run_direct(None, &mut *tx, false).await?;
        Ok(tx.commit().await?)
    }

    /// Begins a transaction that is a writer's from its first statement: one that becomes a writer half-way
    /// fails at once where another got in between.
    pub(crate) async fn begin_write(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        Ok(self.writer.begin_with("begin immediate").await?)
    }

    pub(crate) fn read(&self) -> &SqlitePool {
        &self.readers
    }

    pub(crate) fn write(&self) -> &SqlitePool {
        &self.writer
    }

    pub(crate) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}
