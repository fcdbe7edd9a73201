//! Building the product: the server, in release mode, with the tracker inside.

use std::path::PathBuf;

use anyhow::Context;

use crate::run::{cargo, run, step};
use crate::{root, tracker};

/// Builds the tracker and then `target/release/tallymark` around it; says where that is.
///
/// # Errors
/// When a step fails; the step is named.
pub(crate) fn build() -> anyhow::Result<PathBuf> {
    tracker::build()?;
    eprintln!("Server");
    step("compiling in release mode", || {
        run(cargo().args(["build", "--release", "--package", "tallymark"]).current_dir(root()?))
    })?;
    let program = target()?.join("release/tallymark");
    eprintln!("  {}", program.display());
    Ok(program)
}

/// Cargo's target folder: this program was built into it.
///
/// # Errors
/// When the system does not say where this program is.
pub(crate) fn target() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe().context("where is this program?")?;
    // target/debug/xtask
    Ok(program.ancestors().nth(2).context("this program lies in cargo's target folder")?.to_path_buf())
}
