//! Running other programs, visibly.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context, bail};

/// Runs `work` as a step of which the user sees the name before and the time after.
///
/// # Errors
/// What `work` fails with, named by the step.
pub(crate) fn step<T>(name: &str, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    eprintln!("  {name} …");
    let started = Instant::now();
    let done = work().with_context(|| format!("{name} failed"))?;
    eprintln!("  {name}: {:.1} s", started.elapsed().as_secs_f32());
    Ok(done)
}

/// Cargo, as a person at a shell would start it.
///
/// We are started by cargo ourselves, which says in the environment what package we are. Build scripts that look at
/// that (ring's does) would run anew each time somebody else starts cargo, and what depends on them be compiled anew.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new("cargo");
    let ours = std::env::vars_os().map(|(name, _)| name).filter(|name| {
        name.to_str()
            .is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
    });
    for name in ours {
        cargo.env_remove(name);
    }
    cargo
}

/// Runs `command` and waits; its output goes where ours goes.
///
/// # Errors
/// When it cannot be started, or does not succeed.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| format!("cannot start `{program}`"))?;
    if !status.success() {
        bail!("`{program}` ended with {status}");
    }
    Ok(())
}

/// Whether `program` can be started, and works: some name a program that only says how to install it.
pub(crate) fn exists(program: &str) -> bool {
    let says = |version| Command::new(program).arg(version).output().is_ok_and(|said| said.status.success());
    says("--version") || says("version") // openssl's way
}
