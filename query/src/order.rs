//! The order of an answer's rows. It leaves nothing to chance: the same query gives the same pages.

use std::cmp::Ordering;

use serde_json::Value;

use crate::metric::{Metric, Number};
use crate::problem::{Kind, Problem};
use crate::request::Asked;

/// One key of the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) key: Key,
    pub(crate) direction: Direction,
}

/// By what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// The metric in this place of the query.
    Metric(usize),
    /// The dimension in this place of the query.
    Dimension(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Ascending,
    Descending,
}

/// One row of an answer.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// Its time bucket.
    pub(crate) bucket: usize,
    /// Its values of the dimensions other than time.
    pub(crate) values: Vec<String>,
    pub(crate) metrics: Vec<Number>,
}

impl Direction {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ascending => "asc",
            Self::Descending => "desc",
        }
    }
}

/// Reads `order_by`: keys have to be among what the query asks for.
pub(crate) fn parse(
    order: &[Value],
    metrics: &[Metric],
    dimensions: &[Asked],
) -> Result<Vec<Order>, Problem> {
    if order.len() > metrics.len() + dimensions.len() {
        let detail = "order_by has more keys than there are metrics and dimensions";
        return Err(Problem::new(Kind::Order, detail).hint("name each at most once"));
    }
    order.iter().map(|key| parse_key(key, metrics, dimensions)).collect()
}

fn parse_key(key: &Value, metrics: &[Metric], dimensions: &[Asked]) -> Result<Order, Problem> {
    let shape = || {
        Problem::new(Kind::Order, format!("{key} is no order"))
            .hint("write [\"visitors\", \"desc\"] or [\"time:day\", \"asc\"]")
    };
    let Some([Value::String(name), Value::String(direction)]) = key.as_array().map(Vec::as_slice) else {
        return Err(shape());
    };
    let direction = match direction.as_str() {
        "asc" => Direction::Ascending,
        "desc" => Direction::Descending,
        _ => return Err(shape()),
    };
    let metric = metrics.iter().position(|metric| metric.name() == name).map(Key::Metric);
    let dimension = || dimensions.iter().position(|asked| asked.name() == name).map(Key::Dimension);
    let key = metric.or_else(dimension).ok_or_else(|| {
        Problem::new(Kind::Order, format!("the order names {name:?}, which the query does not ask for"))
            .hint("order by one of the query's metrics or dimensions")
    })?;
    Ok(Order { key, direction })
}

/// The order where the query names none: time, else the first metric from the largest.
pub(crate) fn default(time_place: Option<usize>) -> Vec<Order> {
    let metric = Order { key: Key::Metric(0), direction: Direction::Descending };
    let time = time_place.map(|place| Order { key: Key::Dimension(place), direction: Direction::Ascending });
    time.into_iter().chain([metric]).collect()
}

/// Sorts by `order`; what is equal in it, by time and the dimensions' values.
pub(crate) fn sort(rows: &mut [Row], order: &[Order], time_place: Option<usize>) {
    rows.sort_unstable_by(|a, b| {
        let by_key = |order: &Order| {
            let ascending = match order.key {
                Key::Metric(place) => a.metrics[place].as_f64().total_cmp(&b.metrics[place].as_f64()),
                Key::Dimension(place) if Some(place) == time_place => a.bucket.cmp(&b.bucket),
                Key::Dimension(place) => {
                    let place = place - usize::from(time_place.is_some_and(|time| time < place));
                    a.values[place].cmp(&b.values[place])
                }
            };
            match order.direction {
                Direction::Ascending => ascending,
                Direction::Descending => ascending.reverse(),
            }
        };
        let decided = order.iter().map(by_key).find(|ordering| ordering.is_ne());
        decided.unwrap_or(Ordering::Equal).then_with(|| (a.bucket, &a.values).cmp(&(b.bucket, &b.values)))
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use tallymark_store::model::Dimension;

    fn row(bucket: usize, value: &str, visitors: i64) -> Row {
        Row { bucket, values: vec![value.to_owned()], metrics: vec![Number::Count(visitors)] }
    }

    fn sorted(mut rows: Vec<Row>, order: &[Order], time_place: Option<usize>) -> Vec<String> {
        sort(&mut rows, order, time_place);
        rows.into_iter().map(|row| format!("{}{}", row.bucket, row.values[0])).collect()
    }

    #[test]
    fn time_goes_first_and_ties_are_broken_by_value() {
        let rows = vec![row(1, "b", 5), row(0, "b", 3), row(0, "a", 3), row(0, "c", 9)];
        assert_eq!(sorted(rows.clone(), &default(Some(0)), Some(0)), ["0c", "0a", "0b", "1b"]);
        assert_eq!(sorted(rows, &default(None), None), ["0c", "1b", "0a", "0b"]);
    }

    #[test]
    fn a_dimension_behind_time_is_found() {
        let order = [Order { key: Key::Dimension(1), direction: Direction::Descending }];
        let rows = vec![row(0, "a", 1), row(1, "c", 1), row(0, "b", 1)];
        assert_eq!(sorted(rows, &order, Some(0)), ["1c", "0b", "0a"]);
    }

    #[test]
    fn keys_are_those_of_the_query() {
        let dimensions = [Asked::Of(Dimension::Page)];
        let parse = |key: Value| super::parse(&[key], &[Metric::Visitors], &dimensions);
        let descending = |key| Order { key, direction: Direction::Descending };
        assert_eq!(
            parse(serde_json::json!(["event:page", "desc"])).unwrap(),
            [descending(Key::Dimension(0))]
        );
        assert!(parse(serde_json::json!(["visit:source", "desc"])).is_err());
        assert!(parse(serde_json::json!(["visitors", "down"])).is_err());
        assert!(parse(serde_json::json!("visitors")).is_err());
    }
}
