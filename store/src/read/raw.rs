//! The long way: events and sessions, one by one.

use std::collections::HashMap;

use sqlx::Row;
use tallymark_protocol::names;

use super::GROUPS_MAX;
use super::dialect::{Sql, Value};
use super::plan::{Basis, Group, Measure, Plan, ReadError};
use super::snapshot::Snapshot;
use crate::model::{Counts, Dimension, Scope};
use crate::rows::from_rows;

/// Columns of a group before its values.
const COLUMNS: usize = 7;

from_rows!(Group, |row| {
    let values = (COLUMNS..row.columns().len()).map(|column| row.try_get(column));
    let at: i64 = row.try_get(0)?;
    let visitors: i64 = row.try_get(4)?;
    Ok(Group {
        bucket: usize::try_from(at).unwrap_or(usize::MAX),
        values: values.collect::<Result<_, _>>()?,
        visitors: visitors.cast_unsigned(),
        counts: Counts {
            events: row.try_get(1)?,
            pageviews: row.try_get(2)?,
            sessions: row.try_get(3)?,
            bounces: row.try_get(5)?,
            duration_ms: row.try_get(6)?,
            engaged_ms: 0,
        },
    })
});

/// Reads the plan's groups.
pub(crate) async fn read(snapshot: &mut Snapshot, plan: &Plan) -> Result<Vec<Group>, ReadError> {
    let wants = |measures: &[Measure]| measures.iter().any(|measure| plan.wants(*measure));
    let of_sessions = [Measure::Sessions, Measure::Bounces, Measure::Duration];
    let dialect = snapshot.dialect();
    let mut statements = Vec::with_capacity(2);
    match plan.basis() {
        Basis::Visits => statements.push(sessions_sql(Sql::new(dialect), plan)),
        Basis::Events => {
            statements.push(events_sql(Sql::new(dialect), plan));
            if wants(&of_sessions[1..]) {
                statements.push(sessions_of_events_sql(Sql::new(dialect), plan));
            }
        }
        Basis::Total => {
            if wants(&[Measure::Visitors, Measure::Pageviews, Measure::Events]) {
                statements.push(events_sql(Sql::new(dialect), plan));
            }
            if wants(&of_sessions) {
                statements.push(sessions_sql(Sql::new(dialect), plan));
            }
        }
    }
    let mut groups: HashMap<(usize, Vec<String>), Group> = HashMap::new();
    for sql in statements {
        snapshot
            .fetch(sql, |group: Group| {
                if groups.len() >= GROUPS_MAX {
                    return Err(ReadError::TooManyGroups(GROUPS_MAX));
                }
                add(&mut groups, group);
                Ok(())
            })
            .await?;
    }
    Ok(groups.into_values().collect())
}

/// Adds one statement's part of a group to the other's; each measure is in one of them.
fn add(groups: &mut HashMap<(usize, Vec<String>), Group>, part: Group) {
    match groups.entry((part.bucket, part.values.clone())) {
        std::collections::hash_map::Entry::Vacant(vacant) => {
            vacant.insert(part);
        }
        std::collections::hash_map::Entry::Occupied(mut group) => {
            group.get_mut().visitors += part.visitors;
            group.get_mut().counts.add(&part.counts);
        }
    }
}

/// The expression of a dimension's value; null where a row has none.
fn value_of(dimension: Dimension) -> String {
    let table = if dimension.scope() == Scope::Event { "e" } else { "s" };
    let column = dimension.column();
    match dimension.missing() {
        Some(missing) => format!("coalesce({table}.{column}, '{missing}')"),
        None => format!("{table}.{column}"),
    }
}

/// Values of the plan's dimensions as columns `d0`, `d1` …, each behind a comma.
fn value_columns(plan: &Plan) -> String {
    let named = plan.dimensions.iter().enumerate();
    named.map(|(index, dimension)| format!(", {} as d{index}", value_of(*dimension))).collect()
}

/// Adds the conditions that all of the plan's statements share.
fn push_conditions(sql: &mut Sql, plan: &Plan) {
    for dimension in plan.dimensions.iter().filter(|dimension| dimension.missing().is_none()) {
        sql.push(&format!(" and {} is not null", value_of(*dimension)));
    }
    for filter in &plan.filters {
        sql.push_filter(filter, &value_of(filter.dimension));
    }
}

