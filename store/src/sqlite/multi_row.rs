//! Many rows in one statement. Each statement costs a hand-over to the connection's thread; a few fixed
//! numbers of rows keep the number of prepared statements small.

use std::sync::{Arc, OnceLock};

use futures_util::future::join;
use sqlx::query::{Query, QueryAs};
use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, FromRow, Sqlite};

use crate::StoreError;

/// Rows of one statement, largest first. SQLite takes 32,766 values in one.
const SIZES: [usize; 4] = [256, 32, 4, 1];

type Values<'q> = Query<'q, Sqlite, SqliteArguments>;

/// A statement about rows of values: what stands before them, how many values a row has, what follows. Its text
/// is written out once for each of [`SIZES`].
pub(crate) struct MultiRow {
    before: &'static str,
    columns: usize,
    after: &'static str,
    texts: [OnceLock<Arc<str>>; SIZES.len()],
}

impl MultiRow {
    pub(crate) const fn new(before: &'static str, columns: usize, after: &'static str) -> Self {
        Self { before, columns, after, texts: [const { OnceLock::new() }; SIZES.len()] }
    }

    fn text(&self, rows: usize) -> AssertSqlSafe<Arc<str>> {
        let size = SIZES.iter().position(|size| *size == rows).expect("chunks have one of the sizes");
        let text = self.texts[size].get_or_init(|| {
            let row = format!("({})", vec!["?"; self.columns].join(","));
            format!("{} {} {}", self.before, vec![row; rows].join(","), self.after).into()
        });
        AssertSqlSafe(Arc::clone(text))
    }

    /// Runs the statement over all of `rows`; `bind` binds one row's values in order.
    pub(crate) async fn execute<'q, T>(
        &self,
        connection: &mut SqliteConnection,
        rows: &'q [T],
        bind: impl Fn(Values<'q>, &'q T) -> Values<'q>,
    ) -> Result<(), StoreError> {
        let mut chunks = chunks(rows);
        let mut build = || {
            let chunk = chunks.next()?;
            Some(chunk.iter().fold(sqlx::query(self.text(chunk.len())), &bind))
        };
        let mut next = build();
        while let Some(query) = next {
            // The statement runs on the connection's thread; the next one is made meanwhile.
            let (done, built) = join(query.execute(&mut *connection), async { build() }).await;
            done?;
            next = built;
        }
        Ok(())
    }

    /// The same, gathering the rows that the statement returns.
    pub(crate) async fn fetch<'q, T, O>(
        &self,
        connection: &mut SqliteConnection,
        rows: &'q [T],
        bind: impl Fn(QueryAs<'q, Sqlite, O, SqliteArguments>, &'q T) -> QueryAs<'q, Sqlite, O, SqliteArguments>,
    ) -> Result<Vec<O>, StoreError>
    where
        O: for<'r> FromRow<'r, SqliteRow> + Send + Unpin,
    {
        let mut found = Vec::new();
        let mut chunks = chunks(rows);
        let mut build = || {
            let chunk = chunks.next()?;
            Some(chunk.iter().fold(sqlx::query_as(self.text(chunk.len())), &bind))
        };
        let mut next = build();
        while let Some(query) = next {
            let (rows, built) = join(query.fetch_all(&mut *connection), async { build() }).await;
            found.append(&mut rows?);
            next = built;
        }
        Ok(found)
    }
}

fn chunks<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let size = SIZES.into_iter().find(|size| *size <= rows.len())?;
        let (chunk, rest) = rows.split_at(size);
        rows = rest;
        Some(chunk)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_cover_every_row_once_in_order() {
        for len in [0, 1, 5, 31, 256, 300, 1_000] {
            let rows: Vec<usize> = (0..len).collect();
            let covered: Vec<usize> = chunks(&rows).flatten().copied().collect();
            assert_eq!(covered, rows);
            assert!(chunks(&rows).all(|chunk| SIZES.contains(&chunk.len())));
        }
    }
}
