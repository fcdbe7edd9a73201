//! The collector's paths: one file each.

mod capture;
pub(crate) mod health;
mod preflight;

use axum::Router;
use axum::http::HeaderValue;
use axum::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ALLOW};
use axum::middleware::map_response;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;

use crate::Collector;
use crate::refusal::Refusal;

/// The capture paths. They have no fallback, so that they can be merged with other routers.
pub fn router(state: Collector) -> Router {
    Router::new()
        .route("/capture", post(capture::capture).options(preflight::preflight).fallback(method_not_allowed))
        .layer(map_response(open_to_any_page))
        .with_state(state)
}

async fn method_not_allowed() -> Response {
    let mut response = Refusal::MethodNotAllowed.into_response();
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST, OPTIONS"));
    response
}

/// Lets the page that sent a request read the answer, a refusal too: without these headers it sees only
/// that fetching failed, and cannot tell "never" from "later". Never with credentials: the answer is the
/// same for everybody.
async fn open_to_any_page(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("Retry-After"));
    response
}
