//! Programs that run beside us and end with us: at success, failure, panic, Ctrl-C and SIGTERM, and, where the
//! system offers it, even when we are killed.
//!
//! Each runs in a process group of its own. So the terminal's Ctrl-C reaches us alone, we stop everything in the
//! right order, and nothing that a program started itself stays behind.

use std::ffi::OsStr;
use std::fmt;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// How often a wait looks again.
const POLL: Duration = Duration::from_millis(20);

/// How long a program may take to end by itself before it is killed.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long until a signal that may be missed is sent again.
const AGAIN: Duration = Duration::from_millis(500);

/// How long what a program left behind may take to end.
const STRAGGLERS: Duration = Duration::from_secs(5);

/// The user pressed Ctrl-C, or somebody asked us to end.
#[derive(Debug)]
pub(crate) struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// The signals that children are told to end by.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// What most programs end orderly on.
    Term,
    /// PostgreSQL's immediate shutdown: for data that is about to be deleted.
    Quit,
    /// The last resort.
    Kill,
}

impl Signal {
    fn name(self) -> &'static str {
        match self {
            Self::Term => "TERM",
            Self::Quit => "QUIT",
            Self::Kill => "KILL",
        }
    }
}

/// From now on Ctrl-C, SIGTERM and SIGHUP make waits fail with [`Interrupted`], instead of ending us at once.
///
/// # Errors
/// When the system refuses the handlers.
pub(crate) fn catch_signals() -> anyhow::Result<()> {
    static CAUGHT: OnceLock<()> = OnceLock::new();
    if CAUGHT.set(()).is_ok() {
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(signalled())).context("cannot catch signals")?;
        }
    }
    Ok(())
}

fn signalled() -> &'static Arc<AtomicBool> {
    static SIGNALLED: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    SIGNALLED.get_or_init(Arc::default)
}

/// Waits a moment before something is looked at again.
///
/// # Errors
/// [`Interrupted`].
pub(crate) fn pause() -> Result<(), Interrupted> {
    if signalled().load(Ordering::Relaxed) {
        return Err(Interrupted);
    }
    sleep();
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "one thread that waits for processes; there is no timer to await"
)]
fn sleep() {
    std::thread::sleep(POLL);
}

/// A command for `program` that gets `signal` from the system should we be killed, run as `user` if there is one.
///
/// # Errors
/// When another user is wanted and `setpriv` is missing: only it changes the user and keeps the tie.
pub(crate) fn tied(
    program: impl AsRef<OsStr>,
    signal: Signal,
    user: Option<&str>,
) -> anyhow::Result<Command> {
    if !can_tie() {
        ensure!(user.is_none(), "setpriv (of util-linux) is needed to run programs as another user");
        return Ok(Command::new(program));
    }
    let mut command = Command::new("setpriv");
    if let Some(user) = user {
        command.args(["--reuid", user, "--regid", user, "--init-groups"]);
    }
    command.args(["--pdeathsig", signal.name()]).arg(program);
    Ok(command)
}

fn can_tie() -> bool {
    static CAN: OnceLock<bool> = OnceLock::new();
    *CAN.get_or_init(|| {
        let tried = Command::new("setpriv").args(["--pdeathsig", "TERM", "true"]).output();
        tried.is_ok_and(|tried| tried.status.success())
    })
}

/// A running program; dropping it stops it and all that it started.
pub(crate) struct Running {
    name: String,
    child: Child,
    ends_by: Signal,
    readers: Vec<JoinHandle<()>>,
    /// The program itself has ended.
    ended: bool,
    /// And nothing that it started is left.
    cleared: bool,
}

