use std::fs;

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use super::file::LOOK_EVERY;
use super::mmdb::{self, Value};
use super::*;

fn sender(address: &str) -> Sender<'static> {
    Sender {
        address: Some(address.parse().unwrap()),
        user_agent: None,
        from_browser: true,
        proxy_headers: None,
    }
}

fn context(timezone: &str) -> Context {
    Context { timezone: Some(timezone.to_owned()), ..Context::default() }
}

/// Country, region and city as they are written of a place: `DE DE-BE Berlin`.
fn shown(place: &Place) -> String {
    let parts = [&place.country, &place.region, &place.city];
    parts.map(|part| part.as_deref().unwrap_or("-")).join(" ")
}

impl Places {
    fn seen_from(&self, address: &str) -> String {
        shown(&self.of(&sender(address), &Context::default()))
    }
}

fn map<const N: usize>(pairs: [(&'static str, Value); N]) -> Value {
    Value::Map(pairs.into())
}

fn iso(code: &'static str) -> Value {
    map([("iso_code", Value::Text(code)), ("geoname_id", Value::Number32(7))])
}

fn city(country: &'static str, region: &'static str, name: &'static str) -> Value {
    let names = map([("de", Value::Text("anders")), ("en", Value::Text(name))]);
    map([
        ("city", map([("geoname_id", Value::Number32(7)), ("names", names)])),
        ("continent", map([("code", Value::Text("XY"))])),
        ("country", iso(country)),
        ("subdivisions", Value::List(vec![iso(region), iso("000")])),
    ])
}

fn written(folder: &Path, networks: &[(&str, Value)]) -> std::path::PathBuf {
    let path = folder.join("places.mmdb");
    fs::write(&path, mmdb::file(networks)).unwrap();
    path
}

/// Files as their makers write them: MaxMind's city and country editions, flat ones of others, and one of networks.
#[tokio::test]
async fn every_edition_gives_what_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(
        folder.path(),
        &[
            ("203.0.113.0/24", city("DE", "BE", "Berlin")),
            ("198.51.100.0/25", map([("country", iso("US")), ("registered_country", iso("CA"))])),
            ("198.51.100.128/25", map([("registered_country", iso("CA"))])),
            ("192.0.2.0/26", map([("country_code", Value::Text("FR")), ("city", Value::Text("Lyon"))])),
            (
                "192.0.2.64/26",
                map([("country", Value::Text("PT")), ("country_name", Value::Text("Portugal"))]),
            ),
            ("192.0.2.128/26", map([("autonomous_system_number", Value::Number32(64_496))])),
            ("192.0.2.192/26", city("XX", "BE", "Nowhere")),
            ("2001:db8::/32", city("BR", "SP", "São Paulo")),
        ],
    );
    let places = Places::by_file(&path).await.unwrap();
    let cases = [
        ("203.0.113.77", "DE DE-BE Berlin"),
        ("198.51.100.7", "US - -"),
        ("198.51.100.200", "- - -"),
        ("192.0.2.1", "FR - Lyon"),
        ("192.0.2.65", "PT - -"),
        ("192.0.2.129", "- - -"),
        ("192.0.2.200", "- - -"),
        ("2001:db8::7", "BR BR-SP São Paulo"),
        ("2001:db9::7", "- - -"),
        ("127.0.0.1", "- - -"),
    ];
    for (address, place) in cases {
        assert_eq!(places.seen_from(address), place, "{address}");
    }
}

#[tokio::test]
async fn the_file_goes_before_the_network_before_the_time_zone() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path(), &[("203.0.113.0/24", city("DE", "BE", "Berlin"))]);
    let places = Places::by_file(&path).await.unwrap();
    let country = |value| (HeaderName::from_static("cf-ipcountry"), HeaderValue::from_static(value));
    let headers = HeaderMap::from_iter([country("PT")]);
    let unknown = HeaderMap::from_iter([country("XX")]);
    let through = |address, headers| Sender { proxy_headers: Some(headers), ..sender(address) };
    let cases = [
        (through("203.0.113.77", &headers), "Europe/Paris", "DE DE-BE Berlin"),
        (through("192.0.2.1", &headers), "Europe/Paris", "PT - -"),
        (through("192.0.2.1", &unknown), "Europe/Paris", "FR - -"),
        (sender("192.0.2.1"), "Europe/Paris", "FR - -"),
        (sender("192.0.2.1"), "UTC", "- - -"),
        (Sender { address: None, ..sender("::1") }, "Asia/Calcutta", "IN - -"),
    ];
    for (sender, timezone, place) in cases {
        assert_eq!(shown(&places.of(&sender, &context(timezone))), place);
    }
    assert_eq!(shown(&Places::default().of(&sender("203.0.113.77"), &Context::default())), "- - -");
}

#[tokio::test]
async fn a_file_that_is_not_there_or_of_another_kind_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("places.mmdb");
    let error = Places::by_file(&path).await.err().unwrap().to_string();
    assert!(error.contains("places.mmdb") && error.contains("name a MaxMind-format file"), "{error}");
    fs::write(&path, "country,city\n").unwrap();
    let error = Places::by_file(&path).await.err().unwrap().to_string();
    assert!(error.contains("places.mmdb") && error.contains("download it again"), "{error}");
}

/// Time that a change may take to be seen.
async fn a_few_seconds() {
    tokio::time::sleep(4 * LOOK_EVERY).await;
}

#[tokio::test(start_paused = true)]
async fn a_changed_file_is_read_again_and_a_broken_one_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path(), &[("203.0.113.0/24", city("DE", "BE", "Berlin"))]);
    let places = Places::by_file(&path).await.unwrap();
    a_few_seconds().await;
    assert_eq!(places.seen_from("203.0.113.77"), "DE DE-BE Berlin");

    let beside = tempfile::tempdir_in(folder.path()).unwrap();
    let replacement = written(beside.path(), &[("203.0.113.0/24", city("FR", "IDF", "Paris"))]);
    fs::rename(replacement, &path).unwrap();
    a_few_seconds().await;
    assert_eq!(places.seen_from("203.0.113.77"), "FR FR-IDF Paris", "replaced");

    let whole = mmdb::file(&[("203.0.113.0/24", city("PT", "11", "Lisbon"))]);
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    a_few_seconds().await;
    assert_eq!(places.seen_from("203.0.113.77"), "FR FR-IDF Paris", "torn");
    fs::remove_file(&path).unwrap();
    a_few_seconds().await;
    assert_eq!(places.seen_from("203.0.113.77"), "FR FR-IDF Paris", "gone");
    fs::write(&path, &whole).unwrap();
    a_few_seconds().await;
    assert_eq!(places.seen_from("203.0.113.77"), "PT PT-11 Lisbon", "written anew");
}
