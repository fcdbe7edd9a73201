//! Time and randomness, which the core takes as parameters.

use alloc::string::String;

use uuid::Builder;
use web_sys::{Crypto, Performance, Window};

/// Where time and random bytes come from.
pub(super) struct Clock {
    performance: Performance,
    crypto: Crypto,
}

impl Clock {
    /// The clock of `window`; `None` in a browser that lacks either.
    pub(super) fn new(window: &Window) -> Option<Self> {
        Some(Self { performance: window.performance()?, crypto: window.crypto().ok()? })
    }

    /// Unix milliseconds that never run backwards within a page load: a clock that is set while the page
    /// is open moves `Date.now()`, not this.
    pub(super) fn now_ms(&self) -> u64 {
        (self.performance.time_origin() + self.performance.now()) as u64
    }

    /// A random byte.
    pub(super) fn dice(&self) -> u8 {
        self.random_bytes()[0]
    }

    /// A fresh `UUIDv7`.
    pub(super) fn fresh_id(&self, now: u64) -> String {
        let id = Builder::from_unix_timestamp_millis(now, &self.random_bytes()).into_uuid();
        String::from(&*id.hyphenated().encode_lower(&mut [0; 36])) // `to_string` would link `core::fmt`
    }

    fn random_bytes(&self) -> [u8; 10] {
        let mut bytes = [0; 10];
        // Fails only for more than 65,536 bytes.
        let _ = self.crypto.get_random_values_with_u8_array(&mut bytes);
        bytes
    }
}
