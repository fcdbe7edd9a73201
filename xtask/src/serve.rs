//! `cargo xtask serve`: the product with its demo, from a clone to a browser in one command.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, bail};

use crate::children::{Interrupted, Running, Signal, catch_signals, pause, tied};
use crate::run::{run, step};
use crate::scratch::Scratch;
use crate::services::{self, Durability, Postgres, Redis};
use crate::{product, root};

/// What shows the demo.
#[derive(Debug, PartialEq, Eq)]
struct Demo<'a> {
    /// Two roles over Redis and PostgreSQL, instead of one process with everything embedded.
    is_full: bool,
    /// Further options of `tallymark`.
    options: Vec<&'a str>,
}

impl<'a> Demo<'a> {
    fn parse(arguments: &[&'a str]) -> Self {
        let mut demo = Self { is_full: false, options: Vec::new() };
        for argument in arguments.iter().copied() {
            match argument {
                "--full" => demo.is_full = true,
                "--" => {}
                other => demo.options.push(other),
            }
        }
        demo
    }
}

/// Builds and shows the demo until Ctrl-C.
///
/// # Errors
/// When something is missing or does not build, or a server ends by itself.
pub(crate) fn serve(arguments: &[&str]) -> anyhow::Result<ExitCode> {
    let demo = Demo::parse(arguments);
    if demo.is_full {
        services::install(&[])?;
    }
    let program = product::build()?;
    eprintln!("Demo (stop it with Ctrl-C)");
    if demo.is_full { full(&program, &demo.options) } else { embedded(&program, &demo.options) }
}

/// Becomes the server: signals and the exit code are its own.
fn embedded(program: &Path, options: &[&str]) -> anyhow::Result<ExitCode> {
    let folder = root()?.join("tallymark-data");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    eprintln!("  embedded queue and SQLite in {}", folder.display());
    let mut server = unconfigured(Command::new(program), &folder);
    server.args(["serve", "--demo"]).args(options);
    if !options.iter().any(|option| option.starts_with("--data-dir")) {
        server.arg("--data-dir").arg(&folder);
    }
    Err(server.exec()).with_context(|| format!("cannot start {}", program.display()))
}

/// Everything starts empty and is deleted at the end.
fn full(program: &Path, options: &[&str]) -> anyhow::Result<ExitCode> {
    catch_signals()?;
    // Dropped from the last to the first: no server outlives what it needs.
    let postgres = Postgres::start(Durability::Full)?;
    let redis = Redis::start()?;
    let scratch = Scratch::new("demo", None)?;
    eprintln!("  Redis at {}, PostgreSQL at {}", redis.url, postgres.url);
    let folder = scratch.folder("data", None)?;
    let start = |role: &'static str, flags: &[&str]| -> anyhow::Result<Running> {
        let mut server = unconfigured(tied(program, Signal::Term, None)?, &folder);
        server.arg(role).args(flags).arg("--data-dir").arg(&folder).args(options);
        server.args(["--redis-url", &redis.url, "--database-url", &postgres.url]).stderr(Stdio::piped());
        let mut running = Running::start(role, &mut server, Signal::Term)?;
        running.on_stderr(move |line| {
            // Nobody to show it to is no reason to stop.
            let _ = writeln!(std::io::stderr(), "{role:>7} | {line}");
        });
        Ok(running)
    };
    step("making the schema", || {
        let mut migrate = unconfigured(Command::new(program), &folder);
        run(migrate.args(["migrate", "--database-url", &postgres.url]).stdout(Stdio::null()))
    })?;
    // Stopped in this order: what was captured to the last is still processed.
    let mut servers = [start("collect", &["--demo"])?, start("process", &[])?];
    loop {
        for server in &mut servers {
            if let Some(status) = server.poll()? {
                bail!("`tallymark {}` ended with {status}", server.name());
            }
        }
        if let Err(Interrupted) = pause() {
            eprintln!("  stopping");
            return Ok(ExitCode::SUCCESS);
        }
    }
}

/// The same demo on every machine: no address of somebody's real database or Redis is taken from the environment,
/// a `.env` or a `tallymark.toml`.
fn unconfigured(mut command: Command, folder: &Path) -> Command {
    for name in configuration() {
        command.env_remove(name);
    }
    command.current_dir(folder);
    command
}

/// The environment's variables that configure `tallymark`.
pub(crate) fn configuration() -> impl Iterator<Item = OsString> {
    let configures = |name: &OsStr| {
        let name = name.to_string_lossy();
        name == "REDIS_URL"
            || name == "DATABASE_URL"
            || (name.starts_with("TALLYMARK_") && !name.starts_with("TALLYMARK_TEST_"))
    };
    std::env::vars_os().map(|(name, _)| name).filter(move |name| configures(name))
}

#[cfg(test)]
mod tests {
    use super::Demo;

    #[test]
    fn options_are_passed_on_with_and_without_dashes_before_them() {
        let options = vec!["--listen", "127.0.0.1:0"];
        let demo = Demo { is_full: true, options };
        assert_eq!(Demo::parse(&["--full", "--", "--listen", "127.0.0.1:0"]), demo);
        assert_eq!(Demo::parse(&["--listen", "127.0.0.1:0", "--full"]), demo);
    }
}
