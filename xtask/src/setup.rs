//! Installing what the machine lacks.
//!
//! Nothing is installed that is there already, and nothing behind the user's back: each step is shown.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};

use crate::root;
use crate::run::{exists, run, step};

/// The target that the tracker is compiled for.
pub(crate) const WASM_TARGET: &str = "wasm32-unknown-unknown";

/// A program that a task needs, and the Debian package that brings it.
#[derive(Clone, Copy)]
pub(crate) struct Needed {
    /// The command's name.
    pub(crate) program: &'static str,
    /// The package's name on Debian and Ubuntu.
    pub(crate) package: &'static str,
}

/// Building the tracker, and driving a browser.
pub(crate) const NODE: [Needed; 2] =
    [Needed { program: "node", package: "nodejs" }, Needed { program: "npm", package: "npm" }];

/// Makes everything ready that building the tracker needs.
///
/// # Errors
/// Names what is missing where it cannot be installed from here.
pub(crate) fn tracker() -> anyhow::Result<()> {
    wasm_target()?;
    apt_install(&NODE)?;
    npm_ci(&root()?.join("npm"))
}

/// Installs the packages of the programs that are missing: as root on Debian or Ubuntu.
///
/// # Errors
/// Elsewhere, naming exactly what to install.
pub(crate) fn apt_install(needed: &[Needed]) -> anyhow::Result<()> {
    let missing: Vec<Needed> = needed.iter().copied().filter(|one| !exists(one.program)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().map(|one| one.package).collect();
    if !exists("apt-get") || !is_root() {
        let programs: Vec<&str> = missing.iter().map(|one| one.program).collect();
        bail!(
            "missing: {}. Install them; on Debian or Ubuntu: sudo apt-get install {}",
            programs.join(", "),
            packages.join(" ")
        );
    }
    step("updating the package index", || run(Command::new("apt-get").args(["update", "--quiet"])))?;
    step(&format!("installing {}", packages.join(", ")), || {
        run(Command::new("apt-get")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args(["install", "--yes", "--quiet", "--no-install-recommends"])
            .args(&packages))
    })
}

/// Adds the WebAssembly target to the toolchain in use.
///
/// # Errors
/// When it is missing and there is no rustup to bring it.
pub(crate) fn wasm_target() -> anyhow::Result<()> {
    let answer = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", WASM_TARGET])
        .output()
        .context("cannot start `rustc`")?;
    let folder = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
    if answer.status.success() && Path::new(&folder).is_dir() {
        return Ok(());
    }
    if !exists("rustup") {
        bail!(
            "this Rust toolchain lacks the target {WASM_TARGET}: install it (with rustup: rustup target add {WASM_TARGET})"
        );
    }
    step(&format!("adding the target {WASM_TARGET}"), || {
        run(Command::new("rustup").args(["target", "add", WASM_TARGET]))
    })
}

/// Installs a folder's npm packages by its lock file, unless that was done since the lock last changed.
///
/// # Errors
/// When `npm ci` fails.
pub(crate) fn npm_ci(folder: &Path) -> anyhow::Result<()> {
    let lock = fs::read(folder.join("package-lock.json"))
        .with_context(|| format!("{} has no package-lock.json", folder.display()))?;
    let done = folder.join("node_modules/.tallymark-lock");
    if fs::read(&done).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    step("installing npm packages", || {
        run(Command::new("npm")
            .args(["ci", "--no-audit", "--no-fund", "--loglevel=error"])
            .current_dir(folder))
    })?;
    fs::write(&done, lock).with_context(|| format!("cannot write {}", done.display()))
}

/// Whether we are the superuser.
pub(crate) fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|id| id.stdout.trim_ascii() == b"0")
}
