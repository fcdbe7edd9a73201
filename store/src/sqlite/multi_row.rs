//! Many rows in one statement. Each statement costs a hand-over to the connection's thread; a few fixed
//! numbers of rows keep the number of prepared statements small.

use sqlx::query::{Query, QueryAs};
use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, FromRow, Sqlite};

use crate::StoreError;

/// Rows of one statement, largest first. SQLite takes 32,766 values in one.
const SIZES: [usize; 4] = [256, 32, 4, 1];

type Values<'q> = Query<'q, Sqlite, SqliteArguments>;

/// A statement about rows of values: what stands before them, how many values a row has, what follows.
#[derive(Clone, Copy)]
pub(crate) struct MultiRow {
    pub(crate) before: &'static str,
    pub(crate) columns: usize,
    pub(crate) after: &'static str,
}

impl MultiRow {
    fn text(&self, rows: usize) -> AssertSqlSafe<String> {
        let row = format!("({})", vec!["?"; self.columns].join(","));
        AssertSqlSafe(format!("{} {} {}", self.before, vec![row; rows].join(","), self.after))
    }

    /// Runs the statement over all of `rows`; `bind` binds one row's values in order.
    pub(crate) async fn execute<'q, T>(
        &self,
        connection: &mut SqliteConnection,
        rows: &'q [T],
        bind: impl Fn(Values<'q>, &'q T) -> Values<'q>,
    ) -> Result<(), StoreError> {
        for chunk in chunks(rows) {
            let query = chunk.iter().fold(sqlx::query(self.text(chunk.len())), &bind);
            query.execute(&mut *connection).await?;
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
        for chunk in chunks(rows) {
            let query = chunk.iter().fold(sqlx::query_as(self.text(chunk.len())), &bind);
            found.append(&mut query.fetch_all(&mut *connection).await?);
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
