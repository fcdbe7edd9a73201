//! Limits that are the tracker's own, each with its reason. What a collector enforces too stands in
//! [`tallymark_protocol::limits`].

/// How long an event may wait for others to share its envelope. Long enough to gather what one action
/// causes, short enough that a live view is live.
pub const BATCH_INTERVAL_MS: u64 = 2_000;

/// Events of one stored record. A record is rewritten whenever an event joins it, so this bounds what one
/// `track` writes, however many records wait.
pub const RECORD_EVENTS_MAX: usize = 5;

/// Bytes at which a record is full, for the same reason.
pub const RECORD_BYTES_MAX: usize = 8 * 1024;

/// Bytes that may wait in all. Browsers give an origin about 5 MB of `localStorage`, and the page wants
/// some of it. About 7,000 ordinary events.
pub const WAITING_BYTES_MAX: usize = 3_000_000;

/// Bytes of one envelope beyond its first record. Half of what a collector takes.
pub const ENVELOPE_BYTES_MAX: usize = tallymark_protocol::limits::BODY_BYTES_MAX / 2;

/// What one request may take from the keepalive allowance while the page stays. The rest is for leaving.
pub const KEEPALIVE_STAYING_BYTES_MAX: usize = tallymark_protocol::limits::KEEPALIVE_BYTES_MAX / 2;

/// After this long a request counts as unanswered.
pub const ANSWER_TIMEOUT_MS: u64 = 30_000;

/// The first pause after a failure; each further one doubles it.
pub const BACKOFF_FIRST_MS: u64 = 1_000;

/// The longest pause that the tracker chooses by itself.
pub const BACKOFF_MAX_MS: u64 = 60_000;

/// A longer `Retry-After` than this is somebody's mistake, or a page that will be closed by then.
pub const RETRY_AFTER_MAX_S: u64 = 3_600;

/// Without a sign of life for this long the visitor is not engaged, though the page is visible.
pub const ENGAGED_IDLE_MS: u64 = 60_000;
