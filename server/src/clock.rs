//! What time it is: asked here, handed to everything that needs it.

use std::sync::Arc;

use tallymark_collector::{Clock, SystemClock};
use tallymark_protocol::UnixMs;

/// Now, by the system's clock.
pub(crate) fn now() -> UnixMs {
    SystemClock.now()
}

/// The system's clock as the stages take it.
pub(crate) fn asked() -> Arc<dyn Fn() -> UnixMs + Send + Sync> {
    Arc::new(now)
}
