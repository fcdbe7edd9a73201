//! The body of a query, and the query that it means once every part was checked.

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tallymark_store::model::{Dimension, parse_zone};
use tallymark_store::{Filter, Operator};

use crate::buckets::Interval;
use crate::metric::Metric;
use crate::nearest::known_names;
use crate::order::{self, Order};
use crate::problem::{Kind, Problem};
use crate::range::DateRange;

/// Dimensions of one query: each multiplies the groups.
const DIMENSIONS_MAX: usize = 4;
/// Filters of one query; each may hold as many values as a body has room for.
const FILTERS_MAX: usize = 20;
/// Rows of one page.
pub(crate) const LIMIT_MAX: usize = 10_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    project: Value,
    metrics: Vec<String>,
    date_range: Value,
    #[serde(default)]
    dimensions: Vec<String>,
    #[serde(default)]
    filters: Vec<Value>,
    #[serde(default)]
    order_by: Vec<Value>,
    timezone: Option<String>,
    #[serde(default)]
    include: Include,
    #[serde(default)]
    pagination: Page,
}

/// What an answer holds beside its results.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Include {
    /// The names of all time buckets.
    pub(crate) time_labels: bool,
    /// How many rows there are on all pages.
    pub(crate) total_rows: bool,
}

/// Which rows of the result.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Page {
    pub(crate) limit: usize,
    pub(crate) offset: usize,
}

impl Default for Page {
    fn default() -> Self {
        Self { limit: LIMIT_MAX, offset: 0 }
    }
}

/// A dimension as it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Time; `None`: divided as suits the range.
    Time(Option<Interval>),
    Of(Dimension),
}

/// A checked query.
#[derive(Debug)]
pub(crate) struct Query {
    pub(crate) project_id: i32,
    pub(crate) metrics: Vec<Metric>,
    pub(crate) date_range: DateRange,
    /// `None`: the project's.
    pub(crate) zone: Option<(String, TimeZone)>,
    pub(crate) dimensions: Vec<Asked>,
    pub(crate) filters: Vec<Filter>,
    pub(crate) order: Vec<Order>,
    pub(crate) include: Include,
    pub(crate) page: Page,
}

impl Query {
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Problem> {
        let body: Body = serde_json::from_slice(body).map_err(|error| {
            Problem::new(Kind::Body, error.to_string()).hint(
                "send JSON like {\"project\": \"1\", \"metrics\": [\"visitors\"], \"date_range\": \"7d\"}; \
                 see docs/query-api.md",
            )
        })?;
        let metrics = metrics(&body.metrics)?;
        let dimensions = dimensions(&body.dimensions)?;
        let order = order::parse(&body.order_by, &metrics, &dimensions)?;
        Ok(Self {
            project_id: project_id(&body.project)?,
            date_range: DateRange::parse(&body.date_range)?,
            zone: body.timezone.map(zone).transpose()?,
            filters: filters(&body.filters)?,
            include: body.include,
            page: page(body.pagination)?,
            metrics,
            dimensions,
            order,
        })
    }

    /// The place of time among the dimensions.
    pub(crate) fn time_place(&self) -> Option<usize> {
        self.dimensions.iter().position(|dimension| matches!(dimension, Asked::Time(_)))
    }
}

