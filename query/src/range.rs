//! Date ranges: which instants a query is about.

use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, Zoned};
use serde_json::Value;
use tallymark_protocol::UnixMs;

use crate::problem::{Kind, Problem};

/// Days of a relative range: ten years.
const DAYS_MAX: i32 = 3_660;
/// Months of a relative range: ten years.
const MONTHS_MAX: i32 = 120;

const HINT: &str = "write \"day\", \"7d\", \"30d\", \"month\", \"6mo\", \"12mo\", \"year\", \"all\", \
     two days like [\"2026-01-01\", \"2026-01-31\"] (both included), \
     or two instants like [\"2026-01-01T00:00:00+01:00\", \"2026-01-01T12:00:00+01:00\"] (the second excluded)";

/// A range as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DateRange {
    /// So many days, today the last. One: today as a whole.
    Days(i32),
    /// So many calendar months, this one the last, to the end of today.
    Months(i32),
    /// This year, to the end of today.
    Year,
    /// From the first day with data to the end of today.
    All,
    /// From the first day to the last, both included.
    Dates(Date, Date),
    /// From the first instant to before the second.
    Instants(UnixMs, UnixMs),
}

/// `[from, to)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) from: UnixMs,
    pub(crate) to: UnixMs,
}

impl DateRange {
    pub(crate) fn parse(value: &Value) -> Result<Self, Problem> {
        let parsed = match value {
            Value::String(name) => parse_name(name),
            Value::Array(edges) => match &edges[..] {
                [Value::String(first), Value::String(last)] => parse_edges(first, last)?,
                _ => None,
            },
            _ => None,
        };
        parsed.ok_or_else(|| Problem::new(Kind::DateRange, format!("{value} is no date range")).hint(HINT))
    }

    /// The instants of the range, in `zone` and at `now`. `first_day` is when the project's data begins.
    pub(crate) fn resolve(
        &self,
        zone: &TimeZone,
        now: UnixMs,
        first_day: Option<UnixMs>,
    ) -> Result<Range, Problem> {
        if let Self::Instants(from, to) = *self {
            return Ok(Range { from, to });
        }
        let today = local(zone, now)?.date();
        let (first, last) = match *self {
            Self::Days(days) => (today.saturating_sub(Span::new().days(days - 1)), today),
            Self::Months(months) => {
                (today.first_of_month().saturating_sub(Span::new().months(months - 1)), today)
            }
            Self::Year => (today.first_of_year(), today),
            Self::All => match first_day {
                Some(first) => (local(zone, first)?.date().min(today), today),
                None => (today, today),
            },
            Self::Dates(first, last) => (first, last),
            Self::Instants(..) => unreachable!("answered above"),
        };
        Ok(Range {
            from: start_of(zone, first)?,
            to: start_of(zone, last.saturating_add(Span::new().days(1)))?,
        })
    }
}

fn parse_name(name: &str) -> Option<DateRange> {
    match name {
        "day" => return Some(DateRange::Days(1)),
        "month" => return Some(DateRange::Months(1)),
        "year" => return Some(DateRange::Year),
        "all" => return Some(DateRange::All),
        _ => {}
    }
    let number = |digits: &str, max: i32| {
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse().ok().filter(|number| plain && (1..=max).contains(number))
    };
    if let Some(digits) = name.strip_suffix("mo") {
        number(digits, MONTHS_MAX).map(DateRange::Months)
    } else {
        number(name.strip_suffix('d')?, DAYS_MAX).map(DateRange::Days)
    }
}

fn parse_edges(first: &str, last: &str) -> Result<Option<DateRange>, Problem> {
    let is_date = |text: &str| text.len() == "2026-01-01".len();
    if is_date(first) && is_date(last) {
        let (Ok(first), Ok(last)) = (first.parse(), last.parse()) else { return Ok(None) };
        if first > last {
            return Err(backwards());
        }
        checked_years(first, last)?;
        return Ok(Some(DateRange::Dates(first, last)));
    }
    let instant = |text: &str| text.parse::<Timestamp>().ok().map(|at| UnixMs(at.as_millisecond()));
    match (instant(first), instant(last)) {
        (Some(from), Some(to)) if from < to => {
            let day = |at| local(&TimeZone::UTC, at).map(|at| at.date());
            checked_years(day(from)?, day(to)?)?;
            Ok(Some(DateRange::Instants(from, to)))
        }
        (Some(_), Some(_)) => Err(backwards()),
        _ => Ok(None),
    }
}

/// Days whose neighbours every zone and every database has.
fn checked_years(first: Date, last: Date) -> Result<(), Problem> {
    if first < date(1970, 1, 1) || last > date(9998, 12, 31) {
        return Err(Problem::new(Kind::DateRange, "dates lie between 1970-01-01 and 9998-12-31"));
    }
    Ok(())
}

fn backwards() -> Problem {
    Problem::new(Kind::DateRange, "the range ends before it begins").hint("write the earlier one first")
}

