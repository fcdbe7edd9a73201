//! The compactor's statements.

use std::collections::BTreeMap;

use async_trait::async_trait;
use sqlx::{AssertSqlSafe, Postgres, Transaction};
use tallymark_protocol::UnixMs;
use uuid::Uuid;

use super::{Lock, PgStore};
use crate::StoreError;
use crate::columns::Ms;
use crate::compact::{CompactStatements, Grain, RollupWrite, keyed, session_visitors_sql};
use crate::model::{Dimension, OutcomeKey, RollupKey, Sketch};

pub(crate) struct CompactTx {
    tx: Transaction<'static, Postgres>,
}

impl CompactTx {
    /// `None` where another compactor is at work.
    pub(crate) async fn begin(store: &PgStore) -> Result<Option<Self>, StoreError> {
        let mut tx = store.writers.begin().await?;
        let (alone,): (bool,) = sqlx::query_as("select pg_try_advisory_xact_lock($1, 0)")
            .bind(Lock::Compact as i32)
            .fetch_one(&mut *tx)
            .await?;
        Ok(alone.then_some(Self { tx }))
    }
}

/// A rollup's key as columns.
pub(crate) fn key_columns<'k>(
    keys: impl Iterator<Item = &'k RollupKey>,
) -> (Vec<i16>, Vec<Ms>, Vec<&'k str>) {
    let mut columns = (Vec::new(), Vec::new(), Vec::new());
    for key in keys {
        columns.0.push(key.dimension.code());
        columns.1.push(Ms(key.bucket));
        columns.2.push(key.value.as_str());
    }
    columns
}

#[async_trait]
impl CompactStatements for CompactTx {
    async fn take_deltas(&mut self, deltas_max: i64) -> Result<Vec<(i32, Vec<u8>)>, StoreError> {
        Ok(sqlx::query_as(
            "delete from rollup_delta where ctid = any(array(select ctid from rollup_delta order by id limit $1))
             returning project_id, payload",
        )
        .bind(deltas_max)
        .fetch_all(&mut *self.tx)
        .await?)
    }

    async fn sketch_key(&mut self, project_id: i32) -> Result<Option<Vec<u8>>, StoreError> {
        let row: Option<(Vec<u8>,)> = sqlx::query_as("select sketch_key from project where id = $1")
            .bind(project_id)
            .fetch_optional(&mut *self.tx)
            .await?;
        Ok(row.map(|(key,)| key))
    }

    async fn sketches(
        &mut self,
        grain: Grain,
        project_id: i32,
        keys: &[&RollupKey],
    ) -> Result<Vec<(RollupKey, Vec<u8>)>, StoreError> {
        let (dimensions, buckets, values) = key_columns(keys.iter().copied());
        let table = grain.table();
        let sql = format!(
            "select k.dimension, k.bucket, k.value, r.sketch
             from unnest($2::smallint[], $3::timestamptz[], $4::text[]) k (dimension, bucket, value)
             cross join lateral (
                select sketch from {table} r
                where r.project_id = $1 and r.dimension = k.dimension and r.bucket = k.bucket and r.value = k.value
                    and r.sketch is not null
                limit 1
             ) r"
        );
        let rows: Vec<(i16, Ms, String, Vec<u8>)> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(project_id)
            .bind(dimensions)
            .bind(buckets)
            .bind(values)
            .fetch_all(&mut *self.tx)
            .await?;
        Ok(keyed(rows))
    }

    async fn session_visitors(
        &mut self,
        grain: Grain,
        project_id: i32,
        row: (Dimension, UnixMs),
        values: &[&str],
    ) -> Result<Vec<(Uuid, String)>, StoreError> {
        let (dimension, bucket) = row;
        let sql = session_visitors_sql(grain, dimension) + "= any($4)";
        Ok(sqlx::query_as(AssertSqlSafe(sql))
            .bind(project_id)
            .bind(Ms(bucket))
            .bind(Ms(grain.end_of(bucket)))
            .bind(values)
            .fetch_all(&mut *self.tx)
            .await?)
    }

    async fn write(&mut self, grain: Grain, project_id: i32, rows: &[RollupWrite]) -> Result<(), StoreError> {
        let (dimensions, buckets, values) = key_columns(rows.iter().map(|row| &row.key));
        let counts = |of: fn(&RollupWrite) -> i64| rows.iter().map(of).collect::<Vec<_>>();
        let estimates: Vec<Option<i64>> = rows
            .iter()
            .map(|row| row.visitors.as_ref().map(|sketch| sketch.estimate().cast_signed()))
            .collect();
        let sketches: Vec<Option<Vec<u8>>> =
            rows.iter().map(|row| row.visitors.as_ref().map(Sketch::to_bytes)).collect();
        let table = grain.table();
        let sql = format!(
            "insert into {table} as r (project_id, dimension, bucket, value, pageviews, events, sessions, bounces,
                duration_ms, engaged_ms, visitors, sketch)
             select $1, k.dimension, k.bucket, k.value, k.pageviews, k.events, k.sessions, k.bounces, k.duration_ms,
                k.engaged_ms, coalesce(k.visitors, 0), k.sketch
             from unnest($2::smallint[], $3::timestamptz[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[],
                $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bytea[])
                k (dimension, bucket, value, pageviews, events, sessions, bounces, duration_ms, engaged_ms, visitors,
                   sketch)
             on conflict (project_id, dimension, bucket, value) do update set
                pageviews = r.pageviews + excluded.pageviews, events = r.events + excluded.events,
                sessions = r.sessions + excluded.sessions, bounces = r.bounces + excluded.bounces,
                duration_ms = r.duration_ms + excluded.duration_ms, engaged_ms = r.engaged_ms + excluded.engaged_ms,
                visitors = case when excluded.sketch is null then r.visitors else excluded.visitors end,
                sketch = coalesce(excluded.sketch, r.sketch)"
        );
        sqlx::query(AssertSqlSafe(sql))
            .bind(project_id)
            .bind(dimensions)
            .bind(buckets)
            .bind(values)
            .bind(counts(|row| row.counts.pageviews))
            .bind(counts(|row| row.counts.events))
            .bind(counts(|row| row.counts.sessions))
            .bind(counts(|row| row.counts.bounces))
            .bind(counts(|row| row.counts.duration_ms))
            .bind(counts(|row| row.counts.engaged_ms))
            .bind(estimates)
            .bind(sketches)
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }

    async fn add_outcomes(
        &mut self,
        project_id: i32,
        outcomes: &BTreeMap<OutcomeKey, i64>,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "insert into outcome_hour as o (project_id, received_hour, outcome, events)
             select $1, * from unnest($2::timestamptz[], $3::text[], $4::bigint[])
             on conflict (project_id, received_hour, outcome) do update set events = o.events + excluded.events",
        )
        .bind(project_id)
        .bind(outcomes.keys().map(|(hour, _)| Ms(*hour)).collect::<Vec<_>>())
        .bind(outcomes.keys().map(|(_, outcome)| outcome.as_str()).collect::<Vec<_>>())
        .bind(outcomes.values().copied().collect::<Vec<_>>())
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    async fn commit(self: Box<Self>) -> Result<(), StoreError> {
        Ok(self.tx.commit().await?)
    }
}
