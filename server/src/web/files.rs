//! Embedded files as responses.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

mod embedded {
    include!(concat!(env!("OUT_DIR"), "/embedded.rs"));
}

pub(super) use embedded::{SHOP, TRACKER};

/// The bytes of an embedded file.
pub(super) fn find(files: &[(&str, &'static [u8])], name: &str) -> Option<&'static [u8]> {
    files.iter().find(|(known, _)| *known == name).map(|(_, bytes)| *bytes)
}

/// The type of a file by its ending.
pub(super) fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "wasm" => "application/wasm", // streaming compilation insists on it
        "json" | "map" => "application/json",
        _ => "application/octet-stream",
    }
}

/// The encodings that files are stored in beside themselves, best first.
const ENCODINGS: [(&str, &str); 2] = [("br", ".br"), ("gzip", ".gz")];

/// The smallest form of a file that the client takes, with its encoding.
pub(super) fn encoded(
    files: &[(&str, &'static [u8])],
    name: &str,
    request: &HeaderMap,
) -> Option<(&'static [u8], Option<&'static str>)> {
    let accepted =
        request.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let accepts = |encoding: &str| {
        accepted.split(',').any(|part| {
            let mut pieces = part.split(';').map(str::trim);
            pieces.next() == Some(encoding) && !pieces.any(|weight| weight == "q=0")
        })
    };
    for (encoding, ending) in ENCODINGS {
        if accepts(encoding)
            && let Some(bytes) = find(files, &format!("{name}{ending}"))
        {
            return Some((bytes, Some(encoding)));
        }
    }
    find(files, name).map(|bytes| (bytes, None))
}

/// A file that changes only with the binary.
pub(super) fn respond(name: &str, bytes: &'static [u8], encoding: Option<&'static str>) -> Response {
    let mut response = Body::from(bytes).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(name)));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Some(encoding) = encoding {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    response
}

/// 404, with a sentence.
pub(super) fn missing(detail: &'static str) -> Response {
    (StatusCode::NOT_FOUND, detail).into_response()
}