impl Running {
    /// Starts `command`, which [`tied`] made for the same signal, and is called `name` in messages.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn start(name: &str, command: &mut Command, ends_by: Signal) -> anyhow::Result<Self> {
        let child = command
            .stdin(Stdio::null())
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {name} (`{}`)", command.get_program().display()))?;
        Ok(Self { name: name.to_owned(), child, ends_by, readers: Vec::new(), ended: false, cleared: false })
    }

    /// What messages call it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Calls `read` with each line of the program's output, which was started with it piped.
    pub(crate) fn on_stdout(&mut self, read: impl FnMut(&str) + Send + 'static) {
        let stdout = self.child.stdout.take().expect("the command's standard output is piped");
        self.readers.push(std::thread::spawn(move || each_line(BufReader::new(stdout), read)));
    }

    /// Calls `read` with each line that the program logs, which was started with its standard error piped.
    pub(crate) fn on_stderr(&mut self, read: impl FnMut(&str) + Send + 'static) {
        let stderr = self.child.stderr.take().expect("the command's standard error is piped");
        self.readers.push(std::thread::spawn(move || each_line(BufReader::new(stderr), read)));
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub(crate) fn poll(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        let status = self.child.try_wait().with_context(|| format!("cannot wait for {}", self.name))?;
        self.ended |= status.is_some();
        Ok(status)
    }

    /// Waits for its end, and for all lines to have been read. What it left behind is stopped.
    ///
    /// # Errors
    /// [`Interrupted`]; the caller drops it then.
    pub(crate) fn wait(mut self) -> anyhow::Result<ExitStatus> {
        loop {
            if let Some(status) = self.poll()? {
                self.stop_stragglers();
                return Ok(status);
            }
            pause()?;
        }
    }

    fn stop(&mut self) {
        if !self.ended && !self.ends_within(PATIENCE) {
            eprintln!("  {} does not end: killing it", self.name);
            signal_group(&self.child, Signal::Kill);
            // A killed process ends; an error here would mean that somebody else waited for it.
            let _ = self.child.wait();
            self.ended = true;
        }
        self.stop_stragglers();
    }

    fn ends_within(&mut self, limit: Duration) -> bool {
        signal_group(&self.child, self.ends_by);
        let mut again = Instant::now() + AGAIN;
        within(limit, || {
            // A shell's background jobs ignore it until they have a handler: one that has just started may miss it.
            if self.ends_by == Signal::Quit && Instant::now() > again {
                signal_group(&self.child, self.ends_by);
                again += AGAIN;
            }
            self.poll().is_ok_and(|status| status.is_some())
        })
    }

    /// Stops what the ended program left behind, and waits until its lines are read.
    fn stop_stragglers(&mut self) {
        if std::mem::replace(&mut self.cleared, true) {
            return;
        }
        if signal_group(&self.child, self.ends_by) && !within(STRAGGLERS, || !group_exists(&self.child)) {
            signal_group(&self.child, Signal::Kill);
        }
        // Somebody who left the group may still hold the pipe: nobody waits for that for ever.
        within(STRAGGLERS, || self.readers.iter().all(JoinHandle::is_finished));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Sends `signal` to the group that `child` leads; false if nobody of it is left.
fn signal_group(child: &Child, signal: Signal) -> bool {
    kill(signal.name(), child)
}

fn group_exists(child: &Child) -> bool {
    kill("0", child)
}

/// The shell's own `kill`: every POSIX system has it, and calling the system directly would be unsafe code.
fn kill(signal: &str, child: &Child) -> bool {
    let mut shell = Command::new("sh");
    shell.args(["-c", "kill -s \"$1\" -- \"-$2\"", "sh", signal]).arg(child.id().to_string());
    shell.stderr(Stdio::null()).process_group(0).status().is_ok_and(|status| status.success())
}

/// Whether `condition` comes true within `limit`, also while we are being interrupted.
fn within(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    loop {
        if condition() {
            return true;
        }
        if started.elapsed() > limit {
            return false;
        }
        sleep();
    }
}

/// Programs may print what is not UTF-8; a line of it is still a line.
fn each_line(mut from: impl BufRead, mut read: impl FnMut(&str)) {
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
        read(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']));
        line.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn dropping_stops_the_program_and_what_it_started() {
        let mut command = tied("sh", Signal::Term, None).unwrap();
        let running =
            Running::start("sleepers", command.args(["-c", "sleep 600 & sleep 600"]), Signal::Term).unwrap();
        let group = running.child.id().to_string();
        drop(running);
        let alive = Command::new("sh").args(["-c", "kill -s 0 -- \"-$1\"", "sh", &group]).output().unwrap();
        assert!(!alive.status.success(), "somebody of the group is left");
    }

    #[test]
    fn lines_are_read_to_the_last() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let mut command = Command::new("printf");
        let mut running =
            Running::start("printf", command.arg("one\ntwo").stdout(Stdio::piped()), Signal::Term).unwrap();
        let seen = Arc::clone(&lines);
        running.on_stdout(move |line| seen.lock().unwrap().push(line.to_owned()));
        assert!(running.wait().unwrap().success());
        assert_eq!(*lines.lock().unwrap(), ["one", "two"]);
    }
}
