//! Requests.

use wasm_bindgen::closure::Closure;
use wasm_bindgen::prelude::wasm_bindgen;

/// Called with flight, status, whether it was acknowledged, and seconds of `Retry-After`.
pub(super) type Answered = Closure<dyn Fn(u32, u16, bool, u32)>;

#[wasm_bindgen(module = "/src/browser/host.js")]
extern "C" {
    /// Sends `body` to `url`.
    pub(super) fn send(url: &str, body: &str, keepalive: bool, flight: u32, answered: &Answered);
}
