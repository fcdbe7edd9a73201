//! What a store needs done regularly.

use tallymark_protocol::{UnixMs, limits};

use crate::{Backend, Store, StoreError};

impl Store {
    /// Makes sure that events of every accepted day, and of `days` beside, can be inserted. On PostgreSQL days
    /// are partitions; made as plain tables and attached, which stops no commit.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn ensure_days(&self, now: UnixMs, days: &[i32]) -> Result<(), StoreError> {
        let Backend::Postgres(store) = &self.backend else { return Ok(()) };
        let today = i64::from(now.utc_day());
        let accepted = today - limits::LATE_DAYS_MAX..=today + limits::AHEAD_DAYS_MAX + 1;
        let mut wanted: Vec<i32> = accepted.filter_map(|day| i32::try_from(day).ok()).collect();
        wanted.extend_from_slice(days);
        wanted.sort_unstable();
        wanted.dedup();
        store.ensure_partitions(&wanted).await
    }
}
