//! What a commit adds to the rollups: appended as it is, folded in by the compactor.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use tallymark_protocol::{Outcome, UnixMs};

use super::{Buckets, Dimension, Sketch};

/// The counts of a rollup row. All add up; a correction adds negatives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// `$pageview` events.
    pub pageviews: i64,
    /// Events of every name.
    pub events: i64,
    /// Sessions that began in the bucket.
    pub sessions: i64,
    /// Sessions that were bounces.
    pub bounces: i64,
    /// Durations of the sessions, together.
    pub duration_ms: i64,
    /// Visible, active time.
    pub engaged_ms: i64,
}

impl Counts {
    /// Adds `other`.
    pub fn add(&mut self, other: &Self) {
        self.pageviews += other.pageviews;
        self.events += other.events;
        self.sessions += other.sessions;
        self.bounces += other.bounces;
        self.duration_ms += other.duration_ms;
        self.engaged_ms += other.engaged_ms;
    }

    /// What takes `self` away again.
    #[must_use]
    pub fn negated(&self) -> Self {
        Self {
            pageviews: -self.pageviews,
            events: -self.events,
            sessions: -self.sessions,
            bounces: -self.bounces,
            duration_ms: -self.duration_ms,
            engaged_ms: -self.engaged_ms,
        }
    }

    /// Whether adding this changes nothing.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }
}

/// Which row of `rollup_hour` (and, with the day in its place, of `rollup_day`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RollupKey {
    /// What the row is about.
    pub dimension: Dimension,
    /// Start of the bucket.
    pub bucket: UnixMs,
    /// The dimension's value.
    pub value: String,
}

/// What one commit adds to one (hour, day, dimension, value).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RollupDelta {
    /// Added to the row's counts.
    pub counts: Counts,
    /// Merged into the row's visitors.
    pub visitors: Sketch,
    /// Some session left this row: its visitors must be taken from the bucket's sessions again.
    pub stale: bool,
}

impl RollupDelta {
    /// Adds `other`.
    pub fn merge(&mut self, other: &Self) {
        self.counts.add(&other.counts);
        self.visitors.merge(&other.visitors);
        self.stale |= other.stale;
    }
}

/// Which row of `outcome_hour`: UTC hour of receipt, and the outcome's name.
pub type OutcomeKey = (UnixMs, String);

/// All that one or more commits add for one project.
#[derive(Clone, Debug, Default)]
pub struct DeltaFold {
    rollups: HashMap<(Buckets, Dimension), HashMap<String, RollupDelta>>,
    outcomes: BTreeMap<OutcomeKey, i64>,
}

/// The stored form of a fold; its first byte tells which.
const FORM: u8 = 1;

#[derive(Serialize, Deserialize)]
struct StoredDelta<'a> {
    hour: i64,
    day: i64,
    dimension: i16,
    value: &'a str,
    counts: Counts,
    stale: bool,
    visitors: Vec<u8>,
}

impl DeltaFold {
    /// Adds counts, and a visitor's hash where the row counts visitors.
    pub fn add(&mut self, at: (Buckets, Dimension), value: &str, counts: &Counts, visitor: Option<u64>) {
        let delta = self.slot(at, value);
        delta.counts.add(counts);
        if let Some(hash) = visitor {
            delta.visitors.insert(hash);
        }
    }

    /// Marks a row's visitors as to be taken from sessions again.
    pub fn mark_stale(&mut self, at: (Buckets, Dimension), value: &str) {
        self.slot(at, value).stale = true;
    }

    /// Counts events that ended as `outcome`.
    pub fn add_outcome(&mut self, received_at: UnixMs, outcome: Outcome, events: i64) {
        if events != 0 {
            *self.outcomes.entry((received_at.utc_hour(), outcome.as_str().to_owned())).or_default() +=
                events;
        }
    }

    /// The rows of the outcomes, in key order.
    #[must_use]
    pub fn outcomes(&self) -> &BTreeMap<OutcomeKey, i64> {
        &self.outcomes
    }

    /// The deltas, in no order.
    pub fn rollups(&self) -> impl Iterator<Item = (Buckets, Dimension, &str, &RollupDelta)> {
        self.rollups.iter().flat_map(|((buckets, dimension), values)| {
            values.iter().map(|(value, delta)| (*buckets, *dimension, value.as_str(), delta))
        })
    }

    /// The deltas by row, with `bucket` choosing between hours and days, in key order.
    pub fn by_row(&self, bucket: impl Fn(Buckets) -> UnixMs) -> BTreeMap<RollupKey, RollupDelta> {
        let mut rows: BTreeMap<RollupKey, RollupDelta> = BTreeMap::new();
        for (buckets, dimension, value, delta) in self.rollups() {
            let key = RollupKey { dimension, bucket: bucket(buckets), value: value.to_owned() };
            rows.entry(key).or_default().merge(delta);
        }
        rows
    }

    /// The stored form.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let rollups: Vec<StoredDelta<'_>> = self
            .rollups()
            .filter(|(.., delta)| delta.stale || !delta.counts.is_zero() || !delta.visitors.is_empty())
            .map(|(buckets, dimension, value, delta)| StoredDelta {
                hour: buckets.hour.0,
                day: buckets.day.0,
                dimension: dimension.code(),
                value,
                counts: delta.counts,
                stale: delta.stale,
                visitors: if delta.visitors.is_empty() { Vec::new() } else { delta.visitors.to_bytes() },
            })
            .collect();
        let outcomes: Vec<(i64, &str, i64)> =
            self.outcomes.iter().map(|((hour, name), events)| (hour.0, name.as_str(), *events)).collect();
        postcard::to_extend(&(rollups, outcomes), vec![FORM]).expect("a Vec takes all bytes")
    }

    /// Adds what `bytes` hold.
    ///
    /// # Errors
    /// A sentence about what is wrong with the bytes.
    pub fn merge_bytes(&mut self, bytes: &[u8]) -> Result<(), String> {
        let Some((&FORM, rest)) = bytes.split_first() else {
            return Err(format!("a delta of an unknown form {:?}", bytes.first()));
        };
        let (rollups, outcomes): (Vec<StoredDelta<'_>>, Vec<(i64, &str, i64)>) =
            postcard::from_bytes(rest).map_err(|error| format!("a delta that cannot be read: {error}"))?;
        for stored in rollups {
            let dimension = Dimension::from_code(stored.dimension)
                .ok_or_else(|| format!("a delta of unknown dimension {}", stored.dimension))?;
            let buckets = Buckets { hour: UnixMs(stored.hour), day: UnixMs(stored.day) };
            let slot = self.slot((buckets, dimension), stored.value);
            slot.counts.add(&stored.counts);
            slot.stale |= stored.stale;
            if !stored.visitors.is_empty() {
                let visitors = Sketch::from_bytes(&stored.visitors).ok_or("a delta with a broken sketch")?;
                slot.visitors.merge(&visitors);
            }
        }
        for (hour, name, events) in outcomes {
            *self.outcomes.entry((UnixMs(hour), name.to_owned())).or_default() += events;
        }
        Ok(())
    }

    fn slot(&mut self, at: (Buckets, Dimension), value: &str) -> &mut RollupDelta {
        let values = self.rollups.entry(at).or_default();
        if !values.contains_key(value) {
            values.insert(value.to_owned(), RollupDelta::default());
        }
        values.get_mut(value).expect("inserted above if it was not there")
    }
}
