//! PostgreSQL 15+, without superuser or extensions.

mod commit;
mod compact;
mod copy;
mod partitions;
mod visits;

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{PgPool, Postgres, Transaction};

pub(crate) use commit::CommitTx;
pub(crate) use compact::CompactTx;

use crate::StoreError;
use crate::projects::Hold;

/// Connections that write: the commits of a processor, the compactor, the command line.
const WRITERS_MAX: u32 = 6;
/// Connections that read: a pool of their own, so that no dashboard keeps a commit waiting.
const READERS_MAX: u32 = 8;
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

/// Writers look rows up by key, thousands at a time, in tables that grow from nothing while a plan is remembered.
/// A plan made for the empty table may scan the full one for each key. So plans are made for the tables as they are,
/// and only of index look-ups; `jit` would compile them for their pretended cost.
const WRITER_SETTINGS: &str = "set plan_cache_mode = force_custom_plan; set enable_seqscan = off; \
    set enable_hashjoin = off; set enable_mergejoin = off; set jit = off";
const READER_SETTINGS: &str = "set plan_cache_mode = force_custom_plan; set jit = off";

/// Connections to one database.
#[derive(Clone, Debug)]
pub(crate) struct PgStore {
    writers: PgPool,
    readers: PgPool,
}

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("migrations/postgres");

/// How many migrations this version knows.
pub(crate) fn migrations() -> usize {
    MIGRATIONS.iter().count()
}

impl PgStore {
    pub(crate) fn open(address: &str) -> Result<Self, StoreError> {
        let options: PgConnectOptions =
            address.parse().map_err(|error| StoreError::Address(format!("the database URL: {error}")))?;
        let options = options.application_name("tallymark");
        let writers = pool(WRITERS_MAX, WRITER_SETTINGS).connect_lazy_with(options.clone());
        let readers = pool(READERS_MAX, READER_SETTINGS).connect_lazy_with(options);
        Ok(Self { writers, readers })
    }

    pub(crate) async fn migrate(&self) -> Result<(), StoreError> {
        Ok(MIGRATIONS.run(&self.writers).await?)
    }

    /// Begins a change of a project. Where commits count by what changes, it waits for those of the project that are
    /// under way, and those to come wait for it.
    pub(crate) async fn begin_change(
        &self,
        project_id: i32,
        hold: Hold,
    ) -> Result<Transaction<'static, Postgres>, StoreError> {
        let mut tx = self.writers.begin().await?;
        if hold == Hold::Counting {
            sqlx::query("select pg_advisory_xact_lock($1, $2)")
                .bind(Lock::Rules as i32)
                .bind(project_id)
                .execute(&mut *tx)
                .await?;
        }
        Ok(tx)
    }

    pub(crate) fn read(&self) -> &PgPool {
        &self.readers
    }

    pub(crate) fn write(&self) -> &PgPool {
        &self.writers
    }

    pub(crate) async fn close(&self) {
        self.readers.close().await;
        self.writers.close().await;
    }
}

/// A pool whose connections begin with `settings`. Set by statements and not as options of the connection, which
/// poolers between us and the server refuse.
fn pool(connections_max: u32, settings: &'static str) -> PgPoolOptions {
    PgPoolOptions::new().max_connections(connections_max).acquire_timeout(ACQUIRE_TIMEOUT).after_connect(
        move |connection, _| {
            Box::pin(async move { sqlx::raw_sql(settings).execute(connection).await.map(drop) })
        },
    )
}
