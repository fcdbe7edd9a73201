// What a website imports. Importing does nothing, here and on a server; `init` does.
import { createTracker } from "./loader.js";

export const { init, track, page, identify, reset, flush } = /* #__PURE__ */ createTracker(() =>
  import("./core.js").then((core) => core.load()),
);
