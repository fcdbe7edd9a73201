//! From the queue into the store: enrich → sessionize → commit → ack, and the compactor behind it.
//!
//! Third stage of an event's path. Delivery is at least once, counting exactly once: see [`commit`]. Any number
//! of processors may run side by side. It never answers a browser, never reads a rollup, and never acks
//! what is not committed.
//!
//! ```no_run
//! # async fn example(store: tallymark_store::Store, queue: std::sync::Arc<dyn tallymark_queue::Queue>) {
//! use tallymark_processor::{Processor, ProcessorConfig};
//! use tokio_util::sync::CancellationToken;
//!
//! let now = std::sync::Arc::new(|| tallymark_protocol::UnixMs(1_763_622_005_000));
//! let processor = Processor::new(store, queue, ProcessorConfig::default(), now);
//! processor.run(CancellationToken::new()).await;
//! # }
//! ```

mod alone;
mod attempt;
mod causes;
mod clock;
mod commit;
mod compactor;
mod days;
mod enrich;
mod measure;
mod run;
mod sessionize;
mod settle;

pub use clock::Now;
pub use commit::{Committed, commit};
pub use enrich::Enricher;
pub use run::{Processor, ProcessorConfig, parallel_commits};
