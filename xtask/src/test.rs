//! `cargo xtask test`: everything that the tests need, every test of every kind, and nothing left behind.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc;

use anyhow::{Context, ensure};

use crate::children::{Running, Signal, catch_signals, tied};
use crate::run::{cargo, exists, run, step};
use crate::serve::configuration;
use crate::services::{self, Durability, Postgres, Redis};
use crate::setup::{NODE, Needed, npm_ci};
use crate::{product, root, tracker};

/// Makes the certificates of a Redis that is spoken to in TLS.
const OPENSSL: Needed = Needed { program: "openssl", package: "openssl" };

/// The browser of the end-to-end tests, by the names under which people have it. The first is installed.
const CHROMIUM: [Needed; 4] = [
    Needed { program: "chromium", package: "chromium" },
    Needed { program: "chromium-browser", package: "chromium" },
    Needed { program: "google-chrome-stable", package: "chromium" },
    Needed { program: "google-chrome", package: "chromium" },
];

/// The packages whose tests run the product itself, with the tracker inside.
const WHOLE: [&str; 2] = ["tallymark", "tallymark-tests"];

/// Which tests run.
struct Selection<'a> {
    /// Packages; all if there are none.
    packages: Vec<&'a str>,
    /// The rest goes to `cargo test`: a part of the tests' names, `--test NAME`, `-- --nocapture` and the like.
    rest: Vec<&'a str>,
}

impl<'a> Selection<'a> {
    fn parse(arguments: &[&'a str]) -> anyhow::Result<Self> {
        let mut selection = Self { packages: Vec::new(), rest: Vec::new() };
        let mut arguments = arguments.iter().copied();
        while let Some(argument) = arguments.next() {
            match argument {
                "-p" | "--package" => {
                    selection.packages.push(arguments.next().context("-p is followed by a package's name")?);
                }
                "--" => {
                    selection.rest.push("--");
                    selection.rest.extend(arguments.by_ref());
                }
                other => selection.rest.push(other),
            }
        }
        Ok(selection)
    }

    fn is_everything(&self) -> bool {
        self.packages.is_empty()
    }

    /// Whether the product and its tracker have to be there.
    fn needs_product(&self) -> bool {
        self.is_everything() || self.packages.iter().any(|package| WHOLE.contains(package))
    }

    /// The packages as cargo's options. This program is tested apart: its dependencies are built for it already,
    /// and together with the product's they would be built once more.
    fn cargo_options(&self) -> Vec<&'a str> {
        if self.is_everything() {
            return vec!["--workspace", "--exclude", "xtask"];
        }
        self.packages.iter().flat_map(|package| ["--package", package]).collect()
    }
}

/// Passed and failed tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    passed: u64,
    failed: u64,
}

impl Tally {
    /// Adds what one line of a test program's output says.
    fn count(&mut self, line: &str) {
        // test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
        let Some(result) = line.strip_prefix("test result: ") else { return };
        for part in result.split(['.', ';']) {
            match part.trim().split_once(' ') {
                Some((number, "passed")) => self.passed += number.parse().unwrap_or(0),
                Some((number, "failed")) => self.failed += number.parse().unwrap_or(0),
                _ => {}
            }
        }
    }
}

