//! Build and development automation: `cargo xtask COMMAND`.
//!
//! Never part of the product. Each command is a module; this file only picks one.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

mod run;
mod setup;
mod size;
mod tracker;

/// What `--help` says.
const HELP: &str = "\
Build and development automation.

Usage: cargo xtask COMMAND

Commands:
  build-tracker  Build the tracker into npm/dist/: the files that a server serves, and the npm package
  size           Show what the tracker costs a page, and fail past the budget
  setup          Install what building needs and the machine lacks
  help           Show this text
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match dispatch(&arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: &[&str]) -> anyhow::Result<ExitCode> {
    match arguments {
        [] | ["help" | "--help" | "-h", ..] | [_, "--help" | "-h"] => {
            print!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
        ["build-tracker"] => tracker::build().map(|()| ExitCode::SUCCESS),
        ["size"] => size::show(),
        ["setup"] => setup::tracker().map(|()| ExitCode::SUCCESS),
        [unknown, ..] => anyhow::bail!("unknown command or option: {unknown} (see cargo xtask --help)"),
    }
}

/// The workspace's folder.
fn root() -> anyhow::Result<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    Ok(folder.parent().context("xtask lies within the workspace")?.to_path_buf())
}
