//! Time, handed in.

use std::sync::Arc;

use tallymark_protocol::UnixMs;

/// Asks what time it is.
pub type Now = Arc<dyn Fn() -> UnixMs + Send + Sync>;
