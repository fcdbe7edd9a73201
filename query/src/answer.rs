//! From a checked query to its answer.

use jiff::tz::TimeZone;
use serde::Serialize;
use tallymark_protocol::{DAY_MS, UnixMs};
use tallymark_store::model::parse_zone;
use tallymark_store::{Group, Measure, Plan, Project, Reading, Route, Source, Store};

use crate::buckets::{Buckets, Interval, iso};
use crate::metric::Number;
use crate::order::{self, Key, Row};
use crate::problem::{Kind, Problem};
use crate::range::{DateRange, Range};
use crate::request::{Asked, Include, Page, Query, operator_name};

/// What a client gets.
#[derive(Debug, Serialize)]
pub(crate) struct Answer {
    results: Vec<Result_>,
    meta: Meta,
    query: Echo,
}

#[derive(Debug, Serialize)]
struct Result_ {
    dimensions: Vec<String>,
    metrics: Vec<Number>,
}

#[derive(Debug, Serialize)]
struct Meta {
    /// From where the numbers are.
    source: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_labels: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_rows: Option<usize>,
    /// Set where the range reaches back beyond the raw rows that the answer is made of.
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_since: Option<String>,
}

/// The query as it was understood.
#[derive(Debug, Serialize)]
struct Echo {
    project: String,
    metrics: Vec<&'static str>,
    date_range: [String; 2],
    timezone: String,
    dimensions: Vec<&'static str>,
    filters: Vec<(&'static str, &'static str, Vec<String>)>,
    order_by: Vec<(&'static str, &'static str)>,
    include: Include,
    pagination: Page,
}

/// A query with everything settled that depends on the project and on the time.
struct Settled {
    query: Query,
    zone_name: String,
    zone: TimeZone,
    range: Range,
    buckets: Buckets,
}

/// Answers a query of somebody who may read `project`.
pub(crate) async fn answer(
    store: &Store,
    project: &Project,
    query: Query,
    now: UnixMs,
) -> Result<Answer, Problem> {
    let first_day = match query.date_range {
        DateRange::All => store.first_day(project.id).await?,
        _ => None,
    };
    let settled = settle(project, query, now, first_day)?;
    let reading = store.read(&settled.plan()).await?;
    settled.answer(reading)
}

fn settle(
    project: &Project,
    mut query: Query,
    now: UnixMs,
    first_day: Option<UnixMs>,
) -> Result<Settled, Problem> {
    let (zone_name, zone) = match query.zone.take() {
        Some(named) => named,
        None => {
            let name = project.time_zone.clone();
            let zone = parse_zone(&name).ok_or_else(|| {
                Problem::new(Kind::TimeZone, format!("the project's time zone {name:?} is not known here"))
                    .hint("name one in the query as timezone")
            })?;
            (name, zone)
        }
    };
    let range = query.date_range.resolve(&zone, now, first_day)?;
    let mut buckets = Buckets { edges: vec![range.from, range.to], labels: Vec::new() };
    for dimension in &mut query.dimensions {
        if let Asked::Time(asked) = dimension {
            let interval = match *asked {
                Some(interval) => interval,
                None => Interval::of(range, &zone)?,
            };
            *asked = Some(interval);
            buckets = Buckets::divide(range, &zone, interval)?;
        }
    }
    if query.order.is_empty() {
        query.order = order::default(query.time_place());
    }
    Ok(Settled { query, zone_name, zone, range, buckets })
}

impl Settled {
    fn plan(&self) -> Plan {
        let of = |asked: &Asked| match asked {
            Asked::Time(_) => None,
            Asked::Of(dimension) => Some(*dimension),
        };
        let mut measures: Vec<Measure> =
            self.query.metrics.iter().flat_map(|metric| metric.measures()).copied().collect();
        measures.sort_unstable();
        measures.dedup();
        Plan {
            project_id: self.query.project_id,
            edges: self.buckets.edges.clone(),
            dimensions: self.query.dimensions.iter().filter_map(of).collect(),
            filters: self.query.filters.clone(),
            measures,
            route: Route::Best,
        }
    }

    fn answer(mut self, reading: Reading) -> Result<Answer, Problem> {
        let raw_since = self.raw_since(&reading)?;
        let time_place = self.query.time_place();
        let mut rows = self.rows(reading.groups);
        order::sort(&mut rows, &self.query.order, time_place);
        let total_rows = self.query.include.total_rows.then_some(rows.len());
        let page = self.query.page;
        let rows = rows.into_iter().skip(page.offset).take(page.limit);
        let results = rows.map(|row| self.result(row, time_place)).collect();
        let labels = std::mem::take(&mut self.buckets.labels);
        let time_labels = (self.query.include.time_labels && time_place.is_some()).then_some(labels);
        let source = match reading.source {
            Source::Rollups => "rollups",
            Source::Raw => "raw",
        };
        let meta = Meta { source, time_labels, total_rows, raw_since };
        Ok(Answer { results, meta, query: self.echo()? })
    }

    /// One row for each group; for what is empty too, where all that there could be is known: the whole, or
    /// every bucket of time alone.
    fn rows(&self, groups: Vec<Group>) -> Vec<Row> {
        let by_values = self.query.dimensions.iter().any(|asked| matches!(asked, Asked::Of(_)));
        let row = |group: Group| Row {
            metrics: self.query.metrics.iter().map(|metric| metric.of(&group)).collect(),
            bucket: group.bucket,
            values: group.values,
        };
        if by_values {
            return groups.into_iter().map(row).collect();
        }
        let empty =
            |bucket| row(Group { bucket, values: Vec::new(), visitors: 0, counts: Default::default() });
        let mut rows: Vec<Row> = (0..self.buckets.edges.len() - 1).map(empty).collect();
        for group in groups {
            let bucket = group.bucket;
            rows[bucket] = row(group);
        }
        rows
    }

    fn result(&self, row: Row, time_place: Option<usize>) -> Result_ {
        let mut dimensions = row.values;
        if let Some(place) = time_place {
            dimensions.insert(place, self.buckets.labels[row.bucket].clone());
        }
        Result_ { dimensions, metrics: row.metrics }
    }

    fn raw_since(&self, reading: &Reading) -> Result<Option<String>, Problem> {
        let Some(day) = reading.horizon_day.filter(|_| reading.source == Source::Raw) else {
            return Ok(None);
        };
        let since = UnixMs(i64::from(day) * DAY_MS);
        if since <= self.range.from { Ok(None) } else { iso(&self.zone, since).map(Some) }
    }

    fn echo(self) -> Result<Echo, Problem> {
        let query = self.query;
        let key_name = |key| match key {
            Key::Metric(place) => query.metrics[place].name(),
            Key::Dimension(place) => query.dimensions[place].name(),
        };
        Ok(Echo {
            project: query.project_id.to_string(),
            date_range: [iso(&self.zone, self.range.from)?, iso(&self.zone, self.range.to)?],
            timezone: self.zone_name,
            order_by: query.order.iter().map(|order| (key_name(order.key), order.direction.name())).collect(),
            metrics: query.metrics.iter().map(|metric| metric.name()).collect(),
            dimensions: query.dimensions.iter().map(|asked| asked.name()).collect(),
            filters: query
                .filters
                .into_iter()
                .map(|filter| (operator_name(filter.operator), filter.dimension.api_name(), filter.values))
                .collect(),
            include: query.include,
            pagination: query.page,
        })
    }
}
