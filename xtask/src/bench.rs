//! `cargo xtask bench`: measurements, against servers of their own where they need some.

use std::process::{Command, ExitCode};

use anyhow::{Context, bail};

use crate::children::{Running, Signal, catch_signals, tied};
use crate::root;
use crate::run::{run, step};
use crate::services::{Durability, Postgres, install_postgres};

struct Bench {
    name: &'static str,
    package: &'static str,
    about: &'static str,
}

const BENCHES: [Bench; 1] = [Bench {
    name: "commit",
    package: "tallymark-processor",
    about: "Events a second, CPU and bytes an event of the full commit, beside plain COPY or insert of the same rows",
}];

/// Prints what can be measured.
pub(crate) fn list() {
    println!(
        "Usage: cargo xtask bench NAME\n\nBenches, each with a fresh PostgreSQL that writes to disk as in production:"
    );
    for bench in &BENCHES {
        println!("  {:<12} {}", bench.name, bench.about);
    }
    println!("\nTALLYMARK_BENCH_EVENTS=N sets how many events are measured.");
}

/// Runs the bench called `name`.
///
/// # Errors
/// When there is none, or it fails.
pub(crate) fn bench(name: &str) -> anyhow::Result<ExitCode> {
    let Some(bench) = BENCHES.iter().find(|bench| bench.name == name) else {
        let names: Vec<&str> = BENCHES.iter().map(|bench| bench.name).collect();
        bail!("there is no bench `{name}`; there is: {}", names.join(", "));
    };
    eprintln!("Bench {name}");
    install_postgres()?;
    let arguments = ["bench", "--package", bench.package, "--bench", bench.name];
    step("compiling in release mode", || {
        run(Command::new("cargo").args(arguments).arg("--no-run").current_dir(root()?))
    })?;
    catch_signals()?;
    let postgres = Postgres::start(Durability::Full)?;
    let mut cargo = tied("cargo", Signal::Term, None)?;
    cargo.args(arguments).current_dir(root()?).env("TALLYMARK_TEST_DATABASE_URL", &postgres.url);
    let status = Running::start("cargo bench", &mut cargo, Signal::Term)?.wait()?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.with_context(|| format!("cargo bench ended with {status}"))?))
}
