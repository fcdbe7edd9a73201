//! Which store, queue and registry the configuration names.

mod queue;
mod registry;
mod store;

pub(crate) use self::queue::{open_queue, open_redis};
pub(crate) use self::registry::{open_registry, settings};
pub(crate) use self::store::{open_store, reach_store};
