//! Where a request carries its write key, beside the body.

use std::borrow::Cow;

use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

/// The write key in the query, else in `Authorization: Bearer`, else in `X-API-Key`, where older callers have it. `None`
/// leaves the body.
pub(crate) fn write_key(head: &Parts) -> Option<Cow<'_, str>> {
    let is_given = |key: &Cow<'_, str>| !key.is_empty();
    in_query(head)
        .filter(is_given)
        .or_else(|| bearer(head).filter(is_given))
        .or_else(|| api_key(head).filter(is_given))
}

fn in_query(head: &Parts) -> Option<Cow<'_, str>> {
    let mut pairs = form_urlencoded::parse(head.uri.query()?.as_bytes());
    pairs.find_map(|(name, value)| (name == "write_key").then_some(value))
}

fn bearer(head: &Parts) -> Option<Cow<'_, str>> {
    let (scheme, key) = head.headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim().into())
}

fn api_key(head: &Parts) -> Option<Cow<'_, str>> {
    Some(head.headers.get("x-api-key")?.to_str().ok()?.trim().into())
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn found(uri: &str, headers: &[(&str, &str)]) -> Option<String> {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        write_key(&request.body(()).unwrap().into_parts().0).map(Cow::into_owned)
    }

    #[test]
    fn the_query_goes_before_the_headers() {
        let bearer = |value| ("authorization", value);
        assert_eq!(found("/capture?write_key=a&x=1", &[bearer("Bearer b")]).as_deref(), Some("a"));
        assert_eq!(found("/capture?x=1&write%5Fkey=%61b", &[]).as_deref(), Some("ab"));
        assert_eq!(found("/capture?x=1", &[bearer("bearer  b "), ("x-api-key", "c")]).as_deref(), Some("b"));
        assert_eq!(found("/capture?write_key=", &[("x-api-key", " c ")]).as_deref(), Some("c"));
        assert_eq!(found("/capture", &[bearer("Basic b"), ("x-api-key", "c")]).as_deref(), Some("c"));
        assert_eq!(found("/capture?write_key=", &[]), None);
        assert_eq!(found("/capture", &[bearer("Basic b")]), None);
        assert_eq!(found("/capture", &[bearer("Bearer "), ("x-api-key", "")]), None);
    }
}
