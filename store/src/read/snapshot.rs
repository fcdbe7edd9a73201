//! One consistent view of the store for all statements of a plan.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::QueryAs;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{AssertSqlSafe, FromRow, Postgres, Sqlite, Transaction};

use super::dialect::{Dialect, Sql, Value, json_edges, json_texts};
use super::plan::ReadError;
use crate::columns::Ms;
use crate::{Backend, Store, StoreError};

/// How long one statement may take: longer than a person waits, shorter than what would hold back the
/// database's cleaning.
pub(crate) const STATEMENT_MAX: Duration = Duration::from_secs(30);
/// SQLite asks whether to go on once in so many steps: some milliseconds.
const STEPS_BETWEEN_CHECKS: i32 = 100_000;

/// A transaction that sees the store as it was when it first read.
pub(crate) enum Snapshot {
    Postgres(Transaction<'static, Postgres>),
    Sqlite {
        tx: Transaction<'static, Sqlite>,
        /// Keeps the deadline of its statements in force.
        _alive: Arc<()>,
    },
}

impl Snapshot {
    pub(crate) async fn begin(store: &Store) -> Result<Self, ReadError> {
        Self::begin_within(store, STATEMENT_MAX).await
    }

    async fn begin_within(store: &Store, statement_max: Duration) -> Result<Self, ReadError> {
        match &store.backend {
            Backend::Postgres(store) => {
                let begin = "begin transaction isolation level repeatable read read only";
                let mut tx = store.read().begin_with(begin).await.map_err(refusal)?;
                sqlx::query("select set_config('statement_timeout', $1, true)")
                    .bind(statement_max.as_millis().to_string())
                    .execute(&mut *tx)
                    .await
                    .map_err(refusal)?;
                Ok(Self::Postgres(tx))
            }
            Backend::Sqlite(store) => {
                let mut tx = store.read().begin().await.map_err(refusal)?;
                let alive = Arc::new(());
                let goes_on = until(Instant::now() + statement_max, Arc::downgrade(&alive));
                tx.lock_handle().await.map_err(refusal)?.set_progress_handler(STEPS_BETWEEN_CHECKS, goes_on);
                Ok(Self::Sqlite { tx, _alive: alive })
            }
        }
    }

    pub(crate) fn dialect(&self) -> Dialect {
        match self {
            Self::Postgres(_) => Dialect::Postgres,
            Self::Sqlite { .. } => Dialect::Sqlite,
        }
    }

    /// Runs a statement and hands over one row after the other.
    pub(crate) async fn fetch<T>(
        &mut self,
        sql: Sql,
        mut take: impl FnMut(T) -> Result<(), ReadError> + Send,
    ) -> Result<(), ReadError>
    where
        T: for<'r> FromRow<'r, PgRow> + for<'r> FromRow<'r, SqliteRow> + Send + Unpin,
    {
        let text = AssertSqlSafe(sql.text); // pieces written here; what a client sent is bound
        match self {
            Self::Postgres(tx) => {
                // Not kept prepared: the values decide which partitions and which index.
                let query = sqlx::query_as::<_, T>(text).persistent(false);
                let query = sql.values.into_iter().fold(query, bind_postgres);
                let mut rows = query.fetch(&mut **tx);
                while let Some(row) = rows.try_next().await.map_err(refusal)? {
                    take(row)?;
                }
            }
            Self::Sqlite { tx, .. } => {
                let query = sqlx::query_as::<_, T>(text).persistent(false);
                let query = sql.values.into_iter().fold(query, bind_sqlite);
                let mut rows = query.fetch(&mut **tx);
                while let Some(row) = rows.try_next().await.map_err(refusal)? {
                    take(row)?;
                }
            }
        }
        Ok(())
    }
}

type PgQuery<T> = QueryAs<'static, Postgres, T, PgArguments>;
type SqliteQuery<T> = QueryAs<'static, Sqlite, T, SqliteArguments>;

fn bind_postgres<T>(query: PgQuery<T>, value: Value) -> PgQuery<T> {
    match value {
        Value::Int(number) => query.bind(number),
        Value::At(at) => query.bind(Ms(at)),
        Value::Day(day) => query.bind(day),
        Value::Text(text) => query.bind(text),
        Value::Texts(texts) => query.bind(texts),
        Value::Edges(edges) => query.bind(edges.into_iter().map(Ms).collect::<Vec<_>>()),
    }
}

fn bind_sqlite<T>(query: SqliteQuery<T>, value: Value) -> SqliteQuery<T> {
    match value {
        Value::Int(number) => query.bind(number),
        Value::At(at) => query.bind(Ms(at)),
        Value::Day(day) => query.bind(day),
        Value::Text(text) => query.bind(text),
        Value::Texts(texts) => query.bind(json_texts(&texts)),
        Value::Edges(edges) => query.bind(json_edges(&edges)),
    }
}

/// Whether SQLite goes on: to the deadline, and for ever once the snapshot is gone and its connection is
/// somebody else's.
fn until(deadline: Instant, snapshot: Weak<()>) -> impl FnMut() -> bool + Send + 'static {
    move || snapshot.strong_count() == 0 || Instant::now() < deadline
}

