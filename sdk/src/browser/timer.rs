//! One timer. The few lines of gloo-timers that the tracker needs: the published crate links std
//! (docs/adr/0002-tracker-dependencies.md).

use core::cell::Cell;

use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use web_sys::Window;

/// A timer that runs one function, and is set anew each time.
pub(super) struct Timer {
    window: Window,
    run: Closure<dyn Fn()>,
    handle: Cell<Option<i32>>,
}

impl Timer {
    /// A timer that is not set.
    pub(super) fn new(window: Window, run: Closure<dyn Fn()>) -> Self {
        Self { window, run, handle: Cell::new(None) }
    }

    /// Runs the function after `after_ms`, instead of whenever it was set to run.
    pub(super) fn set(&self, after_ms: u64) {
        if let Some(handle) = self.handle.take() {
            self.window.clear_timeout_with_handle(handle);
        }
        let after_ms = i32::try_from(after_ms).unwrap_or(i32::MAX);
        let function = self.run.as_ref().unchecked_ref();
        self.handle
            .set(self.window.set_timeout_with_callback_and_timeout_and_arguments_0(function, after_ms).ok());
    }
}
