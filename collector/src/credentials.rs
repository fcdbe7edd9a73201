//! Where a request carries its write key, beside the body.

use axum::extract::Query;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use serde::Deserialize;

#[derive(Deserialize)]
struct CaptureQuery {
    write_key: Option<String>,
}

/// The write key in the query, else in `Authorization: Bearer`. `None` leaves the body.
pub(crate) fn write_key(head: &Parts) -> Option<String> {
    let query = Query::<CaptureQuery>::try_from_uri(&head.uri);
    query.ok().and_then(|Query(query)| query.write_key).or_else(|| bearer(head)).filter(|key| !key.is_empty())
}

fn bearer(head: &Parts) -> Option<String> {
    let (scheme, key) = head.headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn found(uri: &str, authorization: Option<&str>) -> Option<String> {
        let mut request = Request::builder().uri(uri);
        if let Some(value) = authorization {
            request = request.header(AUTHORIZATION, value);
        }
        write_key(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn the_query_goes_before_the_header() {
        assert_eq!(found("/capture?write_key=a&x=1", Some("Bearer b")).as_deref(), Some("a"));
        assert_eq!(found("/capture?x=1", Some("bearer  b ")).as_deref(), Some("b"));
        assert_eq!(found("/capture?write_key=", None), None);
        assert_eq!(found("/capture", Some("Basic b")), None);
        assert_eq!(found("/capture", None), None);
    }
}
