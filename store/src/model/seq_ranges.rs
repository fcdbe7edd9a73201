//! Which of a tab's numbered events were seen.

use std::fmt;

use tallymark_protocol::UnixMs;
use uuid::Uuid;

/// Ranges that one tab may have. A browser's holes are few; more is somebody playing, and the two ranges
/// nearest the beginning are joined instead of letting the row grow.
const RANGES_MAX: usize = 256;

/// A set of numbers as sorted, disjoint, inclusive ranges. Stored as text, `0-16,18`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeqRanges(Vec<(u32, u32)>);

impl SeqRanges {
    /// Adds one number.
    pub fn insert(&mut self, seq: u32) {
        self.add(seq, seq);
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Self) {
        for &(from, to) in &other.0 {
            self.add(from, to);
        }
    }

    /// How many numbers it holds.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.iter().map(|&(from, to)| u64::from(to - from) + 1).sum()
    }

    /// Reads the stored form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut ranges = Self::default();
        for piece in text.split(',').filter(|piece| !piece.is_empty()) {
            let (from, to) = piece.split_once('-').unwrap_or((piece, piece));
            let (from, to) = (from.parse().ok()?, to.parse().ok()?);
            if from > to {
                return None;
            }
            ranges.add(from, to);
        }
        Some(ranges)
    }

    fn add(&mut self, from: u32, to: u32) {
        // The ranges that overlap or touch [from, to] become one.
        let first = self.0.partition_point(|range| range.1.saturating_add(1) < from);
        let end = self.0.partition_point(|range| range.0 <= to.saturating_add(1));
        let mut joined = (from, to);
        if first < end {
            joined = (from.min(self.0[first].0), to.max(self.0[end - 1].1));
        }
        self.0.splice(first..end, [joined]);
        if self.0.len() > RANGES_MAX {
            let second = self.0.remove(1);
            self.0[0].1 = second.1;
        }
    }
}

impl fmt::Display for SeqRanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (from, to)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            if from == to { write!(f, "{comma}{from}")? } else { write!(f, "{comma}{from}-{to}")? }
        }
        Ok(())
    }
}

/// A row of `tab_ledger`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TabRow {
    /// Whose.
    pub project_id: i32,
    /// The document.
    pub tab_id: Uuid,
    /// When the first of its envelopes was received.
    pub first_at: UnixMs,
    /// When the last of its envelopes was received.
    pub last_at: UnixMs,
    /// The numbers seen, of refused events too.
    pub seen: SeqRanges,
}

impl TabRow {
    /// The row's key.
    #[must_use]
    pub fn key(&self) -> (i32, Uuid) {
        (self.project_id, self.tab_id)
    }

    /// Takes in what another part of the same tab's traffic says. Order does not matter.
    pub fn merge(&mut self, other: &Self) {
        self.first_at = self.first_at.min(other.first_at);
        self.last_at = self.last_at.max(other.last_at);
        self.seen.merge(&other.seen);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop, proptest};

    fn of(numbers: &[u32]) -> SeqRanges {
        let mut ranges = SeqRanges::default();
        for &number in numbers {
            ranges.insert(number);
        }
        ranges
    }

    #[test]
    fn holes_stay_and_neighbours_join() {
        assert_eq!(of(&[3, 1, 2, 7, 8, 5]).to_string(), "1-3,5,7-8");
        assert_eq!(of(&[6, 5, 7, 8, 1, 2, 3, 4, u32::MAX]).to_string(), "1-8,4294967295");
        assert_eq!(of(&[]).to_string(), "");
    }

    #[test]
    fn the_number_of_ranges_is_bounded() {
        let even: Vec<u32> = (0..2_000).map(|n| n * 2).collect();
        assert_eq!(of(&even).0.len(), RANGES_MAX);
    }

    proptest! {
        #[test]
        fn any_order_gives_the_same_set(mut numbers in prop::collection::vec(0_u32..300, 0..200), at in any::<prop::sample::Index>()) {
            let whole = of(&numbers);
            let split = if numbers.is_empty() { 0 } else { at.index(numbers.len()) };
            let mut parts = of(&numbers[split..]);
            parts.merge(&of(&numbers[..split]));
            proptest::prop_assert_eq!(&whole, &parts);
            proptest::prop_assert_eq!(SeqRanges::parse(&whole.to_string()), Some(parts));
            numbers.sort_unstable();
            numbers.dedup();
            proptest::prop_assert_eq!(whole.count(), numbers.len() as u64);
        }
    }
}
