//! The tracker of one page load: takes calls, asks the core, does what it says.

use alloc::rc::Rc;
use alloc::string::String;
use core::cell::{OnceCell, RefCell};

use tallymark_protocol::names::{ENGAGED_MS_PROP, PAGELEAVE, PAGEVIEW};
use wasm_bindgen::JsValue;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::prelude::wasm_bindgen;
use web_sys::{Document, Window};

use super::clock::Clock;
use super::listen::{Sign, listen};
use super::send::{Answered, send};
use super::storage::Shelf;
use super::timer::Timer;
use crate::core::{Answer, Delivery, Engagement, Event, Head, Moment, RawJson, Session, Step, write_u64};

/// Names of what is kept in storage, after the write key's prefix.
const ANONYMOUS_ID: &str = "a";
const USER_ID: &str = "u";
const SESSION: &str = "s";
const RECORDS: &str = "q:";

/// Which kind of app this is.
const EVENT_SOURCE: &str = "web";

/// Calls that are no events; they come with number 0, which no event has.
const IDENTIFY_AS: &str = "identify";
const RESET: &str = "reset";
const FLUSH: &str = "flush";

#[wasm_bindgen]
extern "C" {
    /// What the core wants from the loader.
    pub type Loader;

    /// The number of an event that the tracker makes by itself.
    #[wasm_bindgen(method, js_name = seq)]
    fn next_seq(this: &Loader) -> u32;
}

type Call = Closure<dyn Fn(String, String, f64, u32, String, String, String, String)>;

/// Starts the tracker; gives back the function that takes the loader's calls:
/// `(name, id, occurred_at, seq, url, title, referrer, props)`, where `props` is JSON or empty.
///
/// `head` is the first two lines of every record of this page load, `prefix` what its keys in storage
/// start with. With `private`, nothing is written to the device and no event names a visitor or a person.
#[expect(clippy::too_many_arguments, reason = "an object would cost the page an import for each field")]
#[wasm_bindgen]
pub fn start(
    window: Window,
    loader: Loader,
    prefix: String,
    head: String,
    tab_id: String,
    batch_events: u32,
    batch_interval_ms: u32,
    private: bool,
) -> Option<JsValue> {
    let document = window.document()?;
    let clock = Clock::new(&window)?;
    let mut key_prefix = String::from(RECORDS);
    key_prefix.push_str(&tab_id);
    key_prefix.push('.');
    let shelf = Shelf::open(&window, prefix, private);
    let mut delivery = Delivery::new(
        Head(head),
        key_prefix,
        batch_events as usize,
        u64::from(batch_interval_ms),
        clock.dice(),
    );
    for (name, text) in shelf.leavings(RECORDS) {
        if let Some(change) = delivery.adopt(name, text) {
            shelf.apply(change);
        }
    }
    let anonymous_id = shelf.get(ANONYMOUS_ID);
    let user_id = shelf.get(USER_ID);
    let mut state = State {
        shelf,
        delivery,
        tab_id,
        private,
        page: document,
        clock,
        loader,
        anonymous_id: anonymous_id.unwrap_or_default(),
        user_id,
        session: None,
        view: View::default(),
    };
    if state.anonymous_id.is_empty() {
        state.renew_visitor();
    }
    Some(Tracker::start(state, window))
}

/// The view that is shown: what its `$pageleave` says.
#[derive(Default)]
struct View {
    url: String,
    title: String,
    referrer: String,
    engagement: Engagement,
}

struct State {
    shelf: Shelf,
    delivery: Delivery,
    tab_id: String,
    /// Nothing is kept on the device, and nobody is named.
    private: bool,
    page: Document,
    clock: Clock,
    loader: Loader,
    anonymous_id: String,
    user_id: Option<String>,
    /// The session of the last activity in this tab.
    session: Option<Session>,
    view: View,
}

struct Tracker {
    state: RefCell<State>,
    timer: OnceCell<Timer>,
    answered: OnceCell<Answered>,
}

impl Tracker {
    fn start(state: State, window: Window) -> JsValue {
        let page = state.page.clone();
        let tracker =
            Rc::new(Self { state: RefCell::new(state), timer: OnceCell::new(), answered: OnceCell::new() });
        let on_timer = tracker.clone();
        let on_answer = tracker.clone();
        tracker.answered.get_or_init(|| {
            Closure::new(move |flight, status, acknowledged, retry_after_s| {
                on_answer.answered(flight, Answer { status, acknowledged, retry_after_s });
            })
        });
        let on_sign = tracker.clone();
        listen(&window, page, move |sign| on_sign.notice(&sign));
        let run = Closure::new(move || {
            if let Some(timer) = on_timer.timer.get() {
                timer.rang();
            }
            on_timer.pump(Moment::Staying);
        });
        tracker.timer.get_or_init(|| Timer::new(window, run));
        tracker.pump(Moment::Staying);
        Call::new(move |name, id, at, seq, url, title, referrer, props| {
            let call = LoaderCall { name, id, at: at as u64, seq, url, title, referrer, props };
            tracker.state.borrow_mut().take(call);
            tracker.pump(Moment::Staying);
        })
        .into_js_value()
    }

