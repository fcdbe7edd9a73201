//! Building the tracker: Rust → WebAssembly → glue → the files that pages load.
//!
//! The steps that are JavaScript's own (wasm-opt, bundling, compressing) are in `npm/build.mjs`.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use wasm_bindgen_cli_support::{Bindgen, EncodeInto};

use crate::root;
use crate::run::{cargo, run, step};
use crate::setup::{self, WASM_TARGET};

/// Builds `npm/dist/`; does nothing where neither the compiled tracker nor its JavaScript changed.
///
/// # Errors
/// When a step fails; the step is named.
pub(crate) fn build() -> anyhow::Result<()> {
    eprintln!("Tracker");
    setup::tracker()?;
    let root = root()?;
    let target = root.join("target/tracker");
    // Its own folder: the product's build and this one do not wait for each other's lock.
    step("compiling to WebAssembly", || {
        run(cargo()
            .args(["build", "--quiet", "--package", "tallymark-sdk", "--lib", "--profile", "tracker"])
            .args(["--target", WASM_TARGET, "--target-dir"])
            .arg(&target)
            .env("CARGO_ENCODED_RUSTFLAGS", rustflags(&root)?)
            .current_dir(&root))
    })?;
    let wasm = target.join(WASM_TARGET).join("tracker/tallymark_sdk.wasm");
    let npm = root.join("npm");
    let fingerprint = fingerprint(&wasm, &npm)?;
    let mark = npm.join("dist/.fingerprint");
    if fs::read_to_string(&mark).is_ok_and(|built| built == fingerprint) {
        eprintln!("  unchanged: npm/dist/ is up to date");
        return Ok(());
    }
    let glue = target.join("glue");
    step("generating glue", || generate_glue(&wasm, &glue))?;
    step("optimising, bundling, compressing", || {
        run(Command::new("node").arg(npm.join("build.mjs")).arg(&glue).current_dir(&npm))
    })?;
    fs::write(&mark, fingerprint).with_context(|| format!("cannot write {}", mark.display()))
}

/// Panics name source files, in every visitor's browser: short names, without this machine's folders.
fn rustflags(root: &Path) -> anyhow::Result<String> {
    let sysroot =
        Command::new("rustc").args(["--print", "sysroot"]).output().context("cannot start `rustc`")?;
    let sysroot = String::from_utf8_lossy(&sysroot.stdout).trim().to_owned();
    let mut folders = vec![sysroot + "/lib/rustlib/src/rust/library", root.display().to_string()];
    if let Some(registry) = registry_sources() {
        folders.push(registry.display().to_string());
    }
    let flags: Vec<String> = folders.iter().map(|folder| format!("--remap-path-prefix={folder}/=")).collect();
    Ok(flags.join("\x1f"))
}

/// Where cargo keeps the sources of other crates.
#[expect(clippy::disallowed_methods, reason = "the folder is cargo's, and cargo names it in the environment")]
fn registry_sources() -> Option<PathBuf> {
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")))?;
    let index = fs::read_dir(home.join("registry/src")).ok()?.next()?.ok()?;
    Some(index.path())
}

fn generate_glue(wasm: &Path, folder: &Path) -> anyhow::Result<()> {
    // What an older version generated must not be bundled.
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    Bindgen::new()
        .input_path(wasm)
        .out_name("core")
        .bundler(true)?
        .typescript(false)
        // Every browser with WebAssembly reference types has `TextEncoder.encodeInto`.
        .encode_into(EncodeInto::Always)
        .generate(folder)
}

/// Changes whenever `npm/dist/` would.
fn fingerprint(wasm: &Path, npm: &Path) -> anyhow::Result<String> {
    let mut inputs = vec![
        wasm.to_path_buf(),
        npm.join("build.mjs"),
        npm.join("package.json"),
        npm.join("package-lock.json"),
    ];
    let mut sources: Vec<PathBuf> = Vec::new();
    for folder in [npm.join("src"), npm.join("../sdk/src/browser")] {
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
            sources.push(entry?.path());
        }
    }
    sources.sort();
    inputs.extend(sources);
    let mut hasher = DefaultHasher::new();
    for path in inputs {
        path.file_name().hash(&mut hasher);
        fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?.hash(&mut hasher);
    }
    Ok(format!("{:016x}", hasher.finish()))
}
