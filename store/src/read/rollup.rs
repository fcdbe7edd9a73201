//! The short way: rollup rows and the deltas that are not folded into them yet, in one snapshot.

use std::collections::{BTreeMap, HashSet};

use sqlx::Row;
use tallymark_protocol::{HOUR_MS, UnixMs};
use uuid::Uuid;

use super::GROUPS_MAX;
use super::dialect::{Sql, Value};
use super::plan::{Group, Measure, Plan, ReadError};
use super::route::{self, Segment};
use super::snapshot::Snapshot;
use crate::StoreError;
use crate::columns::Ms;
use crate::compact::{Grain, session_visitors_sql};
use crate::model::{Counts, DeltaFold, Dimension, Sketch, VisitorHasher};
use crate::rows::from_rows;

/// A plan that the rollups answer.
pub(crate) struct RollupPlan<'p> {
    pub(crate) plan: &'p Plan,
    pub(crate) dimension: Dimension,
    pub(crate) segments: Vec<Segment>,
    pub(crate) hasher: VisitorHasher,
}

struct StoredRollup {
    bucket: UnixMs,
    value: String,
    counts: Counts,
    visitors: i64,
    sketch: Option<Vec<u8>>,
}

from_rows!(StoredRollup, |row| Ok(StoredRollup {
    bucket: row.try_get::<Ms, _>("bucket")?.0,
    value: row.try_get("value")?,
    counts: Counts {
        pageviews: row.try_get("pageviews")?,
        events: row.try_get("events")?,
        sessions: row.try_get("sessions")?,
        bounces: row.try_get("bounces")?,
        duration_ms: row.try_get("duration_ms")?,
        engaged_ms: row.try_get("engaged_ms")?,
    },
    visitors: row.try_get("visitors")?,
    sketch: row.try_get("sketch")?,
}));

/// A row of the rollups whose visitors the deltas put in doubt.
type RowKey = (Grain, UnixMs, String);

/// The answer as it comes together.
struct Folded<'p> {
    rollup: &'p RollupPlan<'p>,
    stale: HashSet<RowKey>,
    /// Rows of earlier buckets are whole groups that no delta adds to: their visitors are counted already.
    sketches_from: UnixMs,
    groups: BTreeMap<(usize, String), Summed>,
}

#[derive(Default)]
struct Summed {
    counts: Counts,
    sketch: Sketch,
    /// Counted without a sketch.
    visitors: u64,
    /// How many rows these are of.
    counted: u32,
}

/// Reads the plan's groups.
pub(crate) async fn read(snapshot: &mut Snapshot, rollup: &RollupPlan<'_>) -> Result<Vec<Group>, ReadError> {
    let deltas = pending(snapshot, rollup.plan.project_id).await?;
    if rollup.is_row_by_row() {
        let folded = fold(snapshot, rollup, &deltas, rollup.plan.to()).await?;
        if !folded.is_crowded() {
            return Ok(folded.into_groups());
        }
    }
    Ok(fold(snapshot, rollup, &deltas, rollup.plan.from()).await?.into_groups())
}

async fn fold<'p>(
    snapshot: &mut Snapshot,
    rollup: &'p RollupPlan<'p>,
    deltas: &DeltaFold,
    sketches_from: UnixMs,
) -> Result<Folded<'p>, ReadError> {
    let mut folded = Folded { rollup, stale: HashSet::new(), sketches_from, groups: BTreeMap::new() };
    folded.take_deltas(deltas)?;
    for (grain, from, to) in route::runs(&rollup.segments) {
        let sql = rollup.rows_sql(Sql::new(snapshot.dialect()), grain, (from, to), folded.sketches_from);
        snapshot.fetch(sql, |row: StoredRollup| folded.take_row(grain, row)).await?;
    }
    for (grain, bucket, value) in std::mem::take(&mut folded.stale) {
        let sql = rollup.visitors_sql(Sql::new(snapshot.dialect()), grain, bucket, &value);
        snapshot
            .fetch(sql, |(visitor_id,): (Uuid,)| folded.take_visitor(grain, bucket, &value, visitor_id))
            .await?;
    }
    Ok(folded)
}