/// Runs the tests that `arguments` select, and says how many passed as the last line.
///
/// # Errors
/// When something is missing or does not compile, or no test is selected.
pub(crate) fn test(arguments: &[&str]) -> anyhow::Result<ExitCode> {
    let selection = Selection::parse(arguments)?;
    eprintln!("Test");
    prepare(&selection)?;
    catch_signals()?;
    let (postgres, redis) = (Postgres::start(Durability::None)?, Redis::start()?);
    let mut variables = vec![
        ("TALLYMARK_TEST_DATABASE_URL", postgres.url.clone()),
        ("TALLYMARK_TEST_REDIS_URL", redis.url.clone()),
    ];
    if selection.needs_product() {
        variables.push(("TALLYMARK_TEST_BINARY", debug_product()?.display().to_string()));
        variables.push(("TALLYMARK_TEST_CHROMIUM", path_of(chromium().program)?));
    }
    let mut tally = cargo_test(&selection.cargo_options(), &selection.rest, &variables)?;
    if selection.is_everything() {
        let own = cargo_test(&["--package", "xtask"], &selection.rest, &variables)?;
        tally = Tally { passed: tally.passed + own.passed, failed: tally.failed + own.failed };
    }
    drop((postgres, redis));
    ensure!(tally != Tally::default(), "no test is called like that: {}", arguments.join(" "));
    println!("{} passed, {} failed", tally.passed, tally.failed);
    Ok(if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Installs and builds. Failing here takes no server up and down.
fn prepare(selection: &Selection<'_>) -> anyhow::Result<()> {
    let whole = selection.needs_product();
    let mut needed = Vec::new();
    if whole {
        needed.extend(NODE);
        needed.push(chromium());
    }
    needed.push(OPENSSL);
    services::install(&needed)?;
    if whole {
        tracker::build()?;
        npm_ci(&root()?.join("tests/browser"))?;
    }
    // With `--tests`, as `cargo test` does it: dependencies are built once, with the same features.
    step("compiling the tests", || {
        run(build()?.args(selection.cargo_options()).args(["--bins", "--tests"]))
    })?;
    if whole && !selection.is_everything() {
        step("compiling the product", || run(build()?.args(["--package", "tallymark"])))?;
    }
    Ok(())
}

fn build() -> anyhow::Result<Command> {
    let mut cargo = cargo();
    cargo.arg("build").current_dir(root()?);
    Ok(cargo)
}

/// The browser that is there, or the one to install.
fn chromium() -> Needed {
    CHROMIUM.into_iter().find(|browser| exists(browser.program)).unwrap_or(CHROMIUM[0])
}

/// Where the shell finds `program`: what drives the browser wants a path.
fn path_of(program: &str) -> anyhow::Result<String> {
    let answer = Command::new("sh").args(["-c", "command -v \"$1\"", "sh", program]).output();
    let answer = answer.context("cannot start `sh`")?;
    ensure!(answer.status.success(), "`{program}` is not found");
    Ok(String::from_utf8_lossy(&answer.stdout).trim().to_owned())
}

fn debug_product() -> anyhow::Result<PathBuf> {
    Ok(product::target()?.join("debug/tallymark"))
}

/// Runs `cargo test`, shows what it says as it comes, and counts.
fn cargo_test(options: &[&str], rest: &[&str], variables: &[(&str, String)]) -> anyhow::Result<Tally> {
    let mut cargo = tied("cargo", Signal::Term, None)?;
    cargo.current_dir(root()?).arg("test").args(options).arg("--no-fail-fast").args(rest);
    for name in configuration() {
        cargo.env_remove(name);
    }
    cargo.envs(variables.iter().map(|(name, value)| (name, value))).stdout(Stdio::piped());
    let mut running = Running::start("cargo test", &mut cargo, Signal::Term)?;
    let (send, receive) = mpsc::channel();
    let mut tally = Tally::default();
    running.on_stdout(move |line| {
        // Nobody to show it to is no reason to stop testing.
        let _ = writeln!(std::io::stdout(), "{line}");
        tally.count(line);
        let _ = send.send(tally);
    });
    let status = running.wait()?;
    let mut tally = receive.try_iter().last().unwrap_or_default();
    if !status.success() && tally.failed == 0 {
        eprintln!("  a test program ended without saying a result: counted as one that failed");
        tally.failed = 1;
    }
    Ok(tally)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_added_up_over_programs() {
        let mut tally = Tally::default();
        for line in [
            "running 3 tests",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 9 filtered out; finished in 0.00s",
            "test result: FAILED. 2 passed; 4 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s",
        ] {
            tally.count(line);
        }
        assert_eq!(tally, Tally { passed: 5, failed: 4 });
    }

    #[test]
    fn packages_are_told_from_what_cargo_gets() {
        let selection = Selection::parse(&["redis", "-p", "tallymark-queue", "--", "-p"]).unwrap();
        assert_eq!(selection.packages, ["tallymark-queue"]);
        assert_eq!(selection.rest, ["redis", "--", "-p"]);
        assert!(!selection.needs_product());
        assert!(Selection::parse(&["redis"]).unwrap().needs_product());
        assert!(Selection::parse(&["-p"]).is_err());
    }
}
