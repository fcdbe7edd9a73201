//! The compactor: folds appended deltas into the rollups.
//!
//! Everything of one run happens in one transaction, by one compactor at a time: it takes at most so many
//! deltas by deleting them, the oldest first, folds them here, and writes each row once, in key order. It
//! never remembers how far it was: a commit still under way may append behind any such mark.

use std::collections::BTreeMap;

use async_trait::async_trait;
use tallymark_protocol::UnixMs;
use uuid::Uuid;

use crate::columns::Ms;
use crate::model::{Counts, DeltaFold, Dimension, OutcomeKey, RollupDelta, RollupKey, Sketch, VisitorHasher};
use crate::{Backend, Store, StoreError, postgres, sqlite};

/// What one run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Deltas that were folded in; fewer than asked for means that none are left.
    pub deltas: usize,
    /// Rows of rollups that were written.
    pub rows: usize,
}

/// How wide a rollup's buckets are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Grain {
    Hour,
    Day,
}

/// A row to write: counts are added; a sketch, where there is one, replaces the stored.
pub(crate) struct RollupWrite {
    pub(crate) key: RollupKey,
    pub(crate) counts: Counts,
    pub(crate) visitors: Option<Sketch>,
}

/// The compactor's statements. All slices come sorted by key.
#[async_trait]
pub(crate) trait CompactStatements: Send {
    /// Takes at most `deltas_max` deltas out, the oldest first: of two that are about the same session, never the
    /// later without the earlier.
    async fn take_deltas(&mut self, deltas_max: i64) -> Result<Vec<(i32, Vec<u8>)>, StoreError>;
    /// The key of a project's sketches.
    async fn sketch_key(&mut self, project_id: i32) -> Result<Option<Vec<u8>>, StoreError>;
    /// The stored sketches of these rows.
    async fn sketches(
        &mut self,
        grain: Grain,
        project_id: i32,
        keys: &[&RollupKey],
    ) -> Result<Vec<(RollupKey, Vec<u8>)>, StoreError>;
    /// The visitors of the sessions that are counted in the rows of `values`, with the row's value: one walk over
    /// the bucket's sessions, however many rows are asked for.
    async fn session_visitors(
        &mut self,
        grain: Grain,
        project_id: i32,
        row: (Dimension, UnixMs),
        values: &[&str],
    ) -> Result<Vec<(Uuid, String)>, StoreError>;
    /// Adds to the rows and makes those that are missing. A row whose counts all come back to 0 stays; reads pass
    /// over it.
    async fn write(&mut self, grain: Grain, project_id: i32, rows: &[RollupWrite]) -> Result<(), StoreError>;
    /// Adds to the outcomes.
    async fn add_outcomes(
        &mut self,
        project_id: i32,
        outcomes: &BTreeMap<OutcomeKey, i64>,
    ) -> Result<(), StoreError>;
    /// Makes it all so.
    async fn commit(self: Box<Self>) -> Result<(), StoreError>;
}

impl Store {
    /// Folds at most `deltas_max` appended deltas into the rollups. Does nothing where another compactor is at
    /// work.
    ///
    /// # Errors
    /// Those of the store; [`StoreError::Corrupt`] for deltas that another version wrote.
    pub async fn compact(&self, deltas_max: u32) -> Result<Compacted, StoreError> {
        let statements: Box<dyn CompactStatements> = match &self.backend {
            Backend::Postgres(store) => match postgres::CompactTx::begin(store).await? {
                Some(tx) => Box::new(tx),
                None => return Ok(Compacted::default()),
            },
            Backend::Sqlite(store) => Box::new(sqlite::CompactTx::begin(store).await?),
        };
        fold(statements, deltas_max).await
    }

    /// Folds all deltas that are there.
    ///
    /// # Errors
    /// As [`compact`](Self::compact).
    pub async fn compact_all(&self) -> Result<Compacted, StoreError> {
        /// Deltas of one run: some hundred thousand rows at most, and a transaction of about a second.
        const RUN: u32 = 256;
        let mut all = Compacted::default();
        loop {
            let run = self.compact(RUN).await?;
            all.deltas += run.deltas;
            all.rows += run.rows;
            if run.deltas < RUN as usize {
                return Ok(all);
            }
        }
    }
}

async fn fold(mut tx: Box<dyn CompactStatements>, deltas_max: u32) -> Result<Compacted, StoreError> {
    let taken = tx.take_deltas(i64::from(deltas_max)).await?;
    let mut compacted = Compacted { deltas: taken.len(), rows: 0 };
    let mut projects: BTreeMap<i32, DeltaFold> = BTreeMap::new();
    for (project_id, payload) in &taken {
        let corrupt = |detail| StoreError::Corrupt { table: "rollup_delta", column: "payload", detail };
        projects.entry(*project_id).or_default().merge_bytes(payload).map_err(corrupt)?;
    }
    for (project_id, deltas) in &projects {
        for grain in [Grain::Hour, Grain::Day] {
            let rows = deltas.by_row(|buckets| match grain {
                Grain::Hour => buckets.hour,
                Grain::Day => buckets.day,
            });
            let writes = with_visitors(&mut *tx, grain, *project_id, rows).await?;
            compacted.rows += writes.len();
            tx.write(grain, *project_id, &writes).await?;
        }
        tx.add_outcomes(*project_id, deltas.outcomes()).await?;
    }
    tx.commit().await?;
    Ok(compacted)
}