/// Reads the deltas of a project that no compactor has folded yet.
pub(crate) async fn pending(snapshot: &mut Snapshot, project_id: i32) -> Result<DeltaFold, ReadError> {
    let mut sql = Sql::new(snapshot.dialect());
    let project = sql.bind(Value::Int(project_id));
    sql.push(&format!("select payload from rollup_delta where project_id = {project}"));
    let mut payloads = Vec::new();
    snapshot
        .fetch(sql, |(payload,): (Vec<u8>,)| {
            payloads.push(payload);
            Ok(())
        })
        .await?;
    // Where the compactor is behind there are many of them.
    let folded = tokio::task::spawn_blocking(move || {
        let mut fold = DeltaFold::default();
        payloads.iter().try_for_each(|payload| fold.merge_bytes(payload)).map(|()| fold)
    });
    let folded = folded.await.expect("decoding does not panic");
    Ok(folded.map_err(|detail| StoreError::Corrupt { table: "rollup_delta", column: "payload", detail })?)
}

impl RollupPlan<'_> {
    /// Whether each group is made of one row: then sketches need not be read where nothing is added to them.
    fn is_row_by_row(&self) -> bool {
        /// Longer than a day of any zone, shorter than two.
        const DAY_HOURS_MAX: i64 = 30;
        let one_row = |segment: &Segment| {
            let hours_max = match segment.grain {
                Grain::Hour => 1,
                Grain::Day => DAY_HOURS_MAX,
            };
            segment.to.0 - segment.from.0 <= hours_max * HOUR_MS
        };
        let by_value = !self.plan.dimensions.is_empty() || self.dimension == Dimension::Total;
        let apart = self.segments.windows(2).all(|pair| pair[0].bucket != pair[1].bucket);
        by_value && apart && self.segments.iter().all(one_row)
    }

    fn rows_sql(
        &self,
        mut sql: Sql,
        grain: Grain,
        (from, to): (UnixMs, UnixMs),
        sketches_from: UnixMs,
    ) -> Sql {
        let sketch = if self.plan.wants(Measure::Visitors) {
            let sketches_from = sql.bind(Value::At(sketches_from));
            format!("case when bucket >= {sketches_from} then sketch end")
        } else {
            "null".to_owned()
        };
        let project = sql.bind(Value::Int(self.plan.project_id));
        let dimension = sql.bind(Value::Int(i32::from(self.dimension.code())));
        let (from, to) = (sql.bind(Value::At(from)), sql.bind(Value::At(to)));
        sql.push(&format!(
            "select bucket, value, pageviews, events, sessions, bounces, duration_ms, engaged_ms, visitors,
             {sketch} as sketch
             from {} r where project_id = {project} and dimension = {dimension}
             and bucket >= {from} and bucket < {to}",
            grain.table()
        ));
        for filter in &self.plan.filters {
            sql.push_filter(filter, "r.value"); // lists have a column of that name
        }
        sql
    }

    fn visitors_sql(&self, mut sql: Sql, grain: Grain, bucket: UnixMs, value: &str) -> Sql {
        sql.push(&(session_visitors_sql(grain, self.dimension) + "= $4"));
        sql.bind(Value::Int(self.plan.project_id));
        sql.bind(Value::At(bucket));
        sql.bind(Value::At(grain.end_of(bucket)));
        sql.bind(Value::Text(value.to_owned()));
        sql
    }

    fn bucket_of(&self, grain: Grain, at: UnixMs) -> Option<usize> {
        route::bucket_of(&self.segments, grain, at)
    }

    /// The group of a row: its value only where the plan breaks down by it.
    fn group(&self, bucket: usize, value: &str) -> (usize, String) {
        let value = if self.plan.dimensions.is_empty() { "" } else { value };
        (bucket, value.to_owned())
    }
}

