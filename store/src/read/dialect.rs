//! Where the two databases' SQL differs, and statements under construction.
//!
//! A statement's text is made of pieces that are written in this folder; everything else is bound, as
//! `$1`, `$2` … in both databases.

use tallymark_protocol::{UnixMs, limits};

use super::plan::{Filter, Operator, Plan};
use crate::columns::Day;

/// Which SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Postgres,
    Sqlite,
}

/// A bound value. What is a list is an array in PostgreSQL and a JSON text in SQLite.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Int(i32),
    At(UnixMs),
    Day(Day),
    Text(String),
    Texts(Vec<String>),
    /// Edges of adjoining buckets.
    Edges(Vec<UnixMs>),
}

/// A statement: its text so far, and the values bound to it.
#[derive(Debug)]
pub(crate) struct Sql {
    pub(crate) dialect: Dialect,
    pub(crate) text: String,
    pub(crate) values: Vec<Value>,
}

impl Sql {
    pub(crate) fn new(dialect: Dialect) -> Self {
        Self { dialect, text: String::new(), values: Vec::new() }
    }

    /// Binds a value; answers the name under which the text speaks of it.
    pub(crate) fn bind(&mut self, value: Value) -> String {
        self.values.push(value);
        format!("${}", self.values.len())
    }

    pub(crate) fn push(&mut self, piece: &str) {
        self.text.push_str(piece);
    }

    /// Adds `and` with the filter's condition on the expression `value`.
    pub(crate) fn push_filter(&mut self, filter: &Filter, value: &str) {
        let values = self.bind(Value::Texts(filter.values.clone()));
        let condition = match filter.operator {
            Operator::Is | Operator::IsNot => self.dialect.equals_any(value, &values),
            Operator::Contains | Operator::ContainsNot => self.dialect.contains_any(value, &values),
        };
        let not = match filter.operator {
            Operator::Is | Operator::Contains => "",
            Operator::IsNot | Operator::ContainsNot => "not ",
        };
        self.push(&format!(" and {value} is not null and {not}{condition}"));
    }
}

impl Dialect {
    /// `value` is one of the bound texts.
    fn equals_any(self, value: &str, texts: &str) -> String {
        match self {
            Self::Postgres => format!("({value} = any({texts}))"),
            Self::Sqlite => format!("({value} in (select w.value from json_each({texts}) w))"),
        }
    }

    /// One of the bound texts is a part of `value`.
    fn contains_any(self, value: &str, texts: &str) -> String {
        match self {
            Self::Postgres => {
                format!("exists (select 1 from unnest({texts}) w (part) where strpos({value}, w.part) > 0)")
            }
            Self::Sqlite => {
                format!("exists (select 1 from json_each({texts}) w where instr({value}, w.value) > 0)")
            }
        }
    }

    /// Milliseconds from one instant's column to another's.
    pub(crate) fn millis(self, from: &str, to: &str) -> String {
        match self {
            Self::Postgres => format!("cast(extract(epoch from {to} - {from}) * 1000 as bigint)"),
            Self::Sqlite => format!("({to} - {from})"),
        }
    }
}

/// How a statement finds the bucket of each row: an expression, and what has to stand before and behind the
/// table for it. PostgreSQL searches the edges; SQLite, which cannot, visits one bucket after the other
/// through the index on time.
pub(crate) struct Bucketing {
    pub(crate) number: String,
    pub(crate) before_table: String,
    pub(crate) condition: String,
}

impl Sql {
    /// Binds the plan's buckets, for rows whose instant is in the column `at`.
    pub(crate) fn bucketing(&mut self, plan: &Plan, at: &str) -> Bucketing {
        if !plan.is_bucketed() {
            let number = "cast(0 as bigint)".to_owned();
            return Bucketing { number, before_table: String::new(), condition: String::new() };
        }
        let edges = self.bind(Value::Edges(plan.edges.clone()));
        match self.dialect {
            Dialect::Postgres => Bucketing {
                number: format!("cast(width_bucket({at}, {edges}) - 1 as bigint)"),
                before_table: String::new(),
                condition: String::new(),
            },
            Dialect::Sqlite => Bucketing {
                number: "b.key".to_owned(),
                before_table: format!("json_each({edges}) b cross join "),
                condition: format!(
                    " and {at} >= json_extract(b.value, '$[0]') and {at} < json_extract(b.value, '$[1]')"
                ),
            },
        }
    }

    /// Adds the condition that rows happened in the plan's range. Where SQLite visits the buckets they are the
    /// condition: with both it may search by the range and walk through all of it once for each bucket.
    pub(crate) fn push_range(&mut self, plan: &Plan, at: &str) {
        if self.dialect == Dialect::Sqlite && plan.is_bucketed() {
            return;
        }
        let (from, to) = (self.bind(Value::At(plan.from())), self.bind(Value::At(plan.to())));
        self.push(&format!(" and {at} >= {from} and {at} < {to}"));
    }

    /// Adds the condition that keeps PostgreSQL from looking into the partitions of other days. An event's
    /// day is not always that of its time: it comes from its id, which a wrong clock made. SQLite has one
    /// table, and would take the worse index.
    pub(crate) fn push_days(&mut self, plan: &Plan, day: &str) {
        if self.dialect == Dialect::Sqlite {
            return;
        }
        let margin = i32::try_from(limits::LATE_DAYS_MAX + limits::AHEAD_DAYS_MAX).unwrap_or(i32::MAX);
        let from = self.bind(Value::Day(Day(plan.from().utc_day().saturating_sub(margin))));
        let to = self.bind(Value::Day(Day(plan.to().utc_day().saturating_add(margin))));
        self.push(&format!(" and {day} between {from} and {to}"));
    }
}

/// A list of texts as JSON.
pub(crate) fn json_texts(texts: &[String]) -> String {
    serde_json::to_string(texts).expect("texts are JSON")
}

/// Buckets as JSON: `[[from, to], …]`.
pub(crate) fn json_edges(edges: &[UnixMs]) -> String {
    let pairs: Vec<[i64; 2]> = edges.windows(2).map(|edges| [edges[0].0, edges[1].0]).collect();
    serde_json::to_string(&pairs).expect("numbers are JSON")
}
