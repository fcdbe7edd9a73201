// wasm-bindgen's part of starting the core, for names that build.mjs has shortened.
import { __wbg_set_wasm, start } from "tallymark:glue";
import { imports, startName } from "tallymark:imports";

/**
 * @param {Promise<ArrayBuffer>} bytes
 * @returns {Promise<typeof start>}
 */
export const instantiate = async (bytes) => {
  const { instance } = await WebAssembly.instantiate(await bytes, imports);
  __wbg_set_wasm(instance.exports);
  instance.exports[startName]();
  return start;
};
