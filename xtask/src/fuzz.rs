//! `cargo xtask fuzz`: bodies made up by a machine, for as long as it is told to.
//!
//! The targets are in `fuzz/`, in cargo-fuzz's layout. They are built here by the stable compiler, which can
//! instrument code as well as any; what it lacks are sanitizers, and safe code has little for them to find.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, bail};

use crate::children::{Running, Signal, catch_signals, tied};
use crate::run::{cargo, run, step};
use crate::setup::{Needed, apt_install};
use crate::{product, root};

struct Target {
    name: &'static str,
    /// The longest input. Longer ones find little and take long.
    bytes_max: u32,
    has_dictionary: bool,
}

const TARGETS: [Target; 2] = [
    Target { name: "capture", bytes_max: 20_000, has_dictionary: true },
    Target { name: "decompress", bytes_max: 8_000, has_dictionary: false },
];

/// How long all targets together run, unless it is said.
const SECONDS: u32 = 60;

/// What the fuzzer itself is compiled with.
const CXX: Needed = Needed { program: "c++", package: "g++" };

/// Makes the compiler tell the fuzzer which edges an input takes, and what it was compared with.
const INSTRUMENTATION: [&str; 6] = [
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
struct Wish<'a> {
    seconds: u32,
    /// One target, or all.
    target: Option<&'a str>,
}

impl<'a> Wish<'a> {
    fn parse(arguments: &[&'a str]) -> anyhow::Result<Self> {
        let mut wish = Self { seconds: SECONDS, target: None };
        let mut arguments = arguments.iter().copied();
        while let Some(argument) = arguments.next() {
            match argument {
                "--seconds" => {
                    let seconds = arguments.next().context("--seconds is followed by a number")?;
                    wish.seconds = seconds.parse().context("--seconds is followed by a number")?;
                }
                name if TARGETS.iter().any(|target| target.name == name) => wish.target = Some(name),
                other => {
                    let names = TARGETS.map(|target| target.name).join(", ");
                    bail!("`{other}` is no target; there is: {names}");
                }
            }
        }
        Ok(wish)
    }
}

/// Runs the targets, each for its share of the time, on the inputs in `fuzz/corpus/` and what it makes of them.
///
/// # Errors
/// When they cannot be built. An input that fails is in `fuzz/artifacts/`, and the exit code says so.
pub(crate) fn fuzz(arguments: &[&str]) -> anyhow::Result<ExitCode> {
    let wish = Wish::parse(arguments)?;
    let targets: Vec<&Target> =
        TARGETS.iter().filter(|target| wish.target.is_none_or(|name| name == target.name)).collect();
    eprintln!("Fuzz");
    apt_install(&[CXX])?;
    let programs = build()?;
    catch_signals()?;
    let count = u32::try_from(targets.len()).expect("they are few");
    for target in targets {
        let seconds = (wish.seconds / count).max(1);
        eprintln!("  {} for {seconds} s …", target.name);
        let mut command = command(target, &programs, seconds)?;
        let mut running = Running::start(target.name, command.stderr(Stdio::piped()), Signal::Term)?;
        running.on_stderr(|line| {
            // Not the words that it recommends for a dictionary: hundreds of lines.
            if !line.starts_with(['"', '#']) {
                eprintln!("    {line}");
            }
        });
        let status = running.wait()?;
        if !status.success() {
            eprintln!("  {} ended with {status}: what it failed on is in fuzz/artifacts/", target.name);
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds the targets; says in which folder they are.
fn build() -> anyhow::Result<PathBuf> {
    let (host, folder) = (host()?, product::target()?.join("fuzz"));
    step("compiling with instrumentation", || {
        let mut cargo = cargo();
        cargo.args(["build", "--release", "--bins"]).current_dir(root()?.join("fuzz"));
        // For a named target flags do not reach build scripts and macros, which are not under test.
        cargo.args(["--target", &host]).arg("--target-dir").arg(&folder);
        run(cargo.env_remove("CARGO_ENCODED_RUSTFLAGS").env("RUSTFLAGS", INSTRUMENTATION.join(" ")))
    })?;
    Ok(folder.join(host).join("release"))
}

fn host() -> anyhow::Result<String> {
    let answer = Command::new("rustc").arg("-vV").output().context("cannot start `rustc`")?;
    let said = String::from_utf8_lossy(&answer.stdout).into_owned();
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc does not say what it runs on")?.to_owned())
}

fn command(target: &Target, programs: &Path, seconds: u32) -> anyhow::Result<Command> {
    let (name, fuzz) = (target.name, root()?.join("fuzz"));
    // New inputs that are worth keeping: beside the committed ones, which are only read.
    let (found, artifacts) =
        (product::target()?.join("fuzz/corpus").join(name), fuzz.join("artifacts").join(name));
    for folder in [&found, &artifacts] {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let mut command = tied(programs.join(name), Signal::Term, None)?;
    command.arg(&found).arg(fuzz.join("corpus").join(name)).current_dir(&fuzz);
    command.arg(format!("-max_total_time={seconds}")).arg(format!("-max_len={}", target.bytes_max));
    command.arg(format!("-artifact_prefix={}/", artifacts.display()));
    command.args(["-timeout=10", "-rss_limit_mb=1024", "-print_final_stats=1", "-verbosity=0"]);
    if target.has_dictionary {
        command.arg(format!("-dict={}", fuzz.join("dictionaries").join(format!("{name}.dict")).display()));
    }
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_and_a_time_are_understood_in_any_order() {
        let wish = Wish { seconds: 5, target: Some("capture") };
        assert_eq!(Wish::parse(&["capture", "--seconds", "5"]).unwrap(), wish);
        assert_eq!(Wish::parse(&["--seconds", "5", "capture"]).unwrap(), wish);
        assert_eq!(Wish::parse(&[]).unwrap(), Wish { seconds: SECONDS, target: None });
        assert!(Wish::parse(&["--seconds"]).is_err());
        assert!(Wish::parse(&["nothing"]).is_err());
    }

    #[test]
    fn every_target_has_inputs_to_start_from() {
        for target in &TARGETS {
            let corpus = root().unwrap().join("fuzz/corpus").join(target.name);
            assert!(fs::read_dir(corpus).unwrap().count() > 10, "{}", target.name);
        }
    }
}
