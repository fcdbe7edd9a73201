//! PostgreSQL 15+, without superuser or extensions.

mod commit;
mod compact;
mod copy;
mod partitions;

use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

pub(crate) use commit::CommitTx;
pub(crate) use compact::CompactTx;

use crate::StoreError;

/// Connections: two commits, the compactor, and readers.
const CONNECTIONS_MAX: u32 = 12;
/// How long a caller waits for a connection before the store counts as unavailable.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// Advisory locks' first key, so that ours collide with nobody's by chance.
#[derive(Clone, Copy)]
pub(crate) enum Lock {
    /// A project's settings: shared by commits, exclusive for their change. Second key: the project.
    Rules = 0x7461_0001,
    /// One compactor at a time.
    Compact = 0x7461_0002,
    /// One maker of partitions at a time.
    Partitions = 0x7461_0003,
}

/// A pool of connections.
#[derive(Clone, Debug)]
pub(crate) struct PgStore {
    pool: PgPool,
}

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("migrations/postgres");

impl PgStore {
    pub(crate) async fn open(address: &str) -> Result<Self, StoreError> {
        let options: PgConnectOptions =
            address.parse().map_err(|error| StoreError::Address(format!("the database URL: {error}")))?;
        let options = options.application_name("tallymark");
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_with(options)
            .await?;
        Ok(Self { pool })
    }

    pub(crate) async fn migrate(&self) -> Result<(), StoreError> {
        Ok(MIGRATIONS.run(&self.pool).await?)
    }

    pub(crate) fn read(&self) -> &PgPool {
        &self.pool
    }

    pub(crate) fn write(&self) -> &PgPool {
        &self.pool
    }

    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }
}
