//! The read API: checks what a client asks, plans it, and words the answer.
//!
//! First stage of reading: JSON comes in, a [`Plan`](tallymark_store::Plan) goes to the store, its groups
//! come back and leave as JSON. It knows zones, dates and names, and no SQL; it never writes, and nothing on
//! the capture path waits for it. What each metric means is in `docs/query-api.md`.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use tallymark_protocol::UnixMs;
//! use tallymark_query::{QueryApi, router};
//!
//! let store = tallymark_store::Store::open("sqlite:data/tallymark.db").await?;
//! let app = router(QueryApi { store, now: Arc::new(|| UnixMs(1_763_622_000_000)) });
//! # let _ = app;
//! # Ok(())
//! # }
//! ```

mod answer;
mod auth;
mod buckets;
mod metric;
mod nearest;
mod order;
mod problem;
mod range;
mod request;
mod routes;

pub use routes::{QueryApi, router};