fn push_group_by(sql: &mut Sql, plan: &Plan) {
    sql.push(" group by 1");
    for index in 0..plan.dimensions.len() {
        sql.push(&format!(", {}", COLUMNS + index + 1));
    }
    // One more than is allowed tells that there are more.
    sql.push(&format!(" limit {}", GROUPS_MAX + 1));
}

/// Adds the plan's events: `from …` and all conditions. Events without a session have no `visit:` values;
/// they are passed over where one is asked for.
fn push_events(sql: &mut Sql, plan: &Plan, before_table: &str, condition: &str) {
    let project = sql.bind(Value::Int(plan.project_id));
    sql.push(&format!(" from {before_table}event e"));
    if plan.mentioned().any(|dimension| dimension.scope() == Scope::Visit) {
        sql.push(" join session s on s.project_id = e.project_id and s.session_id = e.session_id");
    }
    sql.push(&format!(" where e.project_id = {project}"));
    sql.push_days(plan, "e.day");
    sql.push_range(plan, "e.occurred_at");
    sql.push(condition);
    push_conditions(sql, plan);
}

/// Events where they happened.
fn events_sql(mut sql: Sql, plan: &Plan) -> Sql {
    let bucketing = sql.bucketing(plan, "e.occurred_at");
    let pageview = sql.bind(Value::Text(names::PAGEVIEW.to_owned()));
    // What needs sorting is counted only when asked for. In the total, sessions count where they begin.
    let distinct = |wanted, column| {
        if wanted { format!("count(distinct e.{column})") } else { "cast(0 as bigint)".to_owned() }
    };
    let visitors = distinct(plan.wants(Measure::Visitors), "visitor_id");
    let of_events = plan.basis() == Basis::Events && plan.wants(Measure::Sessions);
    let sessions = distinct(of_events, "session_id");
    sql.push(&format!(
        "select {}, count(*), count(*) filter (where e.name = {pageview}), {sessions}, {visitors},
         cast(0 as bigint), cast(0 as bigint){}",
        bucketing.number,
        value_columns(plan)
    ));
    push_events(&mut sql, plan, &bucketing.before_table, &bucketing.condition);
    push_group_by(&mut sql, plan);
    sql
}

/// Bounces and durations of the sessions that the events are of, each session once a group.
fn sessions_of_events_sql(mut sql: Sql, plan: &Plan) -> Sql {
    let bucketing = sql.bucketing(plan, "e.occurred_at");
    let duration = sql.dialect.millis("o.started_at", "o.ended_at");
    let values: String = (0..plan.dimensions.len()).map(|index| format!(", g.d{index}")).collect();
    sql.push(&format!(
        "select g.bucket, cast(0 as bigint), cast(0 as bigint), cast(0 as bigint), cast(0 as bigint),
         count(*) filter (where o.pageviews = 1 and o.interactions = 0),
         cast(sum({duration}) as bigint){values}
         from (select distinct {} as bucket, e.project_id, e.session_id{}",
        bucketing.number,
        value_columns(plan)
    ));
    push_events(&mut sql, plan, &bucketing.before_table, &bucketing.condition);
    sql.push(") g join session o on o.project_id = g.project_id and o.session_id = g.session_id");
    push_group_by(&mut sql, plan);
    sql
}

/// Sessions where they began, with all that belongs to them; in the total, only what is the session's own.
fn sessions_sql(mut sql: Sql, plan: &Plan) -> Sql {
    let bucketing = sql.bucketing(plan, "s.started_at");
    let project = sql.bind(Value::Int(plan.project_id));
    let duration = sql.dialect.millis("s.started_at", "s.ended_at");
    let belongings = if plan.basis() == Basis::Visits {
        "cast(sum(s.events) as bigint), cast(sum(s.pageviews) as bigint), count(*), count(distinct s.visitor_id)"
    } else {
        "cast(0 as bigint), cast(0 as bigint), count(*), cast(0 as bigint)"
    };
    sql.push(&format!(
        "select {}, {belongings}, count(*) filter (where s.pageviews = 1 and s.interactions = 0),
         cast(sum({duration}) as bigint){} from {}session s where s.project_id = {project}",
        bucketing.number,
        value_columns(plan),
        bucketing.before_table
    ));
    sql.push_range(plan, "s.started_at");
    sql.push(&bucketing.condition);
    push_conditions(&mut sql, plan);
    push_group_by(&mut sql, plan);
    sql
}
