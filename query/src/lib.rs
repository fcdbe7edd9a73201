//! The API: checks what a client asks, plans it, and words the answer; and changes projects' settings.
//!
//! First stage of reading: JSON comes in, a [`Plan`](tallymark_store::Plan) goes to the store, its groups
//! come back and leave as JSON. It knows zones, dates and names, and no SQL; it never writes anything but
//! settings, and nothing on the capture path waits for it. What each metric means is in `docs/query-api.md`, what can
//! be set in `docs/management-api.md`.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use tallymark_protocol::UnixMs;
//! use tallymark_query::{Management, QueryApi, router};
//!
//! # fn management() -> Arc<dyn Management> { unreachable!() }
//! let store = tallymark_store::Store::open("sqlite:data/tallymark.db").await?;
//! let now = Arc::new(|| UnixMs(1_763_622_000_000));
//! let app = router(QueryApi { store, now, management: management() });
//! # let _ = app;
//! # Ok(())
//! # }
//! ```

mod answer;
mod auth;
mod buckets;
mod manage;
mod metric;
mod nearest;
mod order;
mod problem;
mod range;
mod request;
mod routes;

pub use manage::{
    Management, SecretError, ShownEventSource, ShownProject, ShownProperty, ShownShield, ShownToken,
    ShownWriteKey, rfc3339,
};
pub use routes::{QueryApi, router};
