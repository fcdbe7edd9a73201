//! Time buckets: a range divided into local hours, days, weeks or months, with the name of each.

use jiff::civil::Date;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Span, Unit, Zoned, ZonedRound};
use tallymark_protocol::{HOUR_MS, UnixMs};

use crate::problem::{Kind, Problem};
use crate::range::{Range, local, start_of};

/// Buckets of one query: more than a year of hours, and as many rows as a page holds.
pub(crate) const BUCKETS_MAX: usize = 10_000;
/// Longest range that is divided into days unless the query says otherwise.
const DAYS_BY_DEFAULT_MAX: i32 = 92;

/// How wide the buckets are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interval {
    Hour,
    Day,
    /// From Monday.
    Week,
    Month,
}

/// Buckets, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Buckets {
    /// One more than there are buckets.
    pub(crate) edges: Vec<UnixMs>,
    /// The name of each bucket; all differ.
    pub(crate) labels: Vec<String>,
}

impl Interval {
    pub(crate) const ALL: [Self; 4] = [Self::Hour, Self::Day, Self::Week, Self::Month];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Hour => "time:hour",
            Self::Day => "time:day",
            Self::Week => "time:week",
            Self::Month => "time:month",
        }
    }

    /// What suits the range: hours of a day, days of a quarter, months of more.
    pub(crate) fn of(range: Range, zone: &TimeZone) -> Result<Self, Problem> {
        let first = local(zone, range.from)?.date();
        let last = local(zone, UnixMs(range.to.0 - 1))?.date();
        let days = last.since(first).map_or(i32::MAX, |span| span.get_days()) + 1;
        Ok(match days {
            ..=1 => Self::Hour,
            2..=DAYS_BY_DEFAULT_MAX => Self::Day,
            _ => Self::Month,
        })
    }
}

impl Buckets {
    /// Divides `range`. Its first and last bucket may be cut; they are named like whole ones.
    pub(crate) fn divide(range: Range, zone: &TimeZone, interval: Interval) -> Result<Self, Problem> {
        let mut buckets = Self { edges: vec![range.from], labels: Vec::new() };
        let mut at = range.from;
        while at < range.to {
            if buckets.labels.len() >= BUCKETS_MAX {
                let detail = format!("the range has more than {BUCKETS_MAX} buckets of {}", interval.name());
                let hint = "ask for a wider interval (time:hour < time:day < time:week < time:month) or a shorter range";
                return Err(Problem::new(Kind::TooManyBuckets, detail).hint(hint));
            }
            let start = local(zone, at)?;
            buckets.labels.push(label(&start, interval));
            at = next(&start, interval)?.min(range.to);
            buckets.edges.push(at);
        }
        Ok(buckets)
    }
}

/// The first instant of the bucket after the one that `at` lies in.
fn next(at: &Zoned, interval: Interval) -> Result<UnixMs, Problem> {
    let now = UnixMs(at.timestamp().as_millisecond());
    if interval == Interval::Hour {
        let time = at.time();
        let into_minutes_ms = (i64::from(time.minute()) * 60 + i64::from(time.second())) * 1_000;
        return Ok(UnixMs(now.0 + HOUR_MS - into_minutes_ms - i64::from(time.millisecond())));
    }
    let step = match interval {
        Interval::Hour | Interval::Day => Span::new().days(1),
        Interval::Week => Span::new().weeks(1),
        Interval::Month => Span::new().months(1),
    };
    let mut day = period_start(at.date(), interval).saturating_add(step);
    let mut next = start_of(at.time_zone(), day)?;
    // Zones have left out whole days, when they changed sides of the date line.
    while next <= now && day < Date::MAX {
        day = day.saturating_add(Span::new().days(1));
        next = start_of(at.time_zone(), day)?;
    }
    Ok(next)
}

/// First day of the day, week or month.
fn period_start(day: Date, interval: Interval) -> Date {
    match interval {
        Interval::Hour | Interval::Day => day,
        Interval::Week => {
            let since_monday = day.weekday().to_monday_zero_offset();
            day.saturating_sub(Span::new().days(since_monday))
        }
        Interval::Month => day.first_of_month(),
    }
}

/// `2026-11-20`, or `2026-11-20 13:00:00`; an hour of a time that the clocks show twice has its offset behind it.
fn label(start: &Zoned, interval: Interval) -> String {
    if interval != Interval::Hour {
        return period_start(start.date(), interval).to_string();
    }
    let hour = start.time().hour();
    let shown = start.date().at(hour, 0, 0, 0);
    let twice = |time| {
        let offset = start.time_zone().to_ambiguous_timestamp(time).offset();
        matches!(offset, AmbiguousOffset::Fold { .. })
    };
    let offset = if twice(shown) || twice(start.datetime()) {
        start.strftime("%:z").to_string()
    } else {
        String::new()
    };
    format!("{} {hour:02}:00:00{offset}", start.date())
}

