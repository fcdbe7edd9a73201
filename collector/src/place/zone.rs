//! Time zone → country, where the zone is in one: a browser says its zone, and most zones are named after a place.
//!
//! `zone.tab` is tzdata's (2025b), which has a name of its own for each country's part of a zone (`Europe/Oslo` beside
//! `Europe/Berlin`); browsers use these names, and some the former ones, which are in `links.tab`.

use std::collections::HashMap;
use std::sync::LazyLock;

static COUNTRIES: LazyLock<HashMap<&str, &str>> = LazyLock::new(|| {
    let mut countries: HashMap<_, _> = rows(include_str!("zone.tab")).map(|row| (row[2], row[0])).collect();
    for row in rows(include_str!("links.tab")) {
        if let Some(country) = countries.get(row[1]).copied() {
            countries.insert(row[0], country);
        }
    }
    countries
});

fn rows(table: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    table.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('\t').collect())
}

/// The country of a zone, as ISO 3166-1 has it. `None` for zones of no country (`UTC`, `Etc/GMT-1`) and for what is no
/// zone.
pub(super) fn country(zone: &str) -> Option<&'static str> {
    COUNTRIES.get(zone).copied()
}

/// Whether `code` is a country's: there is none without a zone. `XX` and `T1`, which proxies say of addresses that they
/// cannot place, are none.
pub(super) fn is_country(code: &str) -> bool {
    static CODES: LazyLock<Vec<&str>> = LazyLock::new(|| {
        // Uninhabited, and so without a zone; not yet in ISO 3166, and so without a row.
        let mut codes: Vec<&str> = COUNTRIES.values().copied().chain(["BV", "HM", "XK"]).collect();
        codes.sort_unstable();
        codes.dedup();
        codes
    });
    CODES.binary_search(&code).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_and_their_countries() {
        let cases = [
            ("Europe/Berlin", Some("DE")),
            ("Europe/Oslo", Some("NO")),
            ("Asia/Calcutta", Some("IN")),
            ("Asia/Kolkata", Some("IN")),
            ("Asia/Saigon", Some("VN")),
            ("Europe/Kiev", Some("UA")),
            ("America/Buenos_Aires", Some("AR")),
            ("America/Indiana/Knox", Some("US")),
            ("US/Pacific", Some("US")),
            ("Iceland", Some("IS")),
            ("Africa/Timbuktu", Some("ML")),
            ("UTC", None),
            ("Etc/GMT-1", None),
            ("GMT", None),
            ("CET", None),
            ("europe/berlin", None),
            ("Middle/Earth", None),
            ("", None),
        ];
        for (zone, of) in cases {
            assert_eq!(country(zone), of, "{zone}");
        }
    }

    #[test]
    fn every_former_name_stands_for_a_zone_that_has_a_country() {
        for row in rows(include_str!("links.tab")) {
            assert_eq!(country(row[0]), country(row[1]), "{row:?}");
            assert!(country(row[0]).is_some(), "{row:?}");
        }
        assert!(COUNTRIES.len() > 500);
    }

    #[test]
    fn codes_that_are_no_countries() {
        for code in ["XX", "T1", "ZZ", "EU", "AP", "A1", "de", "D", "DEU", "", "..", "UK"] {
            assert!(!is_country(code), "{code}");
        }
        assert!(["DE", "US", "XK", "TW", "AX", "BV"].into_iter().all(is_country));
    }
}
