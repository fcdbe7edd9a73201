//! Figures for people: a table that docs/benchmarks.md takes as it is.

use std::fmt::Write as _;

use crate::scenario::Run;

/// Roles of the product, and who stands in for it in a baseline.
const OURS: [&str; 4] = ["collect", "serve", "process", "axum"];

const HEAD: &str = "\
| | events an envelope | requests/s | events/s | CPU µs an event: captures | processes | Redis | PostgreSQL | sends \
| p99 ms | at half of what is asked | counted p99 ms | MB, anonymous |
|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|
";

/// The table of all `runs`.
#[expect(clippy::cast_precision_loss, reason = "for people")]
pub(crate) fn table(runs: &[Run]) -> String {
    let mut table = HEAD.to_owned();
    for run in runs {
        let requests = run.requests as f64 / run.wall.as_secs_f64();
        let all_events = (run.requests * run.events) as f64;
        let cpu = |names: &[&str]| {
            let seconds: Vec<f64> = names.iter().filter_map(|name| run.cpu.get(name).copied()).collect();
            let sum: f64 = seconds.iter().sum();
            if seconds.is_empty() { "–".to_owned() } else { format!("{:.1}", sum * 1e6 / all_events) }
        };
        let ms = |value: Option<f64>| value.map_or("–".to_owned(), |ms| format!("{ms:.1}"));
        let memory = run.memory.iter().filter(|(name, _)| OURS.contains(name));
        let memory: Vec<String> =
            memory.map(|(name, bytes)| format!("{name} {:.0}", *bytes as f64 / 1e6)).collect();
        let _ = writeln!(
            table,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            run.name,
            run.events,
            grouped(requests),
            grouped(requests * run.events as f64),
            cpu(&["collect", "serve", "axum"]),
            cpu(&["process"]),
            cpu(&["Redis"]),
            cpu(&["PostgreSQL"]),
            cpu(&["load"]),
            ms(run.p99_ms.0),
            ms(run.p99_ms.1),
            ms(run.visible_p99_ms),
            if memory.is_empty() { "–".to_owned() } else { memory.join(", ") },
        );
    }
    table
}

/// A whole number with commas.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
