//! Counting again: what the rollups should hold, from all raw rows, and what they do hold.
//!
//! "Rollups = Σ f(event) + Σ g(session), at all times": here both sides are read, so that they can be compared, or
//! the one be replaced by the other. Rows are read in short pages by key, so that no snapshot stays open;
//! memory holds the rollups, never the raw rows.

mod pages;

use std::collections::BTreeMap;

use sqlx::{AssertSqlSafe, Row};

use crate::columns::Ms;
use crate::compact::Grain;
use crate::model::{
    Counts, DeltaFold, Dimension, RollupDelta, RollupKey, Sketch, VisitorHasher, ZoneBuckets,
    event_contributions, parse_zone, session_contributions,
};
use crate::rows::{RulesRow, from_rows};
use crate::{Store, StoreError, on_both};

/// Rows of one page.
const PAGE: u32 = 2_000;

/// Every row of a project's rollups that counts something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rollups {
    /// `rollup_hour`.
    pub hours: BTreeMap<RollupKey, RollupCounts>,
    /// `rollup_day`.
    pub days: BTreeMap<RollupKey, RollupCounts>,
}

/// What a row of a rollup holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RollupCounts {
    /// The counts.
    pub counts: Counts,
    /// How many visitors, by the sketch's estimate.
    pub visitors: u64,
    /// The visitors' sketch in its stored form; empty where there is none.
    pub sketch: Vec<u8>,
}

impl Rollups {
    /// Says where `self` and `other` differ, a sentence a row.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut differences = differences("hour", &self.hours, &other.hours);
        differences.append(&mut self::differences("day", &self.days, &other.days));
        differences
    }
}

impl Store {
    /// Counts a project's rollups from all of its events and sessions.
    ///
    /// Exact while nobody commits: what is committed during the reading may be counted in part. Sessions count in the
    /// buckets that their rows hold, events in those of the project's zone today.
    ///
    /// # Errors
    /// Those of the store; [`StoreError::UnknownProject`].
    pub async fn recount(&self, project_id: i32) -> Result<Rollups, StoreError> {
        let rules = self.rules_row(project_id).await?.read(parse_zone)?;
        let hasher = VisitorHasher::new(rules.sketch_key);
        let mut zone = ZoneBuckets::new(rules.zone);
        let mut fold = DeltaFold::default();
        let mut last = None;
        loop {
            let page = self.events_after(project_id, last, PAGE).await?;
            for event in &page {
                let buckets = zone.of(event.occurred_at);
                let visitor = event.visitor_id.map(|visitor_id| hasher.hash(visitor_id));
                event_contributions(event, |dimension, value, counts| {
                    fold.add((buckets, dimension), value, counts, visitor);
                });
            }
            let Some(event) = page.last() else { break };
            last = Some((event.day, event.id));
        }
        let mut last = None;
        loop {
            let page = self.sessions_after(project_id, last, PAGE).await?;
            for session in &page {
                let buckets = session.counted_in.unwrap_or_else(|| zone.of(session.started_at));
                let visitor = hasher.hash(session.visitor_id);
                session_contributions(session, |dimension, value, counts| {
                    let counts_visitors = dimension != Dimension::Total && dimension.counts_visitors();
                    fold.add((buckets, dimension), value, counts, counts_visitors.then_some(visitor));
                });
            }
            let Some(session) = page.last() else { break };
            last = Some(session.session_id);
        }
        Ok(Rollups {
            hours: counted(fold.by_row(|buckets| buckets.hour)),
            days: counted(fold.by_row(|buckets| buckets.day)),
        })
    }

    /// Reads a project's compacted rollups; what commits appended since is not in them. Rows whose counts all came
    /// back to 0 are left out.
    ///
    /// # Errors
    /// Those of the store; [`StoreError::Corrupt`] for rows of dimensions that this version does not know.
    pub async fn rollups(&self, project_id: i32) -> Result<Rollups, StoreError> {
        Ok(Rollups {
            hours: self.rollup(Grain::Hour, project_id).await?,
            days: self.rollup(Grain::Day, project_id).await?,
        })
    }

