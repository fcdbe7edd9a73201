//! The product itself: the binary's roles as processes that a test starts and kills.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context, ensure};
use serde_json::Value;

/// A role under way. Killed when it is dropped.
#[derive(Debug)]
pub struct Role {
    child: Child,
    /// Held open: who prints into a closed pipe fails.
    stdout: BufReader<ChildStdout>,
}

/// The binary of this build, or the one that `TALLYMARK_TEST_BINARY` names.
///
/// # Panics
/// Where there is none: it is built by `cargo xtask test`.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "tests are told by the environment what to test")]
pub fn binary() -> PathBuf {
    let built = || {
        let test = std::env::current_exe().expect("a test program knows where it is");
        let profile = test.ancestors().nth(2).expect("it lies in target/PROFILE/deps");
        profile.join(format!("tallymark{}", std::env::consts::EXE_SUFFIX))
    };
    let binary = std::env::var_os("TALLYMARK_TEST_BINARY").map_or_else(built, PathBuf::from);
    assert!(binary.is_file(), "{} is not there: run `cargo xtask test`, which builds it", binary.display());
    binary
}

fn command<A: AsRef<OsStr>>(folder: &Path, arguments: &[A]) -> Command {
    let mut command = Command::new(binary());
    // In a folder of its own, so that no configuration file of somebody's says anything.
    command.args(arguments).current_dir(folder).env("TALLYMARK_LOG_LEVEL", "error").stdin(Stdio::null());
    command
}

/// Runs a command to its end and reads the JSON that it prints.
///
/// # Errors
/// Where it fails, with what it said.
pub fn json<A: AsRef<OsStr>>(folder: &Path, arguments: &[A]) -> anyhow::Result<Value> {
    let output = command(folder, arguments).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

impl Role {
    /// Starts a role.
    ///
    /// # Errors
    /// Where the binary cannot be started.
    pub fn start<A: AsRef<OsStr>>(folder: &Path, arguments: &[A]) -> anyhow::Result<Self> {
        let mut child = command(folder, arguments).stdout(Stdio::piped()).spawn()?;
        let stdout = BufReader::new(child.stdout.take().context("its output is piped")?);
        Ok(Self { child, stdout })
    }

    /// Starts a role whose log goes to a file, behind what is in it.
    ///
    /// # Errors
    /// Where the binary cannot be started, or the file not written.
    pub fn start_with_log<A: AsRef<OsStr>>(
        folder: &Path,
        arguments: &[A],
        log: &Path,
    ) -> anyhow::Result<Self> {
        let log = File::options().create(true).append(true).open(log)?;
        let mut child = command(folder, arguments).stdout(Stdio::piped()).stderr(log).spawn()?;
        let stdout = BufReader::new(child.stdout.take().context("its output is piped")?);
        Ok(Self { child, stdout })
    }

    /// The address where it listens, which it prints once it does.
    ///
    /// # Errors
    /// Where it ends without listening.
    pub fn address(&mut self) -> anyhow::Result<String> {
        for line in self.stdout.by_ref().lines() {
            let line = line?;
            if let Some(address) = line.split_whitespace().find(|word| word.starts_with("http://")) {
                return Ok(address.trim_end_matches('/').to_owned());
            }
        }
        anyhow::bail!("it ended without saying where it listens: {:?}", self.child.try_wait())
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Fails where it is not there any more: whoever waits for it to do something would wait in vain.
    ///
    /// # Errors
    /// Says how it ended.
    pub fn running(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => anyhow::bail!("it ended with {status}; `cargo xtask test` builds it anew"),
        }
    }

    /// `kill -9`: it does not get to finish anything.
    ///
    /// # Errors
    /// Where it was gone already: then it died of something else.
    pub fn kill(mut self) -> anyhow::Result<()> {
        self.running()?;
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Waits for a command to end by itself.
    ///
    /// # Errors
    /// Where it does not end well.
    pub fn ended(mut self) -> anyhow::Result<()> {
        let status = self.child.wait()?;
        ensure!(status.success(), "it ended with {status}");
        Ok(())
    }

    /// Asks it to stop, as an operator would, and waits until it has.
    ///
    /// # Errors
    /// Where it does not end well.
    pub fn stop(mut self) -> anyhow::Result<()> {
        let pid = self.child.id().to_string();
        ensure!(Command::new("kill").args(["-TERM", &pid]).status()?.success(), "it was gone already");
        let status = self.child.wait()?;
        ensure!(status.success(), "asked to stop, it ended with {status}");
        Ok(())
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        // Gone already, where a test killed or stopped it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
