//! What is promised about projects, rate tokens and salts, held against each backend. Redis tests run on a real Redis
//! under a prefix of their own.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod place;
mod projects;
mod rate;
mod salts;
mod shared_rate;
mod shared_salts;
