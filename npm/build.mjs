// The JavaScript half of `cargo xtask build-tracker`: takes the folder of wasm-bindgen's output and leaves
// what pages load in dist/script/ (each file compressed beside it) and the npm package's files in dist/.
//
//   node build.mjs GLUE_FOLDER

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, deflateRawSync, gzipSync } from "node:zlib";

import { build } from "esbuild";
import { minify } from "terser";

const here = dirname(fileURLToPath(import.meta.url));
const source = (name) => join(here, "src", name);
const dist = join(here, "dist");
const { version } = JSON.parse(readFileSync(join(here, "package.json"), "utf8"));

// What every browser with WebAssembly's reference types has.
const FEATURES = [
  "bulk-memory",
  "bulk-memory-opt",
  "sign-ext",
  "mutable-globals",
  "nontrapping-float-to-int",
  "multivalue",
  "reference-types",
].map((feature) => `--enable-${feature}`);

const STRIP = ["--strip-debug", "--strip-producers", "--strip-target-features"];

/** Shrinks the core, then its names; says what each name became. */
function optimise(wasm, work) {
  const small = join(work, "small.wasm");
  const smallest = join(work, "smallest.wasm");
  const wasmOpt = (...args) => execFileSync(join(here, "node_modules/.bin/wasm-opt"), [...FEATURES, ...args], { encoding: "utf8" });
  wasmOpt("-Oz", "--converge", ...STRIP, wasm, "-o", small);
  // On its own: with other passes after it, its map would not be true.
  const map = JSON.parse(wasmOpt("--minify-imports-and-exports-and-modules", small, "-o", smallest));
  const names = new Map([...map.imports, ...map.exports].map((entry) => entry.slice(-2)));
  return { bytes: readFileSync(smallest), names };
}

/** The name that `name` has in the shrunk core. */
function shortName(names, name) {
  const short = names.get(name);
  if (!short) throw new Error(`the core does not export or import ${name}`);
  return short;
}

/** wasm-bindgen's glue, calling the shrunk core's exports, and a module that holds its imports. */
function rewriteGlue(folder, names) {
  const glue = readFileSync(join(folder, "core_bg.js"), "utf8").replace(
    /\bwasm\.(\w+)/g,
    (_, name) => `wasm.${shortName(names, name)}`,
  );
  const imported = [...glue.matchAll(/^export function (__wb\w+)/gm)].map((match) => match[1]);
  const used = imported.filter((name) => names.has(name));
  const list = used.map((name) => `${shortName(names, name)}: ${name}`);
  // The pass names the one module that everything is imported from `a`.
  const imports = `
    import { ${used.join(", ")} } from "tallymark:glue";
    export const imports = { a: { ${list.join(", ")} } };
    export const startName = ${JSON.stringify(shortName(names, "__wbindgen_start"))};`;
  return { glue, imports };
}

/** Bundles and shrinks one file. */
async function bundle(entry, { format = "esm", define = {}, modules = {}, external = [], glueFolder }) {
  const virtual = {
    name: "tallymark",
    setup(build) {
      build.onResolve({ filter: /^tallymark:/ }, ({ path }) => ({ path, namespace: "tallymark" }));
      build.onLoad({ filter: /.*/, namespace: "tallymark" }, ({ path }) => ({
        contents: modules[path.slice("tallymark:".length)],
        resolveDir: glueFolder,
      }));
    },
  };
  const { outputFiles } = await build({
    entryPoints: [source(entry)],
    bundle: true,
    write: false,
    format,
    target: "es2021",
    define: { VERSION: JSON.stringify(version), ...define },
    external,
    plugins: [virtual],
    logLevel: "warning",
  });
  const { code } = await minify(outputFiles[0].text, {
    ecma: 2020,
    module: format == "esm",
    toplevel: true,
    compress: { passes: 4, unsafe_arrows: true, pure_getters: true, booleans_as_integers: false },
    format: { comments: false },
  });
  return code;
}

/** Writes a file that a server serves, and its compressed forms beside it. */
function publish(name, contents) {
  const path = join(dist, "script", name);
  const bytes = Buffer.from(contents);
  writeFileSync(path, bytes);
  const params = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length };
  writeFileSync(`${path}.br`, brotliCompressSync(bytes, { params }));
  writeFileSync(`${path}.gz`, gzipSync(bytes, { level: 9 }));
}

/** `core.js` → `core.0123456789.js`: such a file never changes and may be cached for ever. */
function hashed(name, contents) {
  const hash = createHash("sha256").update(contents).digest("hex").slice(0, 10);
  return name.replace(".", `.${hash}.`);
}

async function main(glueFolder) {
  const work = mkdtempSync(join(tmpdir(), "tallymark-"));
  const { bytes, names } = optimise(join(glueFolder, "core_bg.wasm"), work);
  rmSync(work, { recursive: true });
  const { glue, imports } = rewriteGlue(glueFolder, names);
  const wasm = JSON.stringify(deflateRawSync(bytes, { level: 9 }).toString("base64"));
  const modules = { glue, imports, wasm: `export default ${wasm};` };

  rmSync(dist, { recursive: true, force: true });
  mkdirSync(join(dist, "script"), { recursive: true });

  const core = await bundle("core-script.js", { modules, glueFolder });
  const coreJs = hashed("core.js", core);
  const coreWasm = hashed("core.wasm", bytes);
  publish(coreJs, core);
  publish(coreWasm, bytes);
  const files = { CORE_JS: JSON.stringify(coreJs), CORE_WASM: JSON.stringify(coreWasm) };
  publish("t.js", await bundle("script.js", { format: "iife", define: files }));

  writeFileSync(join(dist, "core.js"), await bundle("core-npm.js", { modules, glueFolder }));
  writeFileSync(join(dist, "index.js"), await bundle("index.js", { external: ["./core.js"] }));
  cpSync(source("index.d.ts"), join(dist, "index.d.ts"));
}

await main(process.argv[2]);
