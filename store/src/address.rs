//! Opening a store by its address.

use crate::{Backend, Store, StoreError, postgres, sqlite};

/// Which database a store is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// PostgreSQL 15 or newer.
    Postgres,
    /// A file, through SQLite.
    Sqlite,
}

impl Store {
    /// Opens `postgres://…` or `sqlite:PATH`. A missing SQLite file is made; the schema is not. PostgreSQL is connected
    /// to when it is first needed, so that who can do without it for a while need not wait.
    ///
    /// # Errors
    /// [`StoreError::Address`] for other addresses, [`StoreError::Unavailable`] for a file that cannot be opened.
    pub async fn open(address: &str) -> Result<Self, StoreError> {
        let scheme = address.split_once(':').map_or("", |(scheme, _)| scheme);
        let backend = match scheme {
            "postgres" | "postgresql" => Backend::Postgres(postgres::PgStore::open(address)?),
            "sqlite" => Backend::Sqlite(sqlite::SqliteStore::open(address).await?),
            _ => {
                let hint = "a store's address begins with postgres:// or sqlite:";
                return Err(StoreError::Address(format!("{hint}, not {scheme:?}")));
            }
        };
        Ok(Self { backend })
    }

    /// Which database this is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.backend {
            Backend::Postgres(_) => Kind::Postgres,
            Backend::Sqlite(_) => Kind::Sqlite,
        }
    }

    /// Brings the schema up to this version's. Safe to call from several processes at once.
    ///
    /// # Errors
    /// [`StoreError::Migrate`] where the schema is newer than this binary, or was changed by hand.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        match &self.backend {
            Backend::Postgres(store) => store.migrate().await,
            Backend::Sqlite(store) => store.migrate().await,
        }
    }

    /// Whether the store answers.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        crate::on_both!(self, read, |pool| {
            sqlx::query("select 1").execute(pool).await?;
            Ok(())
        })
    }

    /// Waits for what is under way and closes every connection.
    pub async fn close(&self) {
        match &self.backend {
            Backend::Postgres(store) => store.close().await,
            Backend::Sqlite(store) => store.close().await,
        }
    }
}