    fn notice(&self, sign: &Sign) {
        let mut state = self.state.borrow_mut();
        let now = state.clock.now_ms();
        let mut moment = Moment::Staying;
        match sign {
            Sign::Active => return state.view.engagement.note_activity(now),
            Sign::Shown => state.view.engagement.show(now),
            Sign::Online => state.delivery.hurry(),
            Sign::Hidden => {
                state.leave_view(now);
                moment = Moment::Leaving;
            }
        }
        drop(state);
        self.pump(moment);
    }

    fn answered(&self, flight: u32, answer: Answer) {
        let mut state = self.state.borrow_mut();
        let now = state.clock.now_ms();
        for change in state.delivery.answered(flight, answer, now) {
            state.shelf.apply(change);
        }
        drop(state);
        self.pump(Moment::Staying);
    }

    /// Does what is due. Requests are made while nothing is borrowed: a page may have put its own
    /// function in the place of `fetch`, and call the tracker from there.
    fn pump(&self, moment: Moment) {
        loop {
            let mut state = self.state.borrow_mut();
            let now = state.clock.now_ms();
            let step = state.delivery.next(moment, now);
            drop(state);
            match (step, self.answered.get(), self.timer.get()) {
                (Step::Send(envelope), Some(answered), _) => {
                    send(&envelope.url, &envelope.body, envelope.keepalive, envelope.flight, answered);
                }
                (Step::Wait(after_ms), _, Some(timer)) => return timer.set(now, now + after_ms),
                _ => return,
            }
        }
    }
}

/// A call as the loader stamped it.
struct LoaderCall {
    name: String,
    id: String,
    at: u64,
    seq: u32,
    url: String,
    title: String,
    referrer: String,
    props: String,
}

impl State {
    fn take(&mut self, call: LoaderCall) {
        match (call.seq, call.name.as_str()) {
            (0, IDENTIFY_AS) => self.identify(call.id),
            (0, RESET) => self.reset(),
            (0, FLUSH) => self.delivery.hurry(),
            (0, _) => {}
            (_, name) => {
                let is_view = name == PAGEVIEW;
                if is_view {
                    self.leave_view(call.at);
                }
                self.note_activity(call.at);
                self.record(&call);
                if is_view {
                    self.begin_view(call);
                }
            }
        }
    }

    fn begin_view(&mut self, call: LoaderCall) {
        let mut engagement = Engagement::default();
        if !self.page.hidden() {
            engagement.show(call.at);
        }
        self.view = View { url: call.url, title: call.title, referrer: call.referrer, engagement };
    }

    /// Ends a visible stretch of the view. It belongs to the session of the view, and is no activity: it
    /// never begins a session.
    fn leave_view(&mut self, now: u64) {
        let Some(engaged_ms) = self.view.engagement.leave(now) else { return };
        if self.session.as_ref().is_some_and(|session| session.is_outlived(now)) {
            return; // the server would open another session for it
        }
        let mut props = String::from("{\"");
        props.push_str(ENGAGED_MS_PROP);
        props.push_str("\":");
        write_u64(&mut props, engaged_ms);
        props.push('}');
        let view = core::mem::take(&mut self.view);
        let call = LoaderCall {
            name: PAGELEAVE.into(),
            id: self.clock.fresh_id(now),
            at: now,
            seq: self.loader.next_seq(),
            url: view.url,
            title: view.title,
            referrer: view.referrer,
            props,
        };
        self.record(&call);
        self.view =
            View { url: call.url, title: call.title, referrer: call.referrer, engagement: view.engagement };
    }

    /// Finds or begins the session that activity at `at` belongs to. Storage is asked each time: other
    /// tabs are active too.
    fn note_activity(&mut self, at: u64) {
        if self.private {
            return;
        }
        let stored = self.shelf.get(SESSION).and_then(|text| Session::parse(&text)).or(self.session.take());
        let (mut session, fresh) = match stored.filter(|session| !session.is_over(at)) {
            Some(session) => (session, false),
            None => (Session::begin(self.clock.fresh_id(at), at), true),
        };
        if session.note_activity(at) || fresh {
            self.shelf.set(SESSION, &session.to_text());
        }
        self.session = Some(session);
    }

    fn record(&mut self, call: &LoaderCall) {
        let event = Event {
            id: &call.id,
            name: &call.name,
            occurred_at: call.at,
            anonymous_id: (!self.private).then_some(&self.anonymous_id),
            user_id: self.user_id.as_deref(),
            session_id: self.session.as_ref().map(|session| session.id.as_str()),
            tab_id: &self.tab_id,
            seq: call.seq,
            url: &call.url,
            title: &call.title,
            referrer: &call.referrer,
            event_source: EVENT_SOURCE,
            props: (!call.props.is_empty()).then_some(RawJson(&call.props)),
        };
        if let Some((key, text)) = self.delivery.push(&event.to_json(), call.at) {
            self.shelf.set(key, text);
        }
    }

    fn identify(&mut self, user_id: String) {
        if !self.private {
            self.shelf.set(USER_ID, &user_id);
            self.user_id = Some(user_id);
        }
    }

    /// From here on this is somebody else.
    fn reset(&mut self) {
        self.shelf.remove(USER_ID);
        self.shelf.remove(SESSION);
        self.user_id = None;
        self.session = None;
        self.renew_visitor();
    }

    fn renew_visitor(&mut self) {
        self.anonymous_id = self.clock.fresh_id(self.clock.now_ms());
        self.shelf.set(ANONYMOUS_ID, &self.anonymous_id);
    }
}
