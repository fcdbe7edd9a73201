//! The tracker: what runs in a visitor's page, compiled to WebAssembly.
//!
//! First stage of an event's path. The loader (`npm/src/loader.js`) is its ears: it listens from the first
//! moment on, and gives each call an id, a time and a number. This crate is what comes after: [`core`]
//! decides (which session, what to send when, what to keep, when to try again) and never touches a
//! browser, so every rule is tested natively; `browser` does, and decides nothing.
//!
//! It never throws into the page, never sets a cookie, and deletes a stored event only when a collector
//! acknowledged the envelope that carried it.
//!
//! ```
//! use tallymark_sdk::core::{Answer, Verdict};
//!
//! let answer = Answer { status: 202, acknowledged: true, retry_after_s: 0 };
//! assert_eq!(answer.verdict(), Verdict::Forget);
//! ```
#![cfg_attr(target_arch = "wasm32", no_std)]

extern crate alloc;

#[cfg(target_arch = "wasm32")]
mod browser;
pub mod core;

#[cfg(target_arch = "wasm32")]
pub use browser::start;
