//! What processes take: CPU and memory, as Linux counts them.

use std::collections::BTreeMap;
use std::fs;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;

/// Linux shows times in USER_HZ, which is 100 everywhere.
const TICKS_PER_SECOND: f64 = 100.0;

/// How often memory is looked at.
const SAMPLE_EVERY: Duration = Duration::from_millis(50);

/// A process, or one with all its children.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    pub(crate) name: &'static str,
    pub(crate) pid: u32,
}

/// CPU seconds that `pid` and its children took so far, those that ended included.
pub(crate) fn cpu(pid: u32) -> f64 {
    family(pid).into_iter().filter_map(|member| cpu_of_stat(&format!("/proc/{member}/stat"))).sum()
}

/// CPU seconds that this thread took so far.
pub(crate) fn own_thread_cpu() -> anyhow::Result<f64> {
    // Of a thread the four fields are its own times and its process's children's: the latter are none here.
    let stat = fs::read_to_string("/proc/thread-self/stat").context("no /proc: this bench needs Linux")?;
    let fields = fields(&stat).context("an unknown form of /proc/thread-self/stat")?;
    Ok(ticks(&fields, 11) + ticks(&fields, 12))
}

fn cpu_of_stat(path: &str) -> Option<f64> {
    let stat = fs::read_to_string(path).ok()?;
    let fields = fields(&stat)?;
    Some((11..15).map(|at| ticks(&fields, at)).sum())
}

/// What follows the name, in which anything may stand.
fn fields(stat: &str) -> Option<Vec<&str>> {
    Some(stat.rsplit_once(") ")?.1.split(' ').collect())
}

fn ticks(fields: &[&str], at: usize) -> f64 {
    fields.get(at).and_then(|ticks| ticks.parse::<f64>().ok()).unwrap_or(0.0) / TICKS_PER_SECOND
}

/// `pid` and its children, as far as its first thread started them: PostgreSQL has no other.
fn family(pid: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    children.split_whitespace().filter_map(|child| child.parse().ok()).chain([pid]).collect()
}

/// The process that started `pid`.
pub(crate) fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    fields(&stat)?.get(1)?.parse().ok()
}

/// Anonymous resident memory: what a process made for itself. Files that it has mapped, its own program among them,
/// are not in it.
fn anonymous_bytes(pid: u32) -> u64 {
    let of = |member: u32| -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{member}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
        Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
    };
    family(pid).into_iter().filter_map(of).sum()
}

/// Looks at the memory of processes until it is asked for the peaks.
pub(crate) struct MemoryWatch {
    stop: Sender<()>,
    thread: JoinHandle<BTreeMap<&'static str, u64>>,
}

impl MemoryWatch {
    /// Begins to look.
    pub(crate) fn start(watched: Vec<Watched>) -> Self {
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let mut peaks = BTreeMap::new();
            loop {
                for one in &watched {
                    let peak = peaks.entry(one.name).or_insert(0);
                    *peak = anonymous_bytes(one.pid).max(*peak);
                }
                if stopped.recv_timeout(SAMPLE_EVERY) != Err(RecvTimeoutError::Timeout) {
                    return peaks;
                }
            }
        });
        Self { stop, thread }
    }

    /// The most that each had, in bytes.
    pub(crate) fn peaks(self) -> BTreeMap<&'static str, u64> {
        // Where nobody listens any more, the thread has failed, and joining says so.
        let _ = self.stop.send(());
        self.thread.join().expect("looking at memory does not fail")
    }
}
