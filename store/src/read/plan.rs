//! What to read: typed, checked, and without a word of SQL. The query crate makes plans; only this module's
//! neighbours turn them into statements.

use tallymark_protocol::UnixMs;

use crate::StoreError;
use crate::model::{Counts, Dimension};

/// One question to a store.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Whose.
    pub project_id: i32,
    /// Edges of the time buckets, ascending: bucket `i` is `[edges[i], edges[i + 1])`. At least two.
    pub edges: Vec<UnixMs>,
    /// What to break down by, beside the buckets. None of them is [`Dimension::Total`].
    pub dimensions: Vec<Dimension>,
    /// Conditions that all have to hold.
    pub filters: Vec<Filter>,
    /// What the answer's groups have to hold; the rest may be left 0.
    pub measures: Vec<Measure>,
    /// From where.
    pub route: Route,
}

/// A condition on one dimension. A row without a value in the dimension meets none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// How the value is compared.
    pub operator: Operator,
    /// Of what.
    pub dimension: Dimension,
    /// With what: with any of them, or with none.
    pub values: Vec<String>,
}

/// How a filter compares. Upper and lower case differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// Equal to one of the values.
    Is,
    /// Equal to none of them.
    IsNot,
    /// One of the values is a part of it.
    Contains,
    /// None of them is.
    ContainsNot,
}

/// What can be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Measure {
    /// Different visitors.
    Visitors,
    /// `$pageview` events.
    Pageviews,
    /// Events of every name.
    Events,
    /// Sessions.
    Sessions,
    /// Sessions that were bounces.
    Bounces,
    /// Durations of the sessions, together.
    Duration,
}

/// From where a plan's answer may be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// From the rollups if they hold it, else from raw rows.
    Best,
    /// From raw rows, so that tests can compare.
    Raw,
}

/// From where an answer was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Hourly and daily sums; more than 256 visitors are estimated.
    Rollups,
    /// Events and sessions, one by one.
    Raw,
}

/// What a store answers, in no order.
#[derive(Clone, Debug)]
pub struct Reading {
    /// Groups in which something was counted; the others are 0.
    pub groups: Vec<Group>,
    /// From where they are.
    pub source: Source,
    /// First UTC day, since 1970-01-01, of which the project still has raw events; `None`: it has all.
    pub horizon_day: Option<i32>,
}

/// What was counted in one bucket for one combination of values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Which bucket.
    pub bucket: usize,
    /// One value for each of the plan's dimensions.
    pub values: Vec<String>,
    /// Different visitors.
    pub visitors: u64,
    /// The rest.
    pub counts: Counts,
}

/// Why a store did not answer a plan.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// More groups than fit into an answer: fewer buckets, fewer dimensions, or a filter.
    #[error("the answer has more than {0} groups")]
    TooManyGroups(usize),
    /// It took longer than a reader may take.
    #[error("reading took longer than {0} seconds")]
    TooSlow(u64),
    /// The store itself.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Which rows a plan is about: this decides what each measure means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Basis {
    /// No dimension, no filter: events where they happened, sessions where they began.
    Total,
    /// Some `event:` dimension: events where they happened, and the sessions that these are of.
    Events,
    /// Only `visit:` dimensions: sessions where they began, with all that belongs to them.
    Visits,
}

impl Plan {
    pub(crate) fn wants(&self, measure: Measure) -> bool {
        self.measures.contains(&measure)
    }

    pub(crate) fn from(&self) -> UnixMs {
        self.edges.first().copied().unwrap_or_default()
    }

    pub(crate) fn to(&self) -> UnixMs {
        self.edges.last().copied().unwrap_or_default()
    }

    /// Whether time is divided.
    pub(crate) fn is_bucketed(&self) -> bool {
        self.edges.len() > 2
    }

    /// Every dimension that the plan mentions.
    pub(crate) fn mentioned(&self) -> impl Iterator<Item = Dimension> {
        self.dimensions.iter().copied().chain(self.filters.iter().map(|filter| filter.dimension))
    }

    pub(crate) fn basis(&self) -> Basis {
        use crate::model::Scope;
        if self.mentioned().any(|dimension| dimension.scope() == Scope::Event) {
            Basis::Events
        } else if self.mentioned().next().is_some() {
            Basis::Visits
        } else {
            Basis::Total
        }
    }
}

impl Filter {
    /// Whether `value` meets the condition.
    pub(crate) fn admits(&self, value: &str) -> bool {
        let equal = || self.values.iter().any(|wanted| wanted == value);
        let part = || self.values.iter().any(|wanted| value.contains(wanted.as_str()));
        match self.operator {
            Operator::Is => equal(),
            Operator::IsNot => !equal(),
            Operator::Contains => part(),
            Operator::ContainsNot => !part(),
        }
    }
}
