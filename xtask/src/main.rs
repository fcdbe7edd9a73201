//! Build and development automation: `cargo xtask COMMAND`.
//!
//! Never part of the product. Each command is a module; this file only picks one.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

use crate::children::Interrupted;

mod bench;
mod children;
mod fuzz;
mod product;
mod run;
mod scratch;
mod serve;
mod services;
mod setup;
mod size;
mod test;
mod tracker;

/// What `--help` says.
const HELP: &str = "\
Build and development automation. What is missing is installed first, where that can be done from here.

Usage: cargo xtask COMMAND

To see it work:
  serve [--full]     Build it and show the demo: one process, with everything embedded in tallymark-data/.
                     --full: a collector and a processor over a private Redis and PostgreSQL, all gone at the end.
                     Further options go to tallymark: cargo xtask serve --listen 127.0.0.1:9000
  build              Build the tracker and, around it, the server: target/release/tallymark

To change it:
  test [FILTER]      Run every test, or those whose name contains FILTER, with a private PostgreSQL and Redis.
                     -p PACKAGE (repeatable) runs one package's; the rest goes to cargo test:
                       cargo xtask test redelivered
                       cargo xtask test -p tallymark-queue --test contract -- --nocapture
  bench [NAME]       Measure; without NAME, list what can be measured
  fuzz [TARGET]      Feed the parsers of what strangers send with what a machine makes up; --seconds N in all
  build-tracker      Build the tracker into npm/dist/: the files that a server serves, and the npm package
  size               Show what the tracker costs a page, and fail past the budget
  setup              Install what building needs and the machine lacks
  help               Show this text
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match dispatch(&arguments) {
        Ok(code) => code,
        // What a shell says of a program that Ctrl-C ended.
        Err(error) if error.is::<Interrupted>() => {
            eprintln!("interrupted: stopped and deleted what was started");
            ExitCode::from(130)
        }
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
        ["build"] => product::build().map(|_| ExitCode::SUCCESS),
        ["serve", options @ ..] => serve::serve(options),
        ["test", selection @ ..] => test::test(selection),
        ["bench"] => {
            bench::list();
            Ok(ExitCode::SUCCESS)
        }
        ["bench", name] => bench::bench(name),
        ["fuzz", wish @ ..] => fuzz::fuzz(wish),
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