/// The local time of an instant.
pub(crate) fn local(zone: &TimeZone, at: UnixMs) -> Result<Zoned, Problem> {
    let at = Timestamp::from_millisecond(at.0);
    at.map(|at| at.to_zoned(zone.clone())).map_err(|_| out_of_calendar())
}

/// The first instant of a local day.
pub(crate) fn start_of(zone: &TimeZone, day: Date) -> Result<UnixMs, Problem> {
    let midnight = day.to_zoned(zone.clone()).map_err(|_| out_of_calendar())?;
    Ok(UnixMs(midnight.timestamp().as_millisecond()))
}

fn out_of_calendar() -> Problem {
    Problem::new(Kind::DateRange, "the range reaches beyond the years that calendars have").hint(HINT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ms(text: &str) -> UnixMs {
        UnixMs(text.parse::<Timestamp>().unwrap().as_millisecond())
    }

    fn resolved(range: Value, zone: &str, now: &str) -> (String, String) {
        let zone = TimeZone::get(zone).unwrap();
        let range = DateRange::parse(&range).map_err(|problem| problem.text()).unwrap();
        let range = range.resolve(&zone, ms(now), Some(ms("2024-02-03T12:00:00Z"))).unwrap();
        let text = |at: UnixMs| Timestamp::from_millisecond(at.0).unwrap().to_string();
        (text(range.from), text(range.to))
    }

    fn pair(from: &str, to: &str) -> (String, String) {
        (from.to_owned(), to.to_owned())
    }

    #[test]
    fn relative_ranges_end_with_today_in_the_zone() {
        // 23:30 UTC is the next day in Berlin.
        let now = "2026-03-30T23:30:00Z";
        let berlin = |range: &str| resolved(json!(range), "Europe/Berlin", now);
        assert_eq!(berlin("day"), pair("2026-03-30T22:00:00Z", "2026-03-31T22:00:00Z"));
        // Across the change of the clocks.
        assert_eq!(berlin("7d"), pair("2026-03-24T23:00:00Z", "2026-03-31T22:00:00Z"));
        assert_eq!(berlin("month"), pair("2026-02-28T23:00:00Z", "2026-03-31T22:00:00Z"));
        assert_eq!(berlin("6mo"), pair("2025-09-30T22:00:00Z", "2026-03-31T22:00:00Z"));
        assert_eq!(berlin("year"), pair("2025-12-31T23:00:00Z", "2026-03-31T22:00:00Z"));
        assert_eq!(berlin("all"), pair("2024-02-02T23:00:00Z", "2026-03-31T22:00:00Z"));
        let kolkata = resolved(json!("28d"), "Asia/Kolkata", now);
        assert_eq!(kolkata, pair("2026-03-03T18:30:00Z", "2026-03-31T18:30:00Z"));
    }

    #[test]
    fn a_day_of_a_clock_change_has_23_or_25_hours() {
        let day = |day: &str| resolved(json!([day, day]), "Europe/Berlin", "2026-11-20T00:00:00Z");
        assert_eq!(day("2026-03-29"), pair("2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"));
        assert_eq!(day("2026-10-25"), pair("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"));
        let beirut = resolved(json!(["2026-03-29", "2026-03-29"]), "Asia/Beirut", "2026-11-20T00:00:00Z");
        assert_eq!(beirut, pair("2026-03-28T22:00:00Z", "2026-03-29T21:00:00Z"));
    }

    #[test]
    fn months_count_from_the_first_of_the_month() {
        let march = resolved(json!("2mo"), "UTC", "2024-03-31T12:00:00Z");
        assert_eq!(march, pair("2024-02-01T00:00:00Z", "2024-04-01T00:00:00Z"));
    }

    #[test]
    fn instants_are_taken_as_they_are() {
        let range = json!(["2026-01-01T00:00:00+05:30", "2026-01-01T00:00:00.5Z"]);
        let want = pair("2025-12-31T18:30:00Z", "2026-01-01T00:00:00.5Z");
        assert_eq!(resolved(range, "UTC", "2026-11-20T00:00:00Z"), want);
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for range in [
            json!("week"),
            json!("0d"),
            json!("+7d"),
            json!("99999d"),
            json!("mo"),
            json!(7),
            json!(["2026-01-01"]),
            json!(["2026-02-30", "2026-03-01"]),
            json!(["2026-02-02", "2026-02-01"]),
            json!(["2026-01-01T00:00:00", "2026-01-02T00:00:00"]),
            json!(["2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"]),
            json!(["1969-01-01", "1970-01-01"]),
            json!(["-009999-01-02T00:00:00Z", "2026-01-01T00:00:00Z"]),
            json!(["2026-01-01T00:00:00Z", "9999-12-30T00:00:00Z"]),
        ] {
            assert!(DateRange::parse(&range).is_err(), "{range}");
        }
    }
}
