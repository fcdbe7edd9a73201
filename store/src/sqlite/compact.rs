//! The compactor's statements.

use std::collections::BTreeMap;

use async_trait::async_trait;
use sqlx::{AssertSqlSafe, Sqlite, Transaction};
use tallymark_protocol::UnixMs;
use uuid::Uuid;

use super::SqliteStore;
use super::multi_row::MultiRow;
use crate::StoreError;
use crate::columns::Ms;
use crate::compact::{CompactStatements, Grain, RollupWrite, keyed, session_visitors_sql};
use crate::model::{Dimension, OutcomeKey, RollupKey, Sketch};

pub(crate) struct CompactTx {
    tx: Transaction<'static, Sqlite>,
}

impl CompactTx {
    pub(crate) async fn begin(store: &SqliteStore) -> Result<Self, StoreError> {
        Ok(Self { tx: store.begin_write().await? })
    }
}

macro_rules! rollups {
    ($table:literal) => {
        MultiRow::new(
            concat!(
                "insert into ",
                $table,
                " as r (project_id, dimension, bucket, value, pageviews, events, sessions, bounces, duration_ms,
                    engaged_ms, visitors, sketch) values"
            ),
            12,
            "on conflict (project_id, dimension, bucket, value) do update set
                pageviews = r.pageviews + excluded.pageviews, events = r.events + excluded.events,
                sessions = r.sessions + excluded.sessions, bounces = r.bounces + excluded.bounces,
                duration_ms = r.duration_ms + excluded.duration_ms, engaged_ms = r.engaged_ms + excluded.engaged_ms,
                visitors = case when excluded.sketch is null then r.visitors else excluded.visitors end,
                sketch = coalesce(excluded.sketch, r.sketch)",
        )
    };
}

static HOURS: MultiRow = rollups!("rollup_hour");
static DAYS: MultiRow = rollups!("rollup_day");

macro_rules! sketches {
    ($table:literal) => {
        MultiRow::new(
            concat!(
                "select dimension, bucket, value, sketch from ",
                $table,
                " where sketch is not null and (project_id, dimension, bucket, value) in (values"
            ),
            4,
            ")",
        )
    };
}

static HOUR_SKETCHES: MultiRow = sketches!("rollup_hour");
static DAY_SKETCHES: MultiRow = sketches!("rollup_day");

static OUTCOMES: MultiRow = MultiRow::new(
    "insert into outcome_hour as o (project_id, received_hour, outcome, events) values",
    4,
    "on conflict (project_id, received_hour, outcome) do update set events = o.events + excluded.events",
);

#[async_trait]
impl CompactStatements for CompactTx {
    async fn take_deltas(&mut self, deltas_max: i64) -> Result<Vec<(i32, Vec<u8>)>, StoreError> {
        Ok(sqlx::query_as(
            "delete from rollup_delta where rowid in (select rowid from rollup_delta order by rowid limit ?)
             returning project_id, payload",
        )
        .bind(deltas_max)
        .fetch_all(&mut *self.tx)
        .await?)
    }

    async fn sketch_key(&mut self, project_id: i32) -> Result<Option<Vec<u8>>, StoreError> {
        let row: Option<(Vec<u8>,)> = sqlx::query_as("select sketch_key from project where id = ?")
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
        let statement = match grain {
            Grain::Hour => &HOUR_SKETCHES,
            Grain::Day => &DAY_SKETCHES,
        };
        let rows: Vec<(i16, Ms, String, Vec<u8>)> = statement
            .fetch(&mut self.tx, keys, |query, key| {
                query
                    .bind(project_id)
                    .bind(key.dimension.code())
                    .bind(Ms(key.bucket))
                    .bind(key.value.as_str())
            })
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
        let sql = session_visitors_sql(grain, dimension) + "in (select value from json_each($4))";
        Ok(sqlx::query_as(AssertSqlSafe(sql))
            .bind(project_id)
            .bind(Ms(bucket))
            .bind(Ms(grain.end_of(bucket)))
            .bind(serde_json::to_string(values).expect("texts are JSON"))
            .fetch_all(&mut *self.tx)
            .await?)
    }

    async fn write(&mut self, grain: Grain, project_id: i32, rows: &[RollupWrite]) -> Result<(), StoreError> {
        let statement = match grain {
            Grain::Hour => &HOURS,
            Grain::Day => &DAYS,
        };
        statement
            .execute(&mut self.tx, rows, |query, row| {
                let (key, counts) = (&row.key, &row.counts);
                query
                    .bind(project_id)
                    .bind(key.dimension.code())
                    .bind(Ms(key.bucket))
                    .bind(key.value.as_str())
                    .bind(counts.pageviews)
                    .bind(counts.events)
                    .bind(counts.sessions)
                    .bind(counts.bounces)
                    .bind(counts.duration_ms)
                    .bind(counts.engaged_ms)
                    .bind(row.visitors.as_ref().map_or(0, |sketch| sketch.estimate().cast_signed()))
                    .bind(row.visitors.as_ref().map(Sketch::to_bytes))
            })
            .await
    }

    async fn add_outcomes(
        &mut self,
        project_id: i32,
        outcomes: &BTreeMap<OutcomeKey, i64>,
    ) -> Result<(), StoreError> {
        let rows: Vec<(&OutcomeKey, &i64)> = outcomes.iter().collect();
        OUTCOMES
            .execute(&mut self.tx, &rows, |query, ((hour, outcome), events)| {
                query.bind(project_id).bind(Ms(*hour)).bind(outcome.as_str()).bind(**events)
            })
            .await
    }

    async fn commit(self: Box<Self>) -> Result<(), StoreError> {
        Ok(self.tx.commit().await?)
    }
}
