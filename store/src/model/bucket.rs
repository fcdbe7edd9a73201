//! Buckets: the start of an event's local hour and day, as instants.

use std::collections::HashMap;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use tallymark_protocol::{HOUR_MS, UnixMs};

/// All zones' offsets since 2012, and the instants at which they change, are multiples of this: within one
/// such piece of time the buckets are the same.
const PIECE_MS: i64 = 15 * 60_000;

/// The buckets of one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Buckets {
    /// Start of the local hour.
    pub hour: UnixMs,
    /// Start of the local day.
    pub day: UnixMs,
}

/// Finds the zone of an IANA name (`Europe/Berlin`).
#[must_use]
pub fn parse_zone(name: &str) -> Option<TimeZone> {
    TimeZone::get(name).ok()
}

/// Computes buckets in one zone, remembering what it has computed.
#[derive(Debug)]
pub struct ZoneBuckets {
    zone: TimeZone,
    known: HashMap<i64, Buckets>,
}

impl ZoneBuckets {
    /// Buckets in `zone`.
    #[must_use]
    pub fn new(zone: TimeZone) -> Self {
        Self { zone, known: HashMap::new() }
    }

    /// The buckets that hold `at`.
    pub fn of(&mut self, at: UnixMs) -> Buckets {
        let piece = at.0.div_euclid(PIECE_MS);
        if let Some(buckets) = self.known.get(&piece) {
            return *buckets;
        }
        let buckets = compute(&self.zone, UnixMs(piece * PIECE_MS));
        self.known.insert(piece, buckets);
        buckets
    }
}

fn compute(zone: &TimeZone, at: UnixMs) -> Buckets {
    let utc = Buckets { hour: at.utc_hour(), day: UnixMs(i64::from(at.utc_day()) * 24 * HOUR_MS) };
    let Ok(timestamp) = Timestamp::from_millisecond(at.0) else { return utc };
    let local = timestamp.to_zoned(zone.clone());
    let into_hour_ms = (i64::from(local.minute()) * 60 + i64::from(local.second())) * 1_000;
    let day = local.start_of_day().map_or(utc.day, |start| UnixMs(start.timestamp().as_millisecond()));
    let hour = UnixMs(at.0 - into_hour_ms);
    // Where clocks change by half an hour, the hour that is shown began before the change, by another clock: what
    // follows the change is a bucket of its own, else it would begin within another.
    let cut = Timestamp::from_millisecond(hour.0).is_ok_and(|hour| zone.to_offset(hour) != local.offset());
    let change =
        zone.preceding(timestamp.saturating_add(SignedDuration::from_millis(1)).unwrap_or(timestamp)).next();
    match change {
        Some(change) if cut => Buckets { hour: UnixMs(change.timestamp().as_millisecond()), day },
        _ => Buckets { hour, day },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(text: &str) -> UnixMs {
        UnixMs(text.parse::<Timestamp>().expect("a time").as_millisecond())
    }

    fn buckets(zone: &str, at: &str) -> (UnixMs, UnixMs) {
        let buckets = ZoneBuckets::new(parse_zone(zone).expect("a zone")).of(ms(at));
        (buckets.hour, buckets.day)
    }

    #[test]
    fn utc_hours_and_days() {
        let want = (ms("2026-11-20T08:00:00Z"), ms("2026-11-20T00:00:00Z"));
        assert_eq!(buckets("UTC", "2026-11-20T08:57:59.999Z"), want);
    }

    #[test]
    fn a_half_hour_zone_begins_its_hours_at_half_past() {
        let want = (ms("2026-11-20T08:30:00Z"), ms("2026-11-19T18:30:00Z"));
        assert_eq!(buckets("Asia/Kolkata", "2026-11-20T08:57:00Z"), want);
    }

    #[test]
    fn the_day_of_a_clock_change_is_one_day() {
        let summer = buckets("Europe/Berlin", "2026-10-25T00:30:00Z");
        let winter = buckets("Europe/Berlin", "2026-10-25T22:30:00Z");
        assert_eq!(summer.1, ms("2026-10-24T22:00:00Z"));
        assert_eq!(summer.1, winter.1);
        // 02:30 happens twice; the two hours are two buckets.
        assert_ne!(
            buckets("Europe/Berlin", "2026-10-25T00:30:00Z").0,
            buckets("Europe/Berlin", "2026-10-25T01:30:00Z").0
        );
    }

    #[test]
    fn a_day_that_begins_at_one_begins_at_one() {
        // In Beirut the clocks go from 00:00 to 01:00.
        let (_, day) = buckets("Asia/Beirut", "2026-03-29T10:00:00Z");
        assert_eq!(day, ms("2026-03-28T22:00:00Z"));
    }
}
