//! Days of events as partitions.

use std::collections::HashSet;

use sqlx::{AssertSqlSafe, PgExecutor};

use super::{Lock, PgStore};
use crate::StoreError;
use crate::columns::{Day, date};

impl PgStore {
    /// Makes the partitions of `days` that are missing. Each is made as a plain table and attached: that takes
    /// no lock that a commit waits for, however long somebody reads.
    pub(crate) async fn ensure_partitions(&self, days: &[i32]) -> Result<(), StoreError> {
        let missing = missing(&attached(&self.writers).await?, days);
        if missing.is_empty() {
            return Ok(());
        }
        let mut tx = self.writers.begin().await?;
        sqlx::query("select pg_advisory_xact_lock($1, 0)")
            .bind(Lock::Partitions as i32)
            .execute(&mut *tx)
            .await?;
        // Somebody else may have made them while this waited for the lock. Asked on the same connection: who waits
        // for a second one while holding the lock may wait for those who wait for the lock.
        for day in self::missing(&attached(&mut *tx).await?, days) {
            let (from, to) = (date(day), date(day + 1));
            let name = partition_name(day);
            // The name and the bounds are made of a number.
            let make = format!("create table {name} (like event including all)");
            let attach =
                format!("alter table event attach partition {name} for values from ('{from}') to ('{to}')");
            sqlx::query(AssertSqlSafe(make)).execute(&mut *tx).await?;
            sqlx::query(AssertSqlSafe(attach)).execute(&mut *tx).await?;
            tracing::debug!(day = Day(day).text(), "made a day's partition");
        }
        tx.commit().await?;
        Ok(())
    }
}

async fn attached(executor: impl PgExecutor<'_>) -> Result<HashSet<String>, StoreError> {
    let names: Vec<(String,)> = sqlx::query_as(
        "select c.relname::text from pg_inherits i join pg_class c on c.oid = i.inhrelid
         where i.inhparent = 'event'::regclass",
    )
    .fetch_all(executor)
    .await?;
    Ok(names.into_iter().map(|(name,)| name).collect())
}

fn partition_name(day: i32) -> String {
    format!("event_{}", date(day).strftime("%Y%m%d"))
}

fn missing(attached: &HashSet<String>, days: &[i32]) -> Vec<i32> {
    days.iter().copied().filter(|day| !attached.contains(&partition_name(*day))).collect()
}
