// The core as a page with a script tag loads it: WebAssembly beside it, fetched at the same time.
import { instantiate } from "./instantiate.js";

export const load = (wasm) => instantiate(wasm.then((response) => response.arrayBuffer()));
