//! Hours and days of many zones, reckoned twice: by the store, and by a calendar.

use jiff::tz::TimeZone;
use tallymark_protocol::UnixMs;
use tallymark_store::model::ZoneBuckets;
use tallymark_tests::world::{Dice, buckets_of};

/// Whole, half and quarter hours; changes at midnight, of half an hour, of a whole day.
const ZONES: [&str; 12] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Asia/Beirut",
    "Africa/Cairo",
    "America/Havana",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
    "Pacific/Apia",
];

/// Any, and those around every change of the clocks, from 2020 to 2035.
fn instants(zone: &TimeZone) -> Vec<i64> {
    const OFFSETS_MS: [i64; 11] = [
        -86_400_000,
        -3_600_000,
        -1_800_001,
        -1,
        0,
        1,
        1_799_999,
        1_800_000,
        3_599_999,
        3_600_000,
        5_400_000,
    ];
    let from = jiff::Timestamp::from_second(1_577_836_800).expect("an instant");
    let changes = zone.following(from).take_while(|change| change.timestamp().as_second() < 2_051_222_400);
    let mut instants: Vec<i64> = changes
        .flat_map(|change| OFFSETS_MS.map(|offset_ms| change.timestamp().as_millisecond() + offset_ms))
        .collect();
    let mut dice = Dice::new(1);
    instants.extend((0..3_000).map(|_| 1_577_836_800_000 + dice.below_ms(473_385_600_000)));
    instants
}

#[test]
fn buckets_are_those_of_a_calendar() {
    // There, clocks change by half an hour, or in the middle of one: a calendar's hour would be longer than others.
    let cut = ["Australia/Lord_Howe", "Pacific/Chatham"];
    for name in ZONES.into_iter().filter(|name| !cut.contains(name)) {
        let zone = TimeZone::get(name).expect("a zone");
        let mut buckets = ZoneBuckets::new(zone.clone());
        for at_ms in instants(&zone) {
            let found = buckets.of(UnixMs(at_ms));
            let at = jiff::Timestamp::from_millisecond(at_ms).expect("an instant").to_zoned(zone.clone());
            assert_eq!((found.hour.0, found.day.0), buckets_of(&zone, at_ms), "{at}");
        }
    }
}

/// Whatever an hour is called: each instant lies in its bucket, and a bucket's start in itself.
#[test]
fn buckets_do_not_overlap() {
    for name in ZONES {
        let zone = TimeZone::get(name).expect("a zone");
        let mut buckets = ZoneBuckets::new(zone.clone());
        for at in instants(&zone).into_iter().map(UnixMs) {
            let found = buckets.of(at);
            assert!(found.day <= found.hour && found.hour <= at, "{name} {at:?} {found:?}");
            assert_eq!(buckets.of(found.hour).hour, found.hour, "{name} {at:?}");
            assert_eq!(buckets.of(found.day).day, found.day, "{name} {at:?}");
        }
    }
}
