//! Headers in which content delivery networks say where a request came from. Only what a trusted proxy passed on is
//! asked: from a stranger they say nothing.

use std::borrow::Cow;

use axum::http::HeaderMap;
use tallymark_protocol::Place;
use tallymark_protocol::limits::LABEL_BYTES_MAX;

use super::{country, region};

/// The headers of one network.
struct Network {
    country: &'static str,
    region: Option<&'static str>,
    /// In capitals as people write it, or not at all: "lisbon" beside "Lisbon" would be two cities.
    city: Option<&'static str>,
    /// Whether its cities are percent-encoded.
    is_encoded: bool,
}

const NETWORKS: [Network; 5] = [
    Network {
        country: "cf-ipcountry",
        region: Some("cf-region-code"),
        city: Some("cf-ipcity"),
        is_encoded: false,
    },
    Network {
        country: "cloudfront-viewer-country",
        region: Some("cloudfront-viewer-country-region"),
        city: Some("cloudfront-viewer-city"),
        is_encoded: true,
    },
    Network {
        country: "x-vercel-ip-country",
        region: Some("x-vercel-ip-country-region"),
        city: Some("x-vercel-ip-city"),
        is_encoded: true,
    },
    Network {
        country: "fastly-geo-country",
        region: Some("fastly-geo-region"),
        city: None,
        is_encoded: false,
    },
    Network {
        country: "x-appengine-country",
        region: Some("x-appengine-region"),
        city: None,
        is_encoded: false,
    },
];

/// The place that the first network with a country names.
pub(super) fn place(headers: &HeaderMap) -> Option<Place> {
    NETWORKS.iter().find_map(|network| network.place(headers))
}

impl Network {
    fn place(&self, headers: &HeaderMap) -> Option<Place> {
        let text = |name: &str| headers.get(name).and_then(|value| str::from_utf8(value.as_bytes()).ok());
        let country = country(text(self.country)?)?;
        let region = self.region.and_then(text).and_then(|code| region(&country, code));
        let city = self.city.and_then(text).and_then(|name| city(name, self.is_encoded));
        Some(Place { country: Some(country), region, city })
    }
}

fn city(text: &str, is_encoded: bool) -> Option<String> {
    let name = if is_encoded { decoded(text)? } else { Cow::Borrowed(text) };
    let name = name.trim();
    let is_name = !name.is_empty() && name.len() <= LABEL_BYTES_MAX && !name.contains(char::is_control);
    is_name.then(|| name.to_owned())
}

/// Percent-decoded text; `None` where that is no text.
fn decoded(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = (first == b'%').then(|| after.get(..2)).flatten();
        let byte = hex.and_then(|hex| u8::from_str_radix(str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn found(headers: &[(&'static str, &str)]) -> Option<[Option<String>; 3]> {
        let header = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap())
        };
        place(&headers.iter().map(header).collect()).map(|place| [place.country, place.region, place.city])
    }

    fn place_of(country: &str, region: Option<&str>, city: Option<&str>) -> Option<[Option<String>; 3]> {
        Some([Some(country), region, city].map(|text| text.map(str::to_owned)))
    }

    #[test]
    fn places_by_their_headers() {
        assert_eq!(found(&[("cf-ipcountry", "de")]), place_of("DE", None, None));
        assert_eq!(
            found(&[("cf-ipcountry", "CH"), ("cf-region-code", "ZH"), ("cf-ipcity", "Zürich")]),
            place_of("CH", Some("CH-ZH"), Some("Zürich"))
        );
        let vercel = [
            ("x-vercel-ip-country", "BR"),
            ("x-vercel-ip-country-region", "SP"),
            ("x-vercel-ip-city", "S%C3%A3o%20Paulo"),
        ];
        assert_eq!(found(&vercel), place_of("BR", Some("BR-SP"), Some("São Paulo")));
        let cloudfront = [
            ("cloudfront-viewer-country", "US"),
            ("cloudfront-viewer-country-region", "MI"),
            ("cloudfront-viewer-city", "Ann Arbor"),
        ];
        assert_eq!(found(&cloudfront), place_of("US", Some("US-MI"), Some("Ann Arbor")));
        let app_engine = [
            ("x-appengine-country", "US"),
            ("x-appengine-region", "ca"),
            ("x-appengine-city", "mountain view"),
        ];
        assert_eq!(found(&app_engine), place_of("US", Some("US-CA"), None));
        assert_eq!(found(&[("fastly-geo-country", "PT")]), place_of("PT", None, None));
    }

    #[test]
    fn what_names_no_country_is_unknown() {
        for code in ["XX", "T1", "ZZ", "", "EU", "Germany", "\u{fc}"] {
            assert_eq!(found(&[("cf-ipcountry", code), ("cf-ipcity", "Zürich")]), None, "{code}");
        }
        assert_eq!(found(&[]), None);
        assert_eq!(
            found(&[("cf-ipcountry", "XX"), ("fastly-geo-country", "PT")]),
            place_of("PT", None, None),
            "one network may stand before another"
        );
    }

    #[test]
    fn what_is_no_city_or_region_is_left_out() {
        let with = |region, city| {
            found(&[
                ("x-vercel-ip-country", "DE"),
                ("x-vercel-ip-country-region", region),
                ("x-vercel-ip-city", city),
            ])
        };
        assert_eq!(with("", " "), place_of("DE", None, None));
        assert_eq!(with("Bavaria", "a%0Ab"), place_of("DE", None, None));
        assert_eq!(with("DE-BY", "%FF"), place_of("DE", Some("DE-BY"), None));
        assert_eq!(with("by", "100%"), place_of("DE", Some("DE-BY"), Some("100%")));
        assert_eq!(with("BY", &"x".repeat(LABEL_BYTES_MAX + 1)), place_of("DE", Some("DE-BY"), None));
    }
}
