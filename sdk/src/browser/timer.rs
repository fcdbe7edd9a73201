//! One timer. The few lines of gloo-timers that the tracker needs: the published crate links std
//! (docs/adr/0002-tracker-dependencies.md).

use core::cell::Cell;

use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use web_sys::Window;

/// A timer that runs one function.
pub(super) struct Timer {
    window: Window,
    run: Closure<dyn Fn()>,
    /// When it runs next; 0 for one that is not set.
    due_at: Cell<u64>,
}

impl Timer {
    /// A timer that is not set.
    pub(super) fn new(window: Window, run: Closure<dyn Fn()>) -> Self {
        Self { window, run, due_at: Cell::new(0) }
    }

    /// Notes that the function runs: it is not set any more.
    pub(super) fn rang(&self) {
        self.due_at.set(0);
    }

    /// Runs the function at `at`, or somewhat earlier: one that is set for sooner is left as it is, since
    /// setting it anew at every event would cost more than asking in vain.
    pub(super) fn set(&self, now: u64, at: u64) {
        let due_at = self.due_at.get();
        if due_at > 0 && due_at <= at {
            return;
        }
        self.due_at.set(at);
        let after_ms = i32::try_from(at - now).unwrap_or(i32::MAX);
        let _ = self.window.set_timeout_with_callback_and_timeout_and_arguments_0(
            self.run.as_ref().unchecked_ref(),
            after_ms,
        );
    }
}