async fn with_visitors(
    tx: &mut dyn CompactStatements,
    grain: Grain,
    project_id: i32,
    rows: BTreeMap<RollupKey, RollupDelta>,
) -> Result<Vec<RollupWrite>, StoreError> {
    let growing: Vec<&RollupKey> =
        rows.iter().filter(|(_, row)| !row.stale && !row.visitors.is_empty()).map(|(key, _)| key).collect();
    let mut stored: BTreeMap<RollupKey, Sketch> = BTreeMap::new();
    for (key, bytes) in tx.sketches(grain, project_id, &growing).await? {
        let sketch = Sketch::from_bytes(&bytes).ok_or_else(|| StoreError::Corrupt {
            table: "rollup_hour and rollup_day",
            column: "sketch",
            detail: format!("project {project_id}, {key:?}"),
        })?;
        stored.insert(key, sketch);
    }
    let stale: Vec<&RollupKey> = rows.iter().filter(|(_, row)| row.stale).map(|(key, _)| key).collect();
    let mut recounted = recounted(tx, grain, project_id, &stale).await?;
    let mut writes = Vec::with_capacity(rows.len());
    for (key, delta) in rows {
        let visitors = if delta.stale {
            Some(recounted.remove(&key).unwrap_or_default())
        } else if delta.visitors.is_empty() {
            None
        } else if let Some(mut sketch) = stored.remove(&key) {
            let before = sketch.clone();
            sketch.merge(&delta.visitors);
            (sketch != before).then_some(sketch)
        } else {
            Some(delta.visitors)
        };
        writes.push(RollupWrite { key, counts: delta.counts, visitors });
    }
    Ok(writes)
}

async fn sketch_hasher(tx: &mut dyn CompactStatements, project_id: i32) -> Result<VisitorHasher, StoreError> {
    let key = tx.sketch_key(project_id).await?.ok_or(StoreError::UnknownProject(project_id))?;
    let detail = format!("project {project_id}: {} bytes", key.len());
    let key =
        key.try_into().map_err(|_| StoreError::Corrupt { table: "project", column: "sketch_key", detail })?;
    Ok(VisitorHasher::new(key))
}

/// The visitors of `stale` rows, taken from sessions. A row that is not in the answer has none any more.
async fn recounted(
    tx: &mut dyn CompactStatements,
    grain: Grain,
    project_id: i32,
    stale: &[&RollupKey],
) -> Result<BTreeMap<RollupKey, Sketch>, StoreError> {
    let mut sketches: BTreeMap<RollupKey, Sketch> = BTreeMap::new();
    if stale.is_empty() {
        return Ok(sketches);
    }
    let hasher = sketch_hasher(tx, project_id).await?;
    for rows in stale.chunk_by(|a, b| (a.dimension, a.bucket) == (b.dimension, b.bucket)) {
        let (dimension, bucket) = (rows[0].dimension, rows[0].bucket);
        let values: Vec<&str> = rows.iter().map(|key| key.value.as_str()).collect();
        for (visitor_id, value) in
            tx.session_visitors(grain, project_id, (dimension, bucket), &values).await?
        {
            let key = RollupKey { dimension, bucket, value };
            sketches.entry(key).or_default().insert(hasher.hash(visitor_id));
        }
    }
    Ok(sketches)
}

impl Grain {
    /// The table of this grain.
    pub(crate) const fn table(self) -> &'static str {
        match self {
            Self::Hour => "rollup_hour",
            Self::Day => "rollup_day",
        }
    }

    /// The column of `session` that holds its bucket of this grain.
    pub(crate) const fn session_column(self) -> &'static str {
        match self {
            Self::Hour => "hour_bucket",
            Self::Day => "day_bucket",
        }
    }

    /// An instant that no bucket of this grain reaches: a day has at most 25 hours, 26 with half-hour changes.
    pub(crate) const fn end_of(self, bucket: UnixMs) -> UnixMs {
        let hours = match self {
            Self::Hour => 2,
            Self::Day => 26,
        };
        UnixMs(bucket.0 + hours * tallymark_protocol::HOUR_MS)
    }
}

/// Sketches by their rows' keys, from the key's columns.
pub(crate) fn keyed(rows: Vec<(i16, Ms, String, Vec<u8>)>) -> Vec<(RollupKey, Vec<u8>)> {
    let keyed = rows.into_iter().filter_map(|(code, bucket, value, sketch)| {
        let dimension = Dimension::from_code(code)?; // one of those asked for
        Some((RollupKey { dimension, bucket: bucket.0, value }, sketch))
    });
    keyed.collect()
}

/// The statement that finds the visitors of a bucket's sessions with their values; what is added to it says which
/// values.
pub(crate) fn session_visitors_sql(grain: Grain, dimension: Dimension) -> String {
    let (column, bucket) = (dimension.column(), grain.session_column());
    let missing = dimension.missing().unwrap_or("");
    format!(
        "select visitor_id, coalesce({column}, '{missing}') as value from session
         where project_id = $1 and started_at >= $2 and started_at < $3 and {bucket} = $2
            and coalesce({column}, '{missing}') "
    )
}
