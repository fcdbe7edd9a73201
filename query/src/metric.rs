//! Metrics: what each is made of.

use serde::Serialize;
use tallymark_store::{Group, Measure};

use crate::nearest::known_names;
use crate::problem::{Kind, Problem};

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Metric {
    Visitors,
    Sessions,
    Pageviews,
    Events,
    ViewsPerSession,
    BounceRate,
    SessionDuration,
}

/// A metric's value.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum Number {
    Count(i64),
    /// Rounded to two digits.
    Ratio(f64),
}

impl Metric {
    pub(crate) const ALL: [Self; 7] = [
        Self::Visitors,
        Self::Sessions,
        Self::Pageviews,
        Self::Events,
        Self::ViewsPerSession,
        Self::BounceRate,
        Self::SessionDuration,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Visitors => "visitors",
            Self::Sessions => "sessions",
            Self::Pageviews => "pageviews",
            Self::Events => "events",
            Self::ViewsPerSession => "views_per_session",
            Self::BounceRate => "bounce_rate",
            Self::SessionDuration => "session_duration",
        }
    }

    pub(crate) fn parse(name: &str) -> Result<Self, Problem> {
        Self::ALL.into_iter().find(|metric| metric.name() == name).ok_or_else(|| {
            Problem::new(Kind::Metric, format!("there is no metric {name:?}"))
                .hint(known_names(name, Self::ALL.into_iter().map(Self::name)))
        })
    }

    /// What has to be read for it.
    pub(crate) const fn measures(self) -> &'static [Measure] {
        match self {
            Self::Visitors => &[Measure::Visitors],
            Self::Sessions => &[Measure::Sessions],
            Self::Pageviews => &[Measure::Pageviews],
            Self::Events => &[Measure::Events],
            Self::ViewsPerSession => &[Measure::Pageviews, Measure::Sessions],
            Self::BounceRate => &[Measure::Bounces, Measure::Sessions],
            Self::SessionDuration => &[Measure::Duration, Measure::Sessions],
        }
    }

    /// Its value in one group. Per session of none is 0.
    pub(crate) fn of(self, group: &Group) -> Number {
        let counts = &group.counts;
        match self {
            Self::Visitors => Number::Count(i64::try_from(group.visitors).unwrap_or(i64::MAX)),
            Self::Sessions => Number::Count(counts.sessions),
            Self::Pageviews => Number::Count(counts.pageviews),
            Self::Events => Number::Count(counts.events),
            Self::ViewsPerSession => ratio(counts.pageviews, counts.sessions, 1.0),
            Self::BounceRate => ratio(counts.bounces, counts.sessions, 100.0),
            Self::SessionDuration => ratio(counts.duration_ms, counts.sessions, 0.001),
        }
    }
}

impl Number {
    #[expect(clippy::cast_precision_loss, reason = "only compared, and counts stay far below 2^53")]
    pub(crate) fn as_f64(self) -> f64 {
        match self {
            Self::Count(count) => count as f64,
            Self::Ratio(ratio) => ratio,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a ratio, rounded to two digits")]
fn ratio(sum: i64, of: i64, unit: f64) -> Number {
    if of <= 0 {
        return Number::Ratio(0.0);
    }
    let exact = sum as f64 / of as f64 * unit;
    Number::Ratio((exact * 100.0).round() / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_per_session_and_rounded() {
        let mut group = Group { bucket: 0, values: Vec::new(), visitors: 2, counts: Default::default() };
        assert_eq!(Metric::BounceRate.of(&group), Number::Ratio(0.0));
        group.counts.sessions = 3;
        group.counts.bounces = 2;
        group.counts.pageviews = 7;
        group.counts.duration_ms = 10_000;
        assert_eq!(Metric::BounceRate.of(&group), Number::Ratio(66.67));
        assert_eq!(Metric::ViewsPerSession.of(&group), Number::Ratio(2.33));
        assert_eq!(Metric::SessionDuration.of(&group), Number::Ratio(3.33));
    }

    #[test]
    fn an_unknown_metric_is_answered_with_the_known_ones() {
        let problem = Metric::parse("pageview").unwrap_err().text();
        assert!(problem.contains("did you mean pageviews?"), "{problem}");
        assert!(problem.contains("session_duration"), "{problem}");
    }
}