/// A statement that was stopped for its length is the reader's to change; all else is the store's.
fn refusal(error: sqlx::Error) -> ReadError {
    /// PostgreSQL's `query_canceled`, SQLite's `SQLITE_INTERRUPT`.
    const STOPPED: [&str; 2] = ["57014", "9"];
    let code = error.as_database_error().and_then(|error| error.code());
    if code.is_some_and(|code| STOPPED.contains(&&*code)) {
        return ReadError::TooSlow(STATEMENT_MAX.as_secs());
    }
    ReadError::Store(StoreError::from(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(50);

    async fn count_to(snapshot: &mut Snapshot, n: u64) -> Result<i64, ReadError> {
        let mut sql = Sql::new(snapshot.dialect());
        sql.push(&format!(
            "with recursive c (n) as (select cast(1 as bigint) union all select n + 1 from c where n < {n})
             select cast(count(*) as bigint) from c"
        ));
        let mut counted = 0;
        snapshot
            .fetch(sql, |(n,): (i64,)| {
                counted = n;
                Ok(())
            })
            .await?;
        Ok(counted)
    }

    #[test]
    fn a_deadline_ends_with_its_snapshot() {
        let alive = Arc::new(());
        let mut goes_on = until(Instant::now(), Arc::downgrade(&alive));
        assert!(!goes_on());
        drop(alive);
        assert!(goes_on());
    }

    async fn a_reader_that_takes_too_long_is_stopped_alone(store: &Store) {
        let mut snapshot = Snapshot::begin_within(store, LIMIT).await.unwrap();
        let error = count_to(&mut snapshot, 1 << 40).await.unwrap_err();
        assert!(matches!(error, ReadError::TooSlow(_)), "{error:?}");
        drop(snapshot);
        // Whoever has the connection next is not under that deadline.
        let mut snapshot = Snapshot::begin(store).await.unwrap();
        assert_eq!(count_to(&mut snapshot, 400_000).await.unwrap(), 400_000);
    }

    #[tokio::test]
    async fn a_reader_that_takes_too_long_is_stopped_alone_on_sqlite() {
        let folder = tempfile::tempdir().unwrap();
        let address = format!("sqlite:{}", folder.path().join("test.db").display());
        let store = Store::open(&address).await.unwrap();
        a_reader_that_takes_too_long_is_stopped_alone(&store).await;
    }

    #[tokio::test]
    #[expect(clippy::disallowed_methods, reason = "where the tests' server is, the tests' runner says")]
    async fn a_reader_that_takes_too_long_is_stopped_alone_on_postgres() {
        let address = std::env::var("TALLYMARK_TEST_DATABASE_URL")
            .expect("TALLYMARK_TEST_DATABASE_URL names no PostgreSQL server: run `cargo xtask test`");
        let store = Store::open(&address).await.unwrap();
        a_reader_that_takes_too_long_is_stopped_alone(&store).await;
    }
}
