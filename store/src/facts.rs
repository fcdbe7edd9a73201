//! What a store is and how far its schema is, for `doctor`.

use tallymark_protocol::UnixMs;

use crate::columns::Ms;
use crate::{Backend, Store, StoreError, on_both};

/// What a store says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreFacts {
    /// Database and version.
    pub server: String,
    /// Its clock.
    pub now: UnixMs,
    /// Migrations of this version that were not run on it.
    pub pending_migrations: usize,
}

/// The questions, in one dialect.
struct Questions {
    server: &'static str,
    now: &'static str,
    has_migrations: &'static str,
}

const POSTGRES: Questions = Questions {
    server: "select 'PostgreSQL ' || current_setting('server_version')",
    now: "select clock_timestamp()",
    has_migrations: "select count(*) from information_schema.tables
        where table_schema = current_schema() and table_name = '_sqlx_migrations'",
};

const SQLITE: Questions = Questions {
    server: "select 'SQLite ' || sqlite_version()",
    now: "select cast(unixepoch('subsec') * 1000 as integer)",
    has_migrations: "select count(*) from sqlite_master where type = 'table' and name = '_sqlx_migrations'",
};

impl Store {
    /// Asks the store what it is.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn facts(&self) -> Result<StoreFacts, StoreError> {
        let (questions, known) = match &self.backend {
            Backend::Postgres(_) => (POSTGRES, crate::postgres::migrations()),
            Backend::Sqlite(_) => (SQLITE, crate::sqlite::migrations()),
        };
        on_both!(self, read, |pool| {
            let (server,): (String,) = sqlx::query_as(questions.server).fetch_one(pool).await?;
            let (now,): (Ms,) = sqlx::query_as(questions.now).fetch_one(pool).await?;
            let (has_migrations,): (i64,) = sqlx::query_as(questions.has_migrations).fetch_one(pool).await?;
            let applied = if has_migrations == 0 {
                0
            } else {
                let applied = "select count(*) from _sqlx_migrations where success";
                let (applied,): (i64,) = sqlx::query_as(applied).fetch_one(pool).await?;
                usize::try_from(applied).unwrap_or(0)
            };
            Ok(StoreFacts { server, now: now.0, pending_migrations: known.saturating_sub(applied) })
        })
    }
}
