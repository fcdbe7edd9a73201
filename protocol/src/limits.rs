//! Every limit of the wire, each once, with its reason. Units are last in the names.

/// Events that the tracker puts into one envelope. Fifty events of a few hundred bytes stay under
/// [`KEEPALIVE_BYTES_MAX`], so that the same batch can leave with a closing page.
pub const TRACKER_BATCH_EVENTS: usize = 50;

/// Events that a collector takes in one envelope. A backend may send larger batches than a browser;
/// beyond this a single transaction of the processor would grow without bound.
pub const ENVELOPE_EVENTS_MAX: usize = 1_000;

/// Body bytes as received. A thousand events of a kilobyte.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;

/// Body bytes after decompression. Compressed bodies are those of busy backends: a thousand events of four
/// kilobytes. An entry of the queue holds as much when ids and defaults are written out too.
pub const DECOMPRESSED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How many times larger than it came a body may become. Events compress 5 to 30 times, since each has an id
/// of its own; what shrinks a hundredfold was made to cost more to read than to send.
pub const COMPRESSION_RATIO_MAX: usize = 100;

/// Up to this size a body may compress as well as it likes: a few events that are all alike harm nobody.
pub const COMPRESSION_FREE_BYTES: usize = 64 * 1024;

/// What browsers let all requests with `keepalive` carry together (Fetch standard, 64 KiB).
pub const KEEPALIVE_BYTES_MAX: usize = 64 * 1024;

/// An event's name. Names are values of a rollup: long ones would be somebody's text, not a name.
pub const NAME_BYTES_MAX: usize = 128;

/// Ids that a client makes: `anonymous_id`, `user_id`, `session_id`, `tab_id`. A UUID has 36 bytes, an
/// e-mail address fits; more is not an id.
pub const ID_BYTES_MAX: usize = 128;

/// `category` and `event_source`.
pub const LABEL_BYTES_MAX: usize = 128;

/// URLs and referrers are cut here: browsers and proxies agree on about 2,000 characters, and what
/// follows is tracking parameters.
pub const URL_BYTES_MAX: usize = 2_048;

/// A page's path as a rollup's value is cut here: an index entry of PostgreSQL holds 2,704 bytes.
pub const PATH_BYTES_MAX: usize = 512;

/// Hosts longer than this are none: DNS knows no longer name. A host in another script grows when it is
/// encoded, beyond the URL that it came in and beyond what an index entry holds.
pub const HOST_BYTES_MAX: usize = 253;

/// Titles are cut here; they are shown, never keyed.
pub const TITLE_BYTES_MAX: usize = 512;

/// A user agent is cut here; real ones have up to about 400 bytes.
pub const USER_AGENT_BYTES_MAX: usize = 1_024;

/// Properties of one event, as JSON.
pub const PROPS_BYTES_MAX: usize = 16 * 1024;

/// Levels of nesting in properties. Deeper is a serialised object graph, not a property.
pub const PROPS_DEPTH_MAX: usize = 8;

/// How many days late an event may come: a phone that was offline for a month.
pub const LATE_DAYS_MAX: i64 = 30;

/// How many days ahead an event's day may lie: time zones cannot explain more than one, wrong clocks can.
pub const AHEAD_DAYS_MAX: i64 = 2;

/// A client's clock is corrected only when it is off by more than this: smaller differences are the
/// network's, and correcting by them would blur what was right.
pub const CLOCK_SKEW_MS_MAX: i64 = 60_000;

/// Minutes without activity after which the tracker begins a new session.
pub const SESSION_IDLE_MINUTES: u32 = 30;

/// Hours after which a session ends in any case.
pub const SESSION_HOURS_MAX: u32 = 24;
