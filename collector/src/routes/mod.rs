//! The collector's paths: one file each.

mod capture;
pub(crate) mod health;
mod pixel;
mod preflight;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ALLOW};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};

use crate::Collector;
use crate::refusal::Refusal;

/// Where events are sent: ours first, then what callers of older designs know.
const CAPTURE_PATHS: [&str; 5] =
    ["/capture", "/api/analytics/event", "/api/events/ingest", "/api/v1/analytics", "/analytics"];

/// The capture paths. As a whole it has no fallback, so that it can be merged with other routers; these may answer
/// other methods on the same paths, and then have no fallback there either.
pub fn router(state: Collector) -> Router {
    let mut router = Router::new();
    for path in CAPTURE_PATHS {
        let methods = post(capture::capture).options(preflight::preflight).fallback(only_post);
        router = router.route(path, methods);
    }
    router.route("/capture.gif", get(pixel::pixel).head(pixel::head).fallback(only_get)).with_state(state)
}

async fn only_post(State(collector): State<Collector>) -> Response {
    not_allowed(&collector, "POST, OPTIONS")
}

async fn only_get(State(collector): State<Collector>) -> Response {
    not_allowed(&collector, "GET, HEAD")
}

fn not_allowed(collector: &Collector, allowed: &'static str) -> Response {
    let refusal = Refusal::MethodNotAllowed { allowed };
    collector.measures().refused(&refusal);
    let mut response = refusal.into_response();
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    open_to_any_page(response)
}

/// Lets the page that sent a request read the answer, a refusal too: without these headers it sees only
/// that fetching failed, and cannot tell "never" from "later". Never with credentials: the answer is the
/// same for everybody.
fn open_to_any_page(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("Retry-After"));
    response
}