impl Folded<'_> {
    fn take_deltas(&mut self, deltas: &DeltaFold) -> Result<(), ReadError> {
        let rollup = self.rollup;
        let rows = || {
            deltas.rollups().filter(|(_, dimension, value, _)| {
                *dimension == rollup.dimension
                    && rollup.plan.filters.iter().all(|filter| filter.admits(value))
            })
        };
        let places =
            |buckets: crate::model::Buckets| [(Grain::Hour, buckets.hour), (Grain::Day, buckets.day)];
        if rollup.plan.wants(Measure::Visitors) {
            for (buckets, _, value, _) in rows().filter(|(.., delta)| delta.stale) {
                let inside = places(buckets).into_iter().filter(|at| rollup.bucket_of(at.0, at.1).is_some());
                self.stale.extend(inside.map(|(grain, at)| (grain, at, value.to_owned())));
            }
        }
        for (buckets, _, value, delta) in rows() {
            for (grain, at) in places(buckets) {
                let Some(bucket) = rollup.bucket_of(grain, at) else { continue };
                self.sketches_from = self.sketches_from.min(at);
                let doubtful = self.is_stale(grain, at, value);
                let sum = self.slot(bucket, value)?;
                sum.counts.add(&delta.counts);
                if !doubtful {
                    sum.sketch.merge(&delta.visitors);
                }
            }
        }
        Ok(())
    }

    fn take_row(&mut self, grain: Grain, row: StoredRollup) -> Result<(), ReadError> {
        let Some(bucket) = self.rollup.bucket_of(grain, row.bucket) else { return Ok(()) };
        let doubtful = self.is_stale(grain, row.bucket, &row.value);
        let counted = row.bucket < self.sketches_from;
        let sum = self.slot(bucket, &row.value)?;
        sum.counts.add(&row.counts);
        if counted {
            sum.visitors += row.visitors.cast_unsigned();
            sum.counted += u32::from(row.visitors > 0);
        } else if let Some(bytes) = row.sketch.filter(|_| !doubtful) {
            let sketch = Sketch::from_bytes(&bytes).ok_or_else(|| StoreError::Corrupt {
                table: grain.table(),
                column: "sketch",
                detail: format!("the row of {:?} at {}", row.value, row.bucket.0),
            })?;
            sum.sketch.merge(&sketch);
        }
        Ok(())
    }

    fn take_visitor(
        &mut self,
        grain: Grain,
        at: UnixMs,
        value: &str,
        visitor_id: Uuid,
    ) -> Result<(), ReadError> {
        let hash = self.rollup.hasher.hash(visitor_id);
        let Some(bucket) = self.rollup.bucket_of(grain, at) else { return Ok(()) };
        self.slot(bucket, value)?.sketch.insert(hash);
        Ok(())
    }

    fn is_stale(&self, grain: Grain, at: UnixMs, value: &str) -> bool {
        !self.stale.is_empty() && self.stale.contains(&(grain, at, value.to_owned()))
    }

    /// Whether visitors that were counted without a sketch are not all of a group's: buckets of another time zone,
    /// which was the project's before, lie within the plan's.
    fn is_crowded(&self) -> bool {
        let crowded = |sum: &Summed| sum.counted > 1 || (sum.counted == 1 && !sum.sketch.is_empty());
        self.groups.values().any(crowded)
    }

    fn slot(&mut self, bucket: usize, value: &str) -> Result<&mut Summed, ReadError> {
        let group = self.rollup.group(bucket, value);
        if self.groups.len() >= GROUPS_MAX && !self.groups.contains_key(&group) {
            return Err(ReadError::TooManyGroups(GROUPS_MAX));
        }
        Ok(self.groups.entry(group).or_default())
    }

    fn into_groups(self) -> Vec<Group> {
        let by_value = !self.rollup.plan.dimensions.is_empty();
        let groups = self.groups.into_iter().filter(|(_, sum)| !sum.counts.is_zero());
        groups
            .map(|((bucket, value), sum)| Group {
                bucket,
                values: if by_value { vec![value] } else { Vec::new() },
                visitors: sum.visitors + sum.sketch.estimate(),
                counts: sum.counts,
            })
            .collect()
    }
}
