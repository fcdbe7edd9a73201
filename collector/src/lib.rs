//! HTTP in: admit a request, decode its events, hand them to the queue, and only then say so.
//!
//! First stage behind the tracker. A request's path reads top to bottom in `routes/capture.rs`: find the
//! write key, ask the registry for its project, check the page's origin and the rate, read the body, unpack
//! and decode it event by event, judge the events, append the envelope. The answer is 202 once the queue has
//! the envelope durably, and never before; whatever is refused is refused with a status by which the client
//! knows whether to come again, and a body that says what to do.
//!
//! It never touches the store, never looks into another request, and never logs a body, an address or
//! a key.
//!
//! ```no_run
//! use tallymark_collector::{Collector, CollectorConfig, ServeConfig, Surroundings, router, serve};
//!
//! async fn collect(surroundings: Surroundings, shutdown: impl Future<Output = ()>) -> std::io::Result<()> {
//!     let collector = Collector::new(CollectorConfig::default(), surroundings);
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//!     serve(listener, router(collector.clone()), &ServeConfig::default(), shutdown).await;
//!     collector.drain().await;
//!     Ok(())
//! }
//! ```

mod address;
mod admit;
mod body;
mod budget;
mod clock;
mod collector;
mod config;
mod credentials;
mod decompress;
mod envelope_id;
mod fullness;
mod intake;
mod measures;
mod outliving;
mod pixel;
mod place;
mod rate;
mod refusal;
mod routes;
mod sender;
mod serve;
mod taken;
mod unpack;
mod verdict;
mod visitor;

pub use address::{ProxyError, TrustedProxies};
pub use clock::{Clock, ManualClock, SystemClock};
pub use collector::{Check, Collector, Surroundings};
pub use config::CollectorConfig;
pub use decompress::{Coding, DecompressError, decompress};
pub use place::{PlaceFileError, Places};
pub use routes::health::health;
pub use routes::router;
pub use serve::{ServeConfig, serve};
