//! What was committed lately, for operators.

use sqlx::Row;
use tallymark_protocol::{DAY_MS, UnixMs};

use crate::columns::Ms;
use crate::rows::from_rows;
use crate::{Store, StoreError, on_both};

/// How long the log is kept.
const KEPT_MS: i64 = 7 * DAY_MS;

/// A commit, or what several came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommitRow {
    /// When it was done; of several, when the last was.
    pub committed_at: UnixMs,
    /// How long it took, in milliseconds; of several, the longest.
    pub took_ms: i32,
    /// Envelopes that were counted.
    pub envelopes: i64,
    /// Events stored.
    pub accepted: i64,
    /// Events that were stored before.
    pub duplicates: i64,
    /// Events that were refused.
    pub discarded: i64,
}

from_rows!(CommitRow, |row| Ok(CommitRow {
    committed_at: row.try_get::<Option<Ms>, _>("committed_at")?.map_or(UnixMs(0), |at| at.0),
    took_ms: row.try_get("took_ms")?,
    envelopes: row.try_get("envelopes")?,
    accepted: row.try_get("accepted")?,
    duplicates: row.try_get("duplicates")?,
    discarded: row.try_get("discarded")?,
}));

impl Store {
    /// The last `limit` commits, the latest first.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn last_commits(&self, limit: u32) -> Result<Vec<CommitRow>, StoreError> {
        on_both!(self, read, |pool| {
            Ok(sqlx::query_as(
            "select committed_at, took_ms, cast(envelopes as bigint) as envelopes, cast(accepted as bigint) as accepted,
             cast(duplicates as bigint) as duplicates, cast(discarded as bigint) as discarded
             from commit_log order by committed_at desc limit $1"
        )
        .bind(i64::from(limit))
        .fetch_all(pool)
        .await?)
        })
    }

    /// What the commits since `since` came to.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn committed_since(&self, since: UnixMs) -> Result<CommitRow, StoreError> {
        on_both!(self, read, |pool| Ok(sqlx::query_as(
            "select max(committed_at) as committed_at, coalesce(max(took_ms), 0) as took_ms,
             cast(coalesce(sum(envelopes), 0) as bigint) as envelopes,
             cast(coalesce(sum(accepted), 0) as bigint) as accepted,
             cast(coalesce(sum(duplicates), 0) as bigint) as duplicates,
             cast(coalesce(sum(discarded), 0) as bigint) as discarded
             from commit_log where committed_at >= $1"
        )
        .bind(Ms(since))
        .fetch_one(pool)
        .await?))
    }

    /// Removes what is older than a week.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn prune_commit_log(&self, now: UnixMs) -> Result<(), StoreError> {
        on_both!(self, write, |pool| {
            sqlx::query("delete from commit_log where committed_at < $1")
                .bind(Ms(UnixMs(now.0 - KEPT_MS)))
                .execute(pool)
                .await?;
            Ok(())
        })
    }
}
