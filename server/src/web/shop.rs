//! The demo's shop. Paths without a file are the shop's own routes and get its first page.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;

use super::files::{self, SHOP};

/// What stands in the shop's pages where the write key belongs.
const PLACEHOLDER: &str = "__WRITE_KEY__";

pub(super) fn router(write_key: &str) -> Router {
    let write_key: Arc<str> = write_key.into();
    Router::new()
        .route("/", get(async || Redirect::temporary("/demo/")))
        .route("/demo", get(async || Redirect::permanent("/demo/")))
        .route("/demo/", get(async |State(key): State<Arc<str>>| page("index.html", &key)))
        .route("/demo/{*path}", get(file))
        .with_state(write_key)
}

async fn file(Path(path): Path<String>, State(write_key): State<Arc<str>>) -> Response {
    if path.ends_with(".html") || !path.contains('.') {
        return page(if path.contains('.') { &path } else { "index.html" }, &write_key);
    }
    // Routes of the shop may be nested; its files are not.
    let name = path.rsplit('/').next().unwrap_or_default();
    match files::find(SHOP, name) {
        Some(bytes) => files::respond(name, bytes, None),
        None => files::missing("The demo shop has no such file.\n"),
    }
}

fn page(name: &str, write_key: &str) -> Response {
    let Some(html) = files::find(SHOP, name).and_then(|bytes| std::str::from_utf8(bytes).ok()) else {
        return files::missing("The demo shop has no such page.\n");
    };
    let mut response = html.replace(PLACEHOLDER, write_key).into_response();
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, html);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
