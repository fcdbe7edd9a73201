//! Row types and the pure functions over them: what an event and a session contribute to the rollups,
//! how sessions merge, how visitors are counted. No I/O and no clock: commit, compactor, recount and query
//! all stand on these, so they cannot disagree.

mod bucket;
mod contribution;
mod delta;
mod dimension;
mod event;
mod identity;
mod seq_ranges;
mod session;
mod sketch;
mod visit;

pub use bucket::{Buckets, ZoneBuckets, parse_zone};
pub use contribution::{VisitorHasher, event_contributions, session_contributions};
pub use delta::{Counts, DeltaFold, OutcomeKey, RollupDelta, RollupKey};
pub use dimension::{Dimension, Scope};
pub use event::{EnrichedEvent, EventRow, VisitAttributes};
pub use identity::Identification;
pub use seq_ranges::{SeqRanges, TabRow};
pub use session::{Edge, SessionRow, fold_sessions};
pub use sketch::Sketch;
pub use visit::{VisitorDay, VisitorDayKey, Visits};
