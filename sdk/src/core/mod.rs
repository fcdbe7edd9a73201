//! What the tracker decides. Plain functions and structs: time and randomness are parameters, and
//! everything that has to be done is handed back to the caller.

mod answer;
mod delivery;
mod engagement;
mod event;
mod json;
pub mod limits;
mod record;
mod session;

pub use answer::{Answer, Verdict};
pub use delivery::{Change, Delivery, Moment, Step};
pub use engagement::Engagement;
pub use event::{Event, RawJson};
pub use json::{to_json, write_u64};
pub use record::{Envelope, Head, Record};
pub use session::Session;
