//! What crosses the wire between a tracker and a collector: event, envelope, limits, outcome.
//!
//! First crate on an event's path: the tracker writes by it, the collector reads by it, and the processor
//! names by it what became of each event. It never does I/O, never asks a clock and never rolls dice:
//! times and random ids are handed in. It compiles to WebAssembly and native; without the feature
//! `decode` it is `no_std` and holds only names, limits and outcomes.
//!
//! ```
//! # #[cfg(feature = "decode")] {
//! use tallymark_protocol::{Arrival, UnixMs, decode};
//!
//! let body = br#"{"name":"signup","anonymous_id":"a-1","props":{"plan":"pro"}}"#;
//! let arrival = Arrival { received_at: UnixMs(1_763_622_005_000), fresh_id: &mut || uuid::Uuid::from_u128(7) };
//! let decoded = decode(body, arrival).expect("a single event needs no envelope");
//! assert_eq!(decoded.events[0].name, "signup");
//! # }
//! ```
#![cfg_attr(not(feature = "decode"), no_std)]

mod id;
pub mod limits;
pub mod names;
mod outcome;
mod time;
mod write_key;

#[cfg(feature = "decode")]
mod answer;
#[cfg(feature = "decode")]
mod decode;
#[cfg(feature = "decode")]
mod event;
#[cfg(feature = "decode")]
mod lenient;
#[cfg(feature = "decode")]
pub mod page;
#[cfg(feature = "decode")]
mod props;
#[cfg(feature = "decode")]
pub mod settings;

#[cfg(feature = "decode")]
pub use answer::{CaptureAnswer, Rejection};
#[cfg(feature = "decode")]
pub use decode::{Arrival, Decoded, EnvelopeError, decode};
#[cfg(feature = "decode")]
pub use event::{Context, Event, Place, Rejected};
pub use id::time_in_v7;
#[cfg(feature = "decode")]
pub use id::{event_id, uuid_from_text};
pub use outcome::{DiscardReason, Outcome};
pub use time::{DAY_MS, HOUR_MS, UnixMs};
pub use write_key::WriteKey;