fn project_id(value: &Value) -> Result<i32, Problem> {
    let id = match value {
        Value::Number(number) => number.as_i64().and_then(|id| i32::try_from(id).ok()),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    id.ok_or_else(|| {
        Problem::new(Kind::Body, format!("{value} is no project"))
            .hint("write the project's id, which `tallymark project list` shows")
    })
}

fn metrics(names: &[String]) -> Result<Vec<Metric>, Problem> {
    let mut metrics = Vec::with_capacity(names.len().min(Metric::ALL.len()));
    for name in names {
        let metric = Metric::parse(name)?;
        if metrics.contains(&metric) {
            return Err(Problem::new(Kind::Metric, format!("{name} is asked for twice")).hint("name it once"));
        }
        metrics.push(metric);
    }
    if metrics.is_empty() {
        let known = known_names("", Metric::ALL.into_iter().map(Metric::name));
        return Err(Problem::new(Kind::Metric, "metrics is empty: name at least one").hint(known));
    }
    Ok(metrics)
}

/// The dimensions of rows that queries know by name: all but the total.
fn named_dimensions() -> impl Iterator<Item = Dimension> {
    Dimension::ALL.into_iter().filter(|dimension| *dimension != Dimension::Total)
}

fn dimensions(names: &[String]) -> Result<Vec<Asked>, Problem> {
    let mut dimensions: Vec<Asked> = Vec::new();
    for name in names {
        let dimension = Asked::parse(name)?;
        let is_time = |asked: &Asked| matches!(asked, Asked::Time(_));
        if dimensions.contains(&dimension) || (is_time(&dimension) && dimensions.iter().any(is_time)) {
            let problem =
                Problem::new(Kind::Dimension, format!("{name} is one dimension too many of its kind"));
            return Err(problem.hint("name each dimension once, and time only in one interval"));
        }
        dimensions.push(dimension);
        if dimensions.len() > DIMENSIONS_MAX {
            let detail = format!("more than {DIMENSIONS_MAX} dimensions");
            return Err(Problem::new(Kind::Dimension, detail).hint("ask for fewer, in several queries"));
        }
    }
    Ok(dimensions)
}

impl Asked {
    fn parse(name: &str) -> Result<Self, Problem> {
        if name == "time" {
            return Ok(Self::Time(None));
        }
        if let Some(interval) = Interval::ALL.into_iter().find(|interval| interval.name() == name) {
            return Ok(Self::Time(Some(interval)));
        }
        if let Some(dimension) = named_dimensions().find(|dimension| dimension.api_name() == name) {
            return Ok(Self::Of(dimension));
        }
        let times = Interval::ALL.into_iter().map(Interval::name);
        let names = std::iter::once("time").chain(times).chain(named_dimensions().map(Dimension::api_name));
        Err(Problem::new(Kind::Dimension, format!("there is no dimension {name:?}"))
            .hint(known_names(name, names)))
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Time(None) => "time",
            Self::Time(Some(interval)) => interval.name(),
            Self::Of(dimension) => dimension.api_name(),
        }
    }
}

const OPERATORS: [(&str, Operator); 4] = [
    ("is", Operator::Is),
    ("is_not", Operator::IsNot),
    ("contains", Operator::Contains),
    ("contains_not", Operator::ContainsNot),
];

/// The name of a filter's operator.
pub(crate) fn operator_name(operator: Operator) -> &'static str {
    OPERATORS.into_iter().find(|(_, known)| *known == operator).map_or("", |(name, _)| name)
}

fn filters(filters: &[Value]) -> Result<Vec<Filter>, Problem> {
    if filters.len() > FILTERS_MAX {
        let detail = format!("{} filters; {FILTERS_MAX} are allowed", filters.len());
        return Err(Problem::new(Kind::Filter, detail).hint("put values of one dimension into one filter"));
    }
    filters.iter().map(filter).collect()
}

fn filter(value: &Value) -> Result<Filter, Problem> {
    let shape = || {
        Problem::new(Kind::Filter, format!("{value} is no filter"))
            .hint("write [\"is\", \"event:page\", [\"/pricing\", \"/docs\"]]; all filters have to hold")
    };
    let Some([Value::String(operator), Value::String(dimension), Value::Array(values)]) =
        value.as_array().map(Vec::as_slice)
    else {
        return Err(shape());
    };
    let Some((_, operator)) = OPERATORS.into_iter().find(|(name, _)| name == operator) else {
        let hint = known_names(operator, OPERATORS.into_iter().map(|(name, _)| name));
        return Err(Problem::new(Kind::Filter, format!("there is no filter {operator:?}")).hint(hint));
    };
    let Some(known) = named_dimensions().find(|known| known.api_name() == dimension) else {
        let hint = known_names(dimension, named_dimensions().map(Dimension::api_name));
        let detail = format!("there is no dimension {dimension:?} to filter by");
        return Err(Problem::new(Kind::Filter, detail).hint(hint));
    };
    let texts = values.iter().map(|value| value.as_str().map(str::to_owned));
    let values: Vec<String> = texts.collect::<Option<_>>().ok_or_else(shape)?;
    if values.is_empty() {
        return Err(Problem::new(Kind::Filter, format!("the filter by {dimension} names no value"))
            .hint("name at least one, or leave the filter out"));
    }
    if values.iter().any(|value| value.contains('\0')) {
        return Err(Problem::new(
            Kind::Filter,
            "a filter's value holds a NUL character, which no stored value does",
        ));
    }
    Ok(Filter { operator, dimension: known, values })
}

