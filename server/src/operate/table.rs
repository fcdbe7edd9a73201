//! Tables and times for people.

use std::fmt;

/// Rows under a heading, each column as wide as it must be.
pub(super) struct Table<const N: usize> {
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    pub(super) fn new(heading: [&str; N]) -> Self {
        Self { rows: vec![heading.map(str::to_owned)] }
    }

    pub(super) fn row(&mut self, row: [String; N]) {
        self.rows.push(row);
    }
}

impl<const N: usize> fmt::Display for Table<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut widths = [0; N];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        for row in &self.rows {
            let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
            let line: Vec<String> = cells.collect();
            writeln!(f, "{}", line.join("  ").trim_end())?;
        }
        Ok(())
    }
}

/// An instant of Unix milliseconds as a person reads it, in UTC.
pub(super) fn time(at: i64) -> String {
    jiff::Timestamp::from_millisecond(at)
        .map_or_else(|_| at.to_string(), |at| at.strftime("%Y-%m-%d %H:%M:%S").to_string())
}

/// How long ago, in the largest fitting unit.
pub(super) fn ago(ms: i64) -> String {
    format!("{} ago", span(ms))
}

/// A span of milliseconds in the largest fitting unit.
pub(super) fn span(ms: i64) -> String {
    match ms.max(0) / 1_000 {
        secs @ 0..=119 => format!("{secs} s"),
        secs @ 120..=7_199 => format!("{} min", secs / 60),
        secs @ 7_200..=172_799 => format!("{} h", secs / 3_600),
        secs => format!("{} d", secs / 86_400),
    }
}

/// Bytes in the largest fitting unit.
#[expect(clippy::cast_precision_loss, reason = "for people")]
pub(super) fn bytes(bytes: u64) -> String {
    match bytes {
        0..1_024 => format!("{bytes} B"),
        1_024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1_024.0),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
        _ => format!("{:.1} GiB", bytes as f64 / 1_073_741_824.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_must_be() {
        let mut table = Table::new(["ID", "WHY"]);
        table.row(["a longer one".to_owned(), "x".to_owned()]);
        assert_eq!(table.to_string(), "ID            WHY\na longer one  x\n");
    }

    #[test]
    fn spans_sizes_and_times() {
        assert_eq!(
            (span(1_500), span(180_000), span(8_000_000)),
            ("1 s".into(), "3 min".into(), "2 h".into())
        );
        assert_eq!(
            (bytes(12), bytes(2_048), bytes(3 << 20)),
            ("12 B".into(), "2.0 KiB".into(), "3.0 MiB".into())
        );
        assert_eq!(time(1_763_622_005_000), "2025-11-20 07:00:05");
    }
}