    async fn rollup(
        &self,
        grain: Grain,
        project_id: i32,
    ) -> Result<BTreeMap<RollupKey, RollupCounts>, StoreError> {
        let table = grain.table();
        let sql = format!(
            "select dimension, bucket, value, pageviews, events, sessions, bounces, duration_ms, engaged_ms, visitors,
                sketch
             from {table} where project_id = $1 and (dimension, bucket, value) > ($2, $3, $4)
             order by dimension, bucket, value limit $5"
        );
        let mut rows: BTreeMap<RollupKey, RollupCounts> = BTreeMap::new();
        let mut last = (i16::MIN, Ms(tallymark_protocol::UnixMs(0)), String::new());
        loop {
            let page: Vec<StoredRow> =
                on_both!(self, read, |pool| sqlx::query_as(AssertSqlSafe(sql.as_str()))
                    .bind(project_id)
                    .bind(last.0)
                    .bind(last.1)
                    .bind(&last.2)
                    .bind(i64::from(PAGE))
                    .fetch_all(pool)
                    .await?);
            let Some(row) = page.last() else { return Ok(rows) };
            last = (row.dimension, row.bucket, row.value.clone());
            for row in page {
                let dimension = Dimension::from_code(row.dimension).ok_or_else(|| StoreError::Corrupt {
                    table,
                    column: "dimension",
                    detail: format!("project {project_id}: {}", row.dimension),
                })?;
                if !row.holds.counts.is_zero() {
                    rows.insert(RollupKey { dimension, bucket: row.bucket.0, value: row.value }, row.holds);
                }
            }
        }
    }

    async fn rules_row(&self, project_id: i32) -> Result<RulesRow, StoreError> {
        let row: Option<RulesRow> = on_both!(self, read, |pool| sqlx::query_as(
            "select id, time_zone, horizon, sketch_key, session_timeout_minutes
             from project where id = $1"
        )
        .bind(project_id)
        .fetch_optional(pool)
        .await?);
        row.ok_or(StoreError::UnknownProject(project_id))
    }
}

struct StoredRow {
    dimension: i16,
    bucket: Ms,
    value: String,
    holds: RollupCounts,
}

from_rows!(StoredRow, |row| Ok(StoredRow {
    dimension: row.try_get("dimension")?,
    bucket: row.try_get("bucket")?,
    value: row.try_get("value")?,
    holds: RollupCounts {
        counts: Counts {
            pageviews: row.try_get("pageviews")?,
            events: row.try_get("events")?,
            sessions: row.try_get("sessions")?,
            bounces: row.try_get("bounces")?,
            duration_ms: row.try_get("duration_ms")?,
            engaged_ms: row.try_get("engaged_ms")?,
        },
        visitors: row.try_get::<i64, _>("visitors")?.cast_unsigned(),
        sketch: row.try_get::<Option<Vec<u8>>, _>("sketch")?.unwrap_or_default(),
    },
}));

fn counted(rows: BTreeMap<RollupKey, RollupDelta>) -> BTreeMap<RollupKey, RollupCounts> {
    let counted = rows.into_iter().filter(|(_, row)| !row.counts.is_zero()).map(|(key, row)| {
        let sketch = if row.visitors.is_empty() { Vec::new() } else { Sketch::to_bytes(&row.visitors) };
        (key, RollupCounts { counts: row.counts, visitors: row.visitors.estimate(), sketch })
    });
    counted.collect()
}

fn differences(
    grain: &str,
    ours: &BTreeMap<RollupKey, RollupCounts>,
    theirs: &BTreeMap<RollupKey, RollupCounts>,
) -> Vec<String> {
    let absent = RollupCounts::default();
    let mut keys: Vec<&RollupKey> = ours.keys().chain(theirs.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    let different = keys.into_iter().filter_map(|key| {
        let ours = ours.get(key).unwrap_or(&absent);
        let theirs = theirs.get(key).unwrap_or(&absent);
        let RollupKey { dimension, bucket, value } = key;
        let place = format!("{grain} {} {dimension:?} {value:?}", bucket.0);
        if (&ours.counts, ours.visitors) != (&theirs.counts, theirs.visitors) {
            let (a, b) = ((ours.counts, ours.visitors), (theirs.counts, theirs.visitors));
            Some(format!("{place}: {a:?} here, {b:?} there"))
        } else if ours.sketch != theirs.sketch {
            Some(format!("{place}: {} visitors, but other ones", ours.visitors))
        } else {
            None
        }
    });
    different.collect()
}
