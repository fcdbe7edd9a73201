// The script-tag build, t.js:
//
//   <script async src="https://HOST/t.js" data-write-key="wk_…"></script>
//
// Options are data attributes; the collector is where this file came from unless data-host says otherwise.

import { createTracker } from "./loader.js";

const script = document.currentScript;
const stub = window.tallymark;

// A second tag on the same page does nothing.
if (script && (!stub || stub.q)) {
  const at = (file) => new URL(file, script.src);
  const tracker = createTracker(() => {
    const wasm = fetch(at(CORE_WASM));
    wasm.catch(() => {}); // reported by the core
    return import(at(CORE_JS)).then((core) => core.load(wasm));
  });
  window.tallymark = tracker;
  tracker.init({ host: script.src, ...script.dataset });
  // Calls that the page made before this file was there, with the time at which it made them.
  if (stub) for (const [name, [first, second], time] of stub.q) tracker[name]?.(first, second, time);
}
