// The tracker's ears. They listen from the first moment on and give each call an id, a time and a number;
// what comes after (sessions, storage, sending) is the core's, which is loaded when the page is idle.
// Until it is there calls wait here, and where it never comes they are sent by hand when the page is left.
//
// A call that was numbered must become an event, since a missing number means a lost event. So whatever
// is not counted (a view that is counted already, an ignored click) is sorted out here, before the number.

const SDK = "tallymark-web/" + VERSION;

// Calls that may wait for the core. A page that never stops calling must not fill the memory.
const WAITING_MAX = 1000;

const SESSION_IDLE_MS = 30 * 60 * 1000;
const SESSION_MS_MAX = 24 * 60 * 60 * 1000;

// What a click counts on. Text fields are left out: a click into one says nothing yet.
const INTERACTIVE =
  "a[href],button,summary,[data-tm-event],[role=button],[role=link],[role=tab],[role=menuitem]," +
  "input[type=submit],input[type=button],input[type=checkbox],input[type=radio]";

const now = () => Math.round(performance.timeOrigin + performance.now());

// A UUIDv7: the time, then random bits.
const uuid = (at) => {
  const bytes = crypto.getRandomValues(new Uint8Array(10));
  bytes[0] = (bytes[0] & 15) | 112;
  bytes[2] = (bytes[2] & 63) | 128;
  let hex = at.toString(16).padStart(12, "0");
  for (const byte of bytes) hex += (byte + 256).toString(16).slice(1);
  return hex.replace(/(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
};

// Properties as JSON; empty for what is no object, or cannot be written.
const toJson = (props) => {
  try {
    return props && typeof props == "object" && !Array.isArray(props) ? JSON.stringify(props) : "";
  } catch {
    return "";
  }
};

// What a click was on. Never what somebody typed.
const describe = (element) => {
  const props = {
    tag: element.localName,
    id: element.id || undefined,
    text: /^(input|select|textarea)$/.test(element.localName)
      ? undefined
      : element.textContent.trim().replace(/\s+/g, " ").slice(0, 100) || undefined,
    href: (element.href && element.href.baseVal) || element.href,
  };
  for (const { name, value } of element.attributes) {
    if (name.startsWith("data-tm-prop-")) props[name.slice(13)] = value;
  }
  return props;
};

/**
 * Makes a tracker that does nothing until `init`, and nothing at all where there is no page.
 * @param {() => Promise<Function>} loadCore gives the core's `start`
 */
export const createTracker = (loadCore) => {
  let tab, head, url, prefix, core, busy, path, lastUrl, referrer, anonymousId, userId;
  let isPrivate = false;
  let seq = 0;
  let sentByHand = 0;
  let queue = [];

  // One value of storage; nothing where storage is missing, full or unwanted.
  const stored = (key, value) => {
    try {
      if (isPrivate) return;
      if (value === undefined) return localStorage.getItem(prefix + key);
      localStorage.setItem(prefix + key, value);
    } catch {}
  };

  // Hands what waits to the core, in order. A page's own code may run while the core works (it may have
  // replaced `fetch`) and call us again: then the call waits for its turn.
  const pump = () => {
    if (!core || busy) return;
    busy = true;
    try {
      for (; queue.length; queue.shift()) core(...queue[0]);
    } catch {
      core = 0; // a bug in the core: what waits goes by hand
    }
    busy = false;
  };

  // For calls that are no events.
  const control = (name, value = "") => {
    queue.push([name, value, 0, 0, "", "", "", ""]);
    pump();
  };

  const record = (name, props, at) => {
    at ||= now();
    seq++;
    if (queue.length < WAITING_MAX) {
      queue.push([name + "", uuid(at), at, seq, location.href, document.title, referrer || "", toJson(props)]);
    }
    pump();
  };

  const page = (props, _, at) => {
    referrer = path === undefined ? document.referrer : lastUrl;
    path = location.pathname;
    lastUrl = location.href;
    record("$pageview", props, at);
  };

  const click = (event) => {
    const element = event.composedPath()[0]?.closest?.(INTERACTIVE);
    if (element && !element.closest("[data-tm-ignore]")) {
      record(element.getAttribute("data-tm-event") || "$click", describe(element));
    }
  };

  // The events that wait, without the core: in the session that is stored, or a new one.
  const eventsByHand = () => {
    const events = [];
    anonymousId ||= stored("a") || uuid(now());
    userId ??= stored("u");
    let [session, began, active] = (stored("s") || "").split(" ");
    for (const [name, id, at, number, url, title, referrer, props] of queue.slice(sentByHand)) {
      if (!number) {
        if (name == "identify") stored("u", (userId = id));
        if (name == "reset") stored("u", (userId = session = "")), (anonymousId = uuid(now()));
        continue;
      }
      if (!session || Math.abs(at - active) >= SESSION_IDLE_MS || at - began >= SESSION_MS_MAX) {
        session = uuid((began = at));
      }
      active = at;
      const event = { id, name, occurred_at: at, tab_id: tab, seq: number, url, title, referrer, event_source: "web" };
      if (!isPrivate) {
        event.anonymous_id = anonymousId;
        event.session_id = session;
        if (userId) event.user_id = userId;
      }
      if (props) event.props = JSON.parse(props);
      events.push(JSON.stringify(event));
    }
    stored("a", anonymousId);
    if (session) stored("s", [session, began, active].join(" "));
    sentByHand = queue.length;
    return events;
  };

  // The page is left, and the core is not there: keep what waits as a record that any later page load
  // sends, and send it too.
  const leaveByHand = () => {
    if (core || queue.length == sentByHand) return;
    const events = eventsByHand();
    if (!events.length) return;
    const key = "q:" + tab + ".h" + seq;
    stored(key, head + "\n" + events.join("\n"));
    const body = '{"sent_at":' + now() + "," + head.slice(url.length + 1) + events + "]}";
    fetch(url, { method: "POST", body, keepalive: true, credentials: "omit" })
      .then((response) => response.ok && response.text())
      .then((text) => /"accepted":\s*\d/.test(text) && localStorage.removeItem(prefix + key))
      .catch(() => {});
  };

  const listen = () => {
    // After the current task: a router sets the title later, and may redirect at once.
    const navigated = () => setTimeout(() => location.pathname != path && page());
    for (const name of ["pushState", "replaceState"]) {
      const original = history[name];
      history[name] = function () {
        const result = original.apply(this, arguments);
        navigated();
        return result;
      };
    }
    addEventListener("popstate", navigated);
    // Back from the back/forward cache: a new view, though nothing was loaded.
    addEventListener("pageshow", (event) => event.persisted && page());
    // A page that the browser loads on suspicion is no view before somebody sees it.
    if (document.prerendering) document.addEventListener("prerenderingchange", () => page());
    else page();
  };

  const fetchCore = () =>
    loadCore()
      .then((start) => {
        core = start(window, { seq: () => ++seq }, prefix, head, tab, batch.size, batch.interval, isPrivate);
        pump();
      })
      .catch((error) => console.warn("tallymark:", error));

  const batch = { size: 50, interval: 2000 };

  const init = (options) => {
    if (head) return;
    if (!options.writeKey) throw "no write key";
    url = new URL("/capture", options.host || location.origin) + "?write_key=" + options.writeKey;
    prefix = "tm:" + options.writeKey + ":";
    batch.size = +options.batchSize || batch.size;
    batch.interval = +options.batchIntervalMs || batch.interval;
    isPrivate =
      options.persistence == "none" || navigator.globalPrivacyControl == true || navigator.doNotTrack == 1;
    const context = {
      screen: [screen.width, screen.height],
      viewport: [innerWidth, innerHeight],
      language: navigator.language,
      timezone: Intl.DateTimeFormat().resolvedOptions().timeZone,
    };
    head = url + '\n"sdk":"' + SDK + '","context":' + JSON.stringify(context) + ',"events":[';
    addEventListener("click", click, true);
    addEventListener("pagehide", leaveByHand);
    document.addEventListener("visibilitychange", () => document.hidden && leaveByHand());
    if (options.autoPageview + "" != "false") listen();
    // The page comes first; one that is never done loading has had its time.
    let asked;
    const whenIdle = () => {
      if (!asked) (window.requestIdleCallback || setTimeout)(fetchCore, { timeout: 1000 });
      asked = true;
    };
    if (document.readyState == "complete") whenIdle();
    addEventListener("load", whenIdle);
    setTimeout(whenIdle, 4000);
  };

  // Nothing that goes wrong in here may reach the page.
  const safely = (work) =>
    function () {
      try {
        if (typeof window == "undefined") return;
        tab ||= uuid(now());
        work.apply(this, arguments);
      } catch (error) {
        console.warn("tallymark:", error);
      }
    };

  return {
    init: safely(init),
    track: safely(record),
    page: safely(page),
    identify: safely((id, traits, at) => {
      id += "";
      // What programs write when they have no name would make one person of everybody.
      if (/^(|null|undefined|0)$/.test(id) || id.length > 128) return;
      control("identify", id);
      record("$identify", traits, at);
    }),
    reset: safely(() => control("reset")),
    flush: safely(() => control("flush")),
  };
};
