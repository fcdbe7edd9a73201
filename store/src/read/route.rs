//! Which plans the rollups can answer, and from which of their rows.

use tallymark_protocol::{HOUR_MS, UnixMs};

use super::plan::{Measure, Plan, Route};
use crate::compact::Grain;
use crate::model::{Dimension, Scope, ZoneBuckets};

/// The longest day that any zone has had in the years that are counted.
const DAY_HOURS_MAX: i64 = 48;

/// A stretch of one of the plan's buckets, and the width of the rollup rows that cover it exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// The plan's bucket.
    pub(crate) bucket: usize,
    /// Width of the rows.
    pub(crate) grain: Grain,
    /// First row's bucket.
    pub(crate) from: UnixMs,
    /// Rows' buckets are before this.
    pub(crate) to: UnixMs,
}

/// The dimension whose rollups answer the plan; `None` where only raw rows can.
pub(crate) fn dimension(plan: &Plan) -> Option<Dimension> {
    if plan.route == Route::Raw || plan.dimensions.len() > 1 {
        return None;
    }
    let dimension = plan.mentioned().next().unwrap_or(Dimension::Total);
    let alone = plan.mentioned().all(|other| other == dimension);
    let fed = plan.measures.iter().all(|measure| feeds(dimension, *measure));
    (alone && fed).then_some(dimension)
}

/// Whether the dimension's rollups hold the measure.
fn feeds(dimension: Dimension, measure: Measure) -> bool {
    match measure {
        Measure::Visitors => dimension.counts_visitors(),
        Measure::Pageviews | Measure::Events => true,
        Measure::Sessions | Measure::Bounces | Measure::Duration => dimension.scope() != Scope::Event,
    }
}

/// Divides the plan's buckets, in order, into whole days of the project and the hours beside them; `None`
/// where a bucket begins or ends within an hour of the project.
pub(crate) fn segments(plan: &Plan, zone: &mut ZoneBuckets) -> Option<Vec<Segment>> {
    if plan.edges.iter().any(|edge| zone.of(*edge).hour != *edge) {
        return None;
    }
    let mut segments = Vec::with_capacity(plan.edges.len());
    for (bucket, edges) in plan.edges.windows(2).enumerate() {
        let (from, to) = (edges[0], edges[1]);
        let (days_from, days_to) = (day_at_or_after(zone, from), zone.of(to).day);
        let parts = if days_from < days_to {
            [(Grain::Hour, from, days_from), (Grain::Day, days_from, days_to), (Grain::Hour, days_to, to)]
        } else {
            [(Grain::Hour, from, to), (Grain::Day, to, to), (Grain::Hour, to, to)]
        };
        let parts = parts.into_iter().filter(|(_, from, to)| from < to);
        segments.extend(parts.map(|(grain, from, to)| Segment { bucket, grain, from, to }));
    }
    Some(segments)
}

fn day_at_or_after(zone: &mut ZoneBuckets, at: UnixMs) -> UnixMs {
    let day = zone.of(at).day;
    if day == at {
        return day;
    }
    // A day is never shorter than 22 hours, so that no day is stepped over.
    (22..=DAY_HOURS_MAX)
        .map(|hours| zone.of(UnixMs(day.0 + hours * HOUR_MS)).day)
        .find(|next| *next > day)
        .unwrap_or(UnixMs(i64::MAX))
}

/// Neighbouring segments of one width, as stretches to read at once.
pub(crate) fn runs(segments: &[Segment]) -> Vec<(Grain, UnixMs, UnixMs)> {
    let mut runs: Vec<(Grain, UnixMs, UnixMs)> = Vec::new();
    for segment in segments {
        match runs.last_mut() {
            Some((grain, _, to)) if *grain == segment.grain && *to == segment.from => *to = segment.to,
            _ => runs.push((segment.grain, segment.from, segment.to)),
        }
    }
    runs
}

