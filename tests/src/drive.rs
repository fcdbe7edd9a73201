//! Taking a world's entries through the processor's own steps, without a queue.

use tallymark_processor::{Committed, Enricher, commit};
use tallymark_protocol::UnixMs;
use tallymark_queue::QueuedEnvelope;
use tallymark_store::{Batch, NewProject, ProjectChange, Store, StoreError};

use crate::world::World;

/// Tries of a commit that meets others. Two of them cannot keep each other from ever going through.
const CONFLICTS_MAX: u32 = 50;

/// Creates the world's projects and the days of its events; answers the projects' ids.
///
/// # Errors
/// Those of the store.
pub async fn create_projects(store: &Store, world: &World) -> Result<Vec<i32>, StoreError> {
    let mut ids = Vec::with_capacity(world.projects.len());
    for (place, project) in world.projects.iter().enumerate() {
        let write_key = format!("wk_{:024x}{:08}", getrandom::u64().unwrap_or_default(), place);
        let new = NewProject {
            name: project.name.clone(),
            time_zone: project.time_zone.to_owned(),
            sketch_key: *b"a key for tests!",
            write_key,
            created_at: UnixMs(0),
        };
        let mut settings = ProjectChange::default();
        settings
            .session_timeout_minutes(i64::from(project.session_timeout_minutes))
            .expect("the world's timeouts are timeouts");
        ids.push(store.create_project_with(&new, &settings).await?);
    }
    Ok(ids)
}

/// Enriches entries into one batch.
#[must_use]
pub fn batch(envelopes: impl IntoIterator<Item = QueuedEnvelope>) -> Batch {
    let mut enricher = Enricher::default();
    Batch { envelopes: envelopes.into_iter().map(|envelope| enricher.enrich(envelope)).collect() }
}

/// Commits `envelopes`, so many at once, and answers what all of it came to.
///
/// # Errors
/// Those of the store; conflicts are tried again.
pub async fn commit_all(
    store: &Store,
    envelopes: Vec<QueuedEnvelope>,
    at_once: usize,
) -> Result<Committed, StoreError> {
    let mut all = Committed::default();
    for part in envelopes.chunks(at_once.max(1)) {
        let committed = commit_one(store, &batch(part.iter().cloned())).await?;
        all.envelopes += committed.envelopes;
        all.accepted += committed.accepted;
        all.duplicates += committed.duplicates;
        for (reason, events) in committed.discarded {
            *all.discarded.entry(reason).or_default() += events;
        }
    }
    Ok(all)
}

/// Commits one batch, as a processor does: its days first, and again where it met another.
///
/// # Errors
/// Those of the store.
pub async fn commit_one(store: &Store, batch: &Batch) -> Result<Committed, StoreError> {
    let mut days: Vec<i32> =
        batch.envelopes.iter().flat_map(|envelope| &envelope.events).map(|event| event.row.day).collect();
    days.sort_unstable();
    days.dedup();
    let now = batch.envelopes.iter().map(|envelope| envelope.received_at).max().unwrap_or_default();
    store.ensure_days(now, &days).await?;
    let mut conflicts = 0;
    loop {
        match commit(store, batch).await {
            Err(error) if error.is_conflict() && conflicts < CONFLICTS_MAX => conflicts += 1,
            done => return done,
        }
    }
}
