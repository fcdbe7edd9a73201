//! What the page lives through: shown, hidden, left, back online, used.

use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use web_sys::{Document, Event, EventTarget, Window};

/// Something that happened to the page.
pub(super) enum Sign {
    /// It is visible again.
    Shown,
    /// It is hidden, or about to go.
    Hidden,
    /// The network is back.
    Online,
    /// The visitor did something.
    Active,
}

/// Calls `noticed` for each sign, for as long as the page lives.
pub(super) fn listen(window: &Window, page: Document, noticed: impl Fn(Sign) + 'static) {
    let document = page.clone();
    let function = Closure::<dyn Fn(Event)>::new(move |event: Event| {
        noticed(match event.type_().as_str() {
            "visibilitychange" if page.hidden() => Sign::Hidden,
            "pagehide" => Sign::Hidden,
            "visibilitychange" => Sign::Shown,
            "online" => Sign::Online,
            _ => Sign::Active,
        });
    });
    let function = function.into_js_value();
    let add = |target: &EventTarget, kind: &str| {
        let _ = target.add_event_listener_with_callback_and_bool(kind, function.unchecked_ref(), true);
    };
    add(&document, "visibilitychange");
    for kind in ["pagehide", "online", "pointerdown", "keydown", "scroll"] {
        add(window, kind);
    }
}
