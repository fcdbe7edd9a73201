//! What the product works with, away for a while: the store, Redis, the process itself.

mod made;
mod poison;
mod redis;
mod store;
