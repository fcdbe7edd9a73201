//! What a store promises, held against both databases: the steps of a commit, the compactor, and what else a
//! processor relies on. After each scenario the raw rows and the rollups must agree (`oracle`).
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod compaction;
mod concurrency;
mod counting;
mod ledger;
mod schema;
mod sessions;
mod settings;
mod traffic;
mod visits;