fn zone(name: String) -> Result<(String, TimeZone), Problem> {
    match parse_zone(&name) {
        Some(zone) => Ok((name, zone)),
        None => Err(Problem::new(Kind::TimeZone, format!("{name:?} is no time zone"))
            .hint("write an IANA name like Europe/Berlin, or leave timezone out for the project's")),
    }
}

fn page(page: Page) -> Result<Page, Problem> {
    if !(1..=LIMIT_MAX).contains(&page.limit) {
        let detail = format!("a limit of {}; it lies between 1 and {LIMIT_MAX}", page.limit);
        return Err(Problem::new(Kind::Pagination, detail).hint("go on with offset where more is needed"));
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(body: &Value) -> Result<Query, String> {
        Query::parse(body.to_string().as_bytes()).map_err(|problem| problem.text())
    }

    fn with(key: &str, value: Value) -> Value {
        let mut body = json!({"project": "7", "metrics": ["visitors"], "date_range": "7d"});
        body[key] = value;
        body
    }

    #[test]
    fn the_least_query_has_its_defaults() {
        let query = parse(&with("dimensions", json!([]))).unwrap();
        assert_eq!((query.project_id, query.page.limit, query.page.offset), (7, LIMIT_MAX, 0));
        assert!(query.zone.is_none() && query.order.is_empty());
        assert_eq!(parse(&with("project", json!(7))).unwrap().project_id, 7);
    }

    #[test]
    fn each_mistake_is_named() {
        for (key, value, wanted) in [
            ("compare", json!(1), "unknown field `compare`"),
            ("include", json!({"compare": "previous_period"}), "unknown field `compare`"),
            ("pagination", json!({"page": 1}), "unknown field `page`"),
            ("pagination", json!({"limit": 0}), "between 1 and 10000"),
            ("project", json!("shop"), "is no project"),
            ("project", json!(4_294_967_297_i64), "is no project"),
            ("metrics", json!([]), "name at least one"),
            ("metrics", json!(["visitors", "visitors"]), "twice"),
            ("metrics", json!(["bounces"]), "there is no metric"),
            ("dimensions", json!(["event:pages"]), "did you mean event:page?"),
            ("dimensions", json!(["total"]), "there is no dimension"),
            ("dimensions", json!(["time:day", "time:hour"]), "too many"),
            ("dimensions", json!(["event:page", "event:page"]), "too many"),
            ("filters", json!([["is", "event:page", []]]), "names no value"),
            ("filters", json!([["is", "event:page", "/a"]]), "is no filter"),
            ("filters", json!([["matches", "event:page", ["/a"]]]), "there is no filter"),
            ("filters", json!([["is", "time:day", ["2026-01-01"]]]), "to filter by"),
            ("filters", json!([["is", "event:page", ["\u{0}"]]]), "NUL"),
            ("filters", json!([["and", [["is", "event:page", ["/a"]]]]]), "is no filter"),
            ("timezone", json!("Berlin"), "is no time zone"),
            ("date_range", json!("yesterday"), "is no date range"),
            ("order_by", json!([["pageviews", "desc"]]), "order"),
        ] {
            let text = parse(&with(key, value.clone())).expect_err(&value.to_string());
            assert!(text.contains(wanted), "{value}: {text}");
        }
        assert!(Query::parse(b"{").is_err());
    }
}
