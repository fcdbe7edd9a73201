//! CPU time that a run took: ours, and that of the PostgreSQL server with all its children.

use std::collections::HashMap;
use std::fs;

/// Seconds of CPU.
#[derive(Clone, Copy, Default)]
pub(crate) struct Cpu {
    pub(crate) ours: f64,
    pub(crate) server: f64,
}

/// CPU time so far; `server` is the process that all of the database's processes are children of.
pub(crate) fn now(server: Option<u32>) -> Cpu {
    let processes = processes();
    let own = std::process::id();
    let mut cpu = Cpu::default();
    for (pid, (parent, seconds)) in &processes {
        if *pid == own {
            cpu.ours = *seconds;
        } else if server.is_some_and(|server| *pid == server || *parent == server) {
            cpu.server += seconds;
        }
    }
    cpu
}

/// Process → parent and CPU seconds, its dead children's included.
fn processes() -> HashMap<u32, (u32, f64)> {
    const TICKS_PER_SECOND: f64 = 100.0; // Linux shows USER_HZ, which is 100 everywhere
    let Ok(entries) = fs::read_dir("/proc") else { return HashMap::new() };
    entries
        .filter_map(|entry| {
            let pid: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
            let ticks: f64 = fields.get(11..15)?.iter().filter_map(|ticks| ticks.parse::<f64>().ok()).sum();
            Some((pid, (fields.get(1)?.parse().ok()?, ticks / TICKS_PER_SECOND)))
        })
        .collect()
}
