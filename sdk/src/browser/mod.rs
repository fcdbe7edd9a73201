//! What the tracker does: storage, timers, requests, listeners. It decides nothing.
//!
//! One function enters from JavaScript: `start` (in `tracker`), which gives back the function that takes every call.

mod alloc;
mod clock;
mod listen;
mod send;
mod storage;
mod timer;
mod tracker;

pub use tracker::start;

/// A panic is a bug; the page must not notice. It ends as a WebAssembly trap, which the loader catches,
/// and without a line of formatting code.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}
