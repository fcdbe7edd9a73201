//! `OPTIONS /capture`: for callers whose request is not simple. The tracker's is.

use axum::http::StatusCode;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_MAX_AGE,
};
use axum::response::{IntoResponse as _, Response};

use super::open_to_any_page;

/// What any page may send here, believed for as long as browsers do.
pub(crate) async fn preflight() -> Response {
    let allowed = [
        (ACCESS_CONTROL_ALLOW_METHODS, "POST, OPTIONS"),
        (ACCESS_CONTROL_ALLOW_HEADERS, "Authorization, Content-Encoding, Content-Type, X-API-Key"),
        (ACCESS_CONTROL_MAX_AGE, "86400"),
    ];
    open_to_any_page((StatusCode::NO_CONTENT, allowed).into_response())
}
