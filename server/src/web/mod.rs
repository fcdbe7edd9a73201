//! Files that browsers load: the tracker at the root, the demo's shop under `/demo/`.

mod announce;
mod files;
mod shop;
mod tracker;

use axum::Router;

use crate::admin::CreatedProject;

pub(crate) use announce::announce;

/// The tracker, and the shop where there is a demo.
pub(crate) fn router(demo: Option<&CreatedProject>) -> Router {
    let router = tracker::router();
    match demo {
        Some(demo) => router.merge(shop::router(&demo.write_key)),
        None => router,
    }
}
