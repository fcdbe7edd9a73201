// The core as a page with a script tag loads it: WebAssembly beside it, fetched at the same time.
import { __wbg_set_wasm, start } from "tallymark:glue";
import imports from "tallymark:imports";

export const load = (wasm) =>
  wasm
    .then((response) => response.arrayBuffer())
    .then((bytes) => WebAssembly.instantiate(bytes, imports))
    .then(({ instance }) => {
      __wbg_set_wasm(instance.exports);
      instance.exports.WASM_START();
      return start;
    });