/// An instant as the answer shows it: local time and offset.
pub(crate) fn iso(zone: &TimeZone, at: UnixMs) -> Result<String, Problem> {
    let at = local(zone, at)?;
    let whole = at.round(ZonedRound::new().smallest(Unit::Second)).is_ok_and(|rounded| rounded == at);
    let form = if whole { "%Y-%m-%dT%H:%M:%S%:z" } else { "%Y-%m-%dT%H:%M:%S%.3f%:z" };
    Ok(at.strftime(form).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    fn ms(text: &str) -> UnixMs {
        UnixMs(text.parse::<Timestamp>().unwrap().as_millisecond())
    }

    fn divide(zone: &str, from: &str, to: &str, interval: Interval) -> Buckets {
        let range = Range { from: ms(from), to: ms(to) };
        let buckets = Buckets::divide(range, &TimeZone::get(zone).unwrap(), interval).unwrap();
        let mut labels = buckets.labels.clone();
        labels.dedup();
        assert_eq!(labels, buckets.labels, "labels repeat");
        assert!(buckets.edges.is_sorted_by(|a, b| a < b));
        assert_eq!(buckets.edges.len(), buckets.labels.len() + 1);
        assert_eq!((buckets.edges[0], *buckets.edges.last().unwrap()), (range.from, range.to));
        buckets
    }

    #[test]
    fn a_spring_day_has_23_hours_and_an_autumn_day_25() {
        let spring = divide("Europe/Berlin", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z", Interval::Hour);
        assert_eq!(spring.labels.len(), 23);
        assert_eq!(spring.labels[1..3], ["2026-03-29 01:00:00", "2026-03-29 03:00:00"]);
        let autumn = divide("Europe/Berlin", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z", Interval::Hour);
        assert_eq!(autumn.labels.len(), 25);
        let twice = [
            "2026-10-25 01:00:00",
            "2026-10-25 02:00:00+02:00",
            "2026-10-25 02:00:00+01:00",
            "2026-10-25 03:00:00",
        ];
        assert_eq!(autumn.labels[1..5], twice);
    }

    #[test]
    fn half_hour_zones_and_half_hour_changes_keep_local_hours() {
        let kolkata = divide("Asia/Kolkata", "2026-11-19T18:30:00Z", "2026-11-19T20:30:00Z", Interval::Hour);
        assert_eq!(kolkata.labels, ["2026-11-20 00:00:00", "2026-11-20 01:00:00"]);
        assert_eq!(kolkata.edges[1], ms("2026-11-19T19:30:00Z"));
        // On Lord Howe Island the clocks change by half an hour.
        let back =
            divide("Australia/Lord_Howe", "2026-04-04T13:00:00Z", "2026-04-05T13:30:00Z", Interval::Hour);
        assert_eq!(back.labels.len(), 25);
        divide("Australia/Lord_Howe", "2026-10-03T13:30:00Z", "2026-10-04T13:00:00Z", Interval::Hour);
    }

    #[test]
    fn days_weeks_and_months_begin_where_they_do() {
        let days = divide("Europe/Berlin", "2026-03-27T23:00:00Z", "2026-03-30T22:00:00Z", Interval::Day);
        assert_eq!(days.labels, ["2026-03-28", "2026-03-29", "2026-03-30"]);
        assert_eq!(days.edges[2].0 - days.edges[1].0, 23 * HOUR_MS);
        // A range that begins on a Wednesday and ends on a Tuesday.
        let weeks = divide("UTC", "2026-11-18T00:00:00Z", "2026-12-02T00:00:00Z", Interval::Week);
        assert_eq!(weeks.labels, ["2026-11-16", "2026-11-23", "2026-11-30"]);
        let months = divide("UTC", "2025-12-31T00:00:00Z", "2026-03-01T00:00:00Z", Interval::Month);
        assert_eq!(months.labels, ["2025-12-01", "2026-01-01", "2026-02-01"]);
        // Samoa had no 30th of December 2011.
        let samoa = divide("Pacific/Apia", "2011-12-29T10:00:00Z", "2011-12-31T10:00:00Z", Interval::Day);
        assert_eq!(samoa.labels, ["2011-12-29", "2011-12-31"]);
    }

    #[test]
    fn an_hour_that_the_range_cuts_is_named_like_the_whole() {
        let cut = divide("UTC", "2026-11-20T10:20:30.5Z", "2026-11-20T12:10:00Z", Interval::Hour);
        assert_eq!(cut.labels, ["2026-11-20 10:00:00", "2026-11-20 11:00:00", "2026-11-20 12:00:00"]);
        assert_eq!(cut.edges[1], ms("2026-11-20T11:00:00Z"));
    }

    #[test]
    fn too_many_buckets_are_refused_with_advice() {
        let range = Range { from: ms("2020-01-01T00:00:00Z"), to: ms("2026-01-01T00:00:00Z") };
        let problem = Buckets::divide(range, &TimeZone::UTC, Interval::Hour).unwrap_err().text();
        assert!(problem.contains("wider interval"), "{problem}");
    }

    #[test]
    fn the_interval_follows_the_range() {
        let of = |from: &str, to: &str| {
            let zone = TimeZone::get("Europe/Berlin").unwrap();
            Interval::of(Range { from: ms(from), to: ms(to) }, &zone).unwrap()
        };
        assert_eq!(of("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"), Interval::Hour);
        assert_eq!(of("2026-10-24T22:00:00Z", "2026-10-26T23:00:00Z"), Interval::Day);
        assert_eq!(of("2026-01-01T00:00:00Z", "2026-07-01T00:00:00Z"), Interval::Month);
    }
}
