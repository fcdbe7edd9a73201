//! Which store, queue, registry and places the configuration names.

mod places;
mod queue;
mod redis;
mod registry;
mod shared;
mod store;

pub(crate) use self::places::open_places;
pub(crate) use self::queue::{open_queue, open_redis};
pub(crate) use self::redis::redis_link;
pub(crate) use self::registry::open_registry;
pub(crate) use self::shared::{open_salts, open_tokens, registry_redis};
pub(crate) use self::store::{open_store, open_store_when_there, reach_store};