/// The plan's bucket that a rollup row belongs to; `None` where the row is not one of the segments'.
pub(crate) fn bucket_of(segments: &[Segment], grain: Grain, at: UnixMs) -> Option<usize> {
    let next = segments.partition_point(|segment| segment.from <= at);
    let segment = segments.get(next.checked_sub(1)?)?;
    (segment.grain == grain && at < segment.to).then_some(segment.bucket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::parse_zone;
    use crate::read::plan::{Filter, Operator};

    fn ms(text: &str) -> UnixMs {
        UnixMs(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    fn plan(edges: &[&str]) -> Plan {
        Plan {
            project_id: 1,
            edges: edges.iter().map(|edge| ms(edge)).collect(),
            dimensions: Vec::new(),
            filters: Vec::new(),
            measures: vec![Measure::Visitors],
            route: Route::Best,
        }
    }

    fn grains(zone: &str, edges: &[&str]) -> Option<Vec<(usize, Grain, i64)>> {
        let mut zone = ZoneBuckets::new(parse_zone(zone).unwrap());
        let hours = |segment: Segment| (segment.to.0 - segment.from.0) / HOUR_MS;
        let segments = segments(&plan(edges), &mut zone)?;
        Some(segments.into_iter().map(|segment| (segment.bucket, segment.grain, hours(segment))).collect())
    }

    #[test]
    fn whole_days_come_from_days_and_the_rest_from_hours() {
        let parts = grains("UTC", &["2026-03-01T22:00:00Z", "2026-03-04T03:00:00Z"]);
        assert_eq!(parts, Some(vec![(0, Grain::Hour, 2), (0, Grain::Day, 48), (0, Grain::Hour, 3)]));
        let parts = grains("UTC", &["2026-03-01T22:00:00Z", "2026-03-02T03:00:00Z"]);
        assert_eq!(parts, Some(vec![(0, Grain::Hour, 5)]));
    }

    #[test]
    fn the_day_of_a_clock_change_is_a_whole_day() {
        let edges = ["2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z", "2026-03-30T22:00:00Z"];
        assert_eq!(grains("Europe/Berlin", &edges), Some(vec![(0, Grain::Day, 23), (1, Grain::Day, 24)]));
    }

    #[test]
    fn another_zones_days_come_from_hours_where_the_offsets_agree() {
        let london = ["2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z"];
        assert_eq!(grains("Europe/Berlin", &london), Some(vec![(0, Grain::Hour, 24)]));
        assert_eq!(grains("Asia/Kolkata", &london), None);
    }

    #[test]
    fn runs_join_neighbours_and_a_row_finds_its_bucket() {
        let mut zone = ZoneBuckets::new(parse_zone("UTC").unwrap());
        let edges = ["2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z", "2026-03-03T06:00:00Z"];
        let segments = segments(&plan(&edges), &mut zone).unwrap();
        assert_eq!(
            runs(&segments),
            [
                (Grain::Day, ms("2026-03-01T00:00:00Z"), ms("2026-03-03T00:00:00Z")),
                (Grain::Hour, ms("2026-03-03T00:00:00Z"), ms("2026-03-03T06:00:00Z"))
            ]
        );
        assert_eq!(bucket_of(&segments, Grain::Day, ms("2026-03-02T00:00:00Z")), Some(1));
        assert_eq!(bucket_of(&segments, Grain::Hour, ms("2026-03-03T05:00:00Z")), Some(1));
        assert_eq!(bucket_of(&segments, Grain::Hour, ms("2026-03-02T05:00:00Z")), None);
        assert_eq!(bucket_of(&segments, Grain::Hour, ms("2026-03-03T06:00:00Z")), None);
        assert_eq!(bucket_of(&segments, Grain::Day, ms("2026-02-28T00:00:00Z")), None);
    }

    #[test]
    fn only_what_one_dimension_holds_comes_from_rollups() {
        let base = plan(&["2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z"]);
        let filter = |dimension| Filter { operator: Operator::Is, dimension, values: vec!["x".to_owned()] };
        assert_eq!(dimension(&base), Some(Dimension::Total));
        let by_page = Plan { dimensions: vec![Dimension::Page], ..base.clone() };
        assert_eq!(dimension(&by_page), Some(Dimension::Page));
        assert_eq!(dimension(&Plan { measures: vec![Measure::Sessions], ..by_page.clone() }), None);
        assert_eq!(dimension(&Plan { filters: vec![filter(Dimension::Source)], ..by_page.clone() }), None);
        let same = Plan { filters: vec![filter(Dimension::Page)], ..by_page };
        assert_eq!(dimension(&same), Some(Dimension::Page));
        assert_eq!(dimension(&Plan { dimensions: vec![Dimension::ExitPage], ..base.clone() }), None);
        assert_eq!(dimension(&Plan { route: Route::Raw, ..base }), None);
    }
}
