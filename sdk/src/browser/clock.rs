//! Time and randomness, which the core takes as parameters.

use alloc::string::String;

use uuid::Builder;

/// Unix milliseconds that never run backwards within a page load: a clock that is set while the page is
/// open moves `Date.now()`, not this.
pub(super) fn now_ms() -> u64 {
    web_sys::window()
        .and_then(|window| window.performance())
        .map_or(0, |performance| (performance.time_origin() + performance.now()) as u64)
}

/// A byte by which tabs that failed together come back apart.
pub(super) fn dice() -> u8 {
    random_bytes()[0]
}

/// A fresh `UUIDv7`.
pub(super) fn fresh_id(now: u64) -> String {
    let id = Builder::from_unix_timestamp_millis(now, &random_bytes()).into_uuid();
    String::from(&*id.hyphenated().encode_lower(&mut [0; 36])) // `to_string` would link `core::fmt`
}

fn random_bytes() -> [u8; 10] {
    let mut bytes = [0; 10];
    if let Some(crypto) = web_sys::window().and_then(|window| window.crypto().ok()) {
        // Fails only for more than 65,536 bytes.
        let _ = crypto.get_random_values_with_u8_array(&mut bytes);
    }
    bytes
}
