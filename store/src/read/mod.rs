//! Reading: a [`Plan`] in, [`Group`]s out.
//!
//! A plan is answered from the rollups when they hold what it asks for in buckets that fit, else from raw
//! rows; both ways give the same numbers wherever both can answer (`tests/read.rs` compares them). Whatever a
//! plan needs is read in one snapshot.

mod dialect;
mod plan;
mod raw;
mod rollup;
mod route;
mod snapshot;

use tallymark_protocol::UnixMs;

pub use plan::{Filter, Group, Measure, Operator, Plan, ReadError, Reading, Route, Source};

use crate::columns::Ms;
use crate::commit::StoredRules;
use crate::model::{Dimension, VisitorHasher, ZoneBuckets, parse_zone};
use crate::rows::RulesRow;
use crate::{Store, StoreError};

use dialect::{Sql, Value};
use rollup::RollupPlan;
use snapshot::Snapshot;

/// Groups of one answer, before it is paged: each may carry a sketch of up to 16 KiB while it is put together.
pub const GROUPS_MAX: usize = 100_000;

impl Store {
    /// Answers a plan.
    ///
    /// # Errors
    /// [`ReadError::TooManyGroups`] and [`ReadError::TooSlow`] for plans that ask for too much,
    /// [`StoreError::UnknownProject`], and those of the store.
    pub async fn read(&self, plan: &Plan) -> Result<Reading, ReadError> {
        let mut snapshot = Snapshot::begin(self).await?;
        let rules = rules(&mut snapshot, plan.project_id).await?;
        let horizon_day = rules.horizon_day;
        let (groups, source) = match rollup_plan(plan, rules) {
            Some(rollup) => (rollup::read(&mut snapshot, &rollup).await?, Source::Rollups),
            None => (raw::read(&mut snapshot, plan).await?, Source::Raw),
        };
        Ok(Reading { groups, source, horizon_day })
    }

    /// When the first event of a project happened, to the day; `None` for a project without any.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn first_day(&self, project_id: i32) -> Result<Option<UnixMs>, ReadError> {
        let mut snapshot = Snapshot::begin(self).await?;
        let deltas = rollup::pending(&mut snapshot, project_id).await?;
        let pending = deltas.rollups().map(|(buckets, ..)| buckets.day).min();
        let mut sql = Sql::new(snapshot.dialect());
        let project = sql.bind(Value::Int(project_id));
        let total = sql.bind(Value::Int(i32::from(Dimension::Total.code())));
        sql.push(&format!(
            "select bucket from rollup_day where project_id = {project} and dimension = {total} order by bucket limit 1"
        ));
        let mut first = pending;
        snapshot
            .fetch(sql, |(bucket,): (Ms,)| {
                first = Some(first.map_or(bucket.0, |pending| pending.min(bucket.0)));
                Ok(())
            })
            .await?;
        Ok(first)
    }
}

async fn rules(snapshot: &mut Snapshot, project_id: i32) -> Result<StoredRules, ReadError> {
    let mut sql = Sql::new(snapshot.dialect());
    let project = sql.bind(Value::Int(project_id));
    sql.push(&format!(
        "select id, time_zone, horizon, sketch_key, session_timeout_minutes from project where id = {project}"
    ));
    let mut found = None;
    snapshot
        .fetch(sql, |row: RulesRow| {
            found = Some(row);
            Ok(())
        })
        .await?;
    let row = found.ok_or(StoreError::UnknownProject(project_id))?;
    Ok(row.read(parse_zone)?)
}

fn rollup_plan(plan: &Plan, rules: StoredRules) -> Option<RollupPlan<'_>> {
    let dimension = route::dimension(plan)?;
    let segments = route::segments(plan, &mut ZoneBuckets::new(rules.zone))?;
    Some(RollupPlan { plan, dimension, segments, hasher: VisitorHasher::new(rules.sketch_key) })
}
