//! The tracker: `t.js`, and the core that it loads, whose names carry their hash.

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use axum::routing::get;

use super::files::{self, TRACKER};

/// `t.js` keeps its name over versions: an hour is how long a page may run the one before.
const LOADER_CACHE: &str = "public, max-age=3600";
const HASHED_CACHE: &str = "public, max-age=31536000, immutable";
const NOT_BUILT: &str = "This binary was built without the tracker. Build both with: cargo xtask build\n";

pub(super) fn router() -> Router {
    Router::new().route("/t.js", get(loader)).route("/{file}", get(hashed))
}

async fn loader(request: HeaderMap) -> Response {
    answer("t.js", &request, LOADER_CACHE)
}

async fn hashed(Path(file): Path<String>, request: HeaderMap) -> Response {
    if !file.starts_with("core.") {
        return files::missing("There is nothing here.\n");
    }
    answer(&file, &request, HASHED_CACHE)
}

fn answer(name: &str, request: &HeaderMap, cache: &'static str) -> Response {
    let Some((bytes, encoding)) = files::encoded(TRACKER, name, request) else {
        return files::missing(if TRACKER.is_empty() { NOT_BUILT } else { "There is nothing here.\n" });
    };
    let mut response = files::respond(name, bytes, encoding);
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    // Pages of every origin load it, isolated ones too.
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("cross-origin"));
    headers.insert("timing-allow-origin", HeaderValue::from_static("*"));
    response
}
