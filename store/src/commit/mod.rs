//! The steps of a commit, each a method of [`Tx`]. The processor calls them in one transaction:
//! claim the envelopes, insert the events, merge the sessions, tabs and identities, append the deltas.
//!
//! The steps decide here, once; what differs between databases is behind [`Statements`]. Rows are always
//! touched in key order, so that two commits wait for each other instead of dead-locking.

mod deltas;
mod envelopes;
mod events;
mod identities;
mod log;
mod sessions;
mod tabs;
mod visits;

use std::collections::HashMap;
use std::time::Instant;

use async_trait::async_trait;
use jiff::tz::TimeZone;
use uuid::Uuid;

use crate::batch::EnvelopeRow;
use crate::commit_log::CommitRow;
use crate::model::{
    EnrichedEvent, EventRow, Identification, SessionRow, TabRow, VisitorDay, VisitorDayKey, VisitorHasher,
    ZoneBuckets,
};
use crate::{Backend, Store, StoreError, postgres, sqlite};

pub use deltas::{Deltas, deltas};
pub use envelopes::Claimed;
pub use events::FreshEvents;
pub use sessions::ChangedSession;
pub(crate) use visits::MovedSession;

/// One transaction of a commit. Dropped without [`commit`](Self::commit), nothing of it happened.
pub struct Tx {
    began: Instant,
    statements: Box<dyn Statements>,
    rules: HashMap<i32, ProjectRules>,
}

/// The settings of a project that f and g depend on. They cannot change while a transaction holds them.
#[derive(Debug)]
pub(crate) struct ProjectRules {
    /// Buckets in the project's zone.
    pub(crate) buckets: ZoneBuckets,
    /// Days before this one are refused.
    pub(crate) horizon_day: Option<i32>,
    /// Visits whose client made no session end after so long a time without an event.
    pub(crate) session_timeout_ms: i64,
    /// For sketches.
    pub(crate) hasher: VisitorHasher,
}

/// A project's settings as they are stored.
pub(crate) struct StoredRules {
    pub(crate) project_id: i32,
    pub(crate) zone: TimeZone,
    pub(crate) horizon_day: Option<i32>,
    pub(crate) session_timeout_ms: i64,
    pub(crate) sketch_key: [u8; 16],
}

/// The statements of a commit. All slices come sorted by key, without repeats.
#[async_trait]
pub(crate) trait Statements: Send {
    /// Reads settings that stay as they are until the transaction ends.
    async fn lock_rules(&mut self, projects: &[i32]) -> Result<Vec<StoredRules>, StoreError>;
    /// Inserts receipts that are not there; answers the keys of those it inserted.
    async fn insert_receipts(&mut self, envelopes: &[&EnvelopeRow]) -> Result<Vec<(i32, Uuid)>, StoreError>;
    /// Which of these events of one day are stored.
    async fn stored_events(&mut self, day: i32, keys: &[(i32, Uuid)])
    -> Result<Vec<(i32, Uuid)>, StoreError>;
    /// Inserts events that are not stored; [`StoreError::Conflict`] where somebody was faster.
    async fn insert_events(&mut self, events: &[&EventRow]) -> Result<(), StoreError>;
    /// Inserts visitors' days that are not there; answers the keys of those it inserted.
    async fn insert_missing_visitor_days(
        &mut self,
        days: &[VisitorDay],
    ) -> Result<Vec<VisitorDayKey>, StoreError>;
    /// Reads visitors' days and keeps others from changing them or the sessions of them, in the order of `keys`.
    async fn lock_visitor_days(&mut self, keys: &[VisitorDayKey]) -> Result<Vec<VisitorDay>, StoreError>;
    /// Writes visitors' days that are locked.
    async fn update_visitor_days(&mut self, days: &[VisitorDay]) -> Result<(), StoreError>;
    /// Deletes sessions of locked visitors' days; answers what they were.
    async fn take_sessions(&mut self, keys: &[(i32, Uuid)]) -> Result<Vec<SessionRow>, StoreError>;
    /// Gives the events of sessions that moved to the sessions that they are of now.
    async fn move_events(&mut self, moved: &[MovedSession]) -> Result<(), StoreError>;
    /// Inserts sessions that are not there; answers the keys of those it inserted.
    async fn insert_missing_sessions(
        &mut self,
        sessions: &[SessionRow],
    ) -> Result<Vec<(i32, Uuid)>, StoreError>;
    /// Reads sessions and keeps others from changing them, in the order of `keys`.
    async fn lock_sessions(&mut self, keys: &[(i32, Uuid)]) -> Result<Vec<SessionRow>, StoreError>;
    /// Writes sessions that are locked.
    async fn update_sessions(&mut self, sessions: &[SessionRow]) -> Result<(), StoreError>;
    /// As for sessions.
    async fn insert_missing_tabs(&mut self, tabs: &[TabRow]) -> Result<Vec<(i32, Uuid)>, StoreError>;
    /// As for sessions.
    async fn lock_tabs(&mut self, keys: &[(i32, Uuid)]) -> Result<Vec<TabRow>, StoreError>;
    /// As for sessions.
    async fn update_tabs(&mut self, tabs: &[TabRow]) -> Result<(), StoreError>;
    /// The identifications that these visitors have so far.
    async fn identifications(&mut self, keys: &[(i32, Uuid)]) -> Result<Vec<Identification>, StoreError>;
    /// Writes identifications, keeping the earlier where there is one.
    async fn keep_earliest(&mut self, identifications: &[Identification]) -> Result<(), StoreError>;
    /// Appends what each project's rollups gain.
    async fn append_deltas(&mut self, deltas: &[(i32, Vec<u8>)]) -> Result<(), StoreError>;
    /// Writes down what this commit does; when it is done is the database's to say.
    async fn log_commit(&mut self, done: &CommitRow) -> Result<(), StoreError>;
    /// Makes it all so.
    async fn commit(self: Box<Self>) -> Result<(), StoreError>;
}

impl Store {
    /// Begins the transaction of a commit.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], or [`StoreError::Conflict`] where SQLite's one writer is busy too long.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        let statements: Box<dyn Statements> = match &self.backend {
            Backend::Postgres(store) => Box::new(postgres::CommitTx::begin(store).await?),
            Backend::Sqlite(store) => Box::new(sqlite::CommitTx::begin(store).await?),
        };
        Ok(Tx { began: Instant::now(), statements, rules: HashMap::new() })
    }
}

impl Tx {
    /// Commits.
    ///
    /// # Errors
    /// After [`StoreError::Unavailable`] it is not known whether the transaction went through: deliver the
    /// envelopes again, their receipts will tell.
    pub async fn commit(self) -> Result<(), StoreError> {
        self.statements.commit().await
    }

    fn rules(&mut self, project_id: i32) -> Result<&mut ProjectRules, StoreError> {
        self.rules.get_mut(&project_id).ok_or(StoreError::UnknownProject(project_id))
    }
}

/// The key of an enriched event's row: what the table is unique by, and the order in which it is inserted.
pub(crate) fn event_key(event: &EnrichedEvent) -> (i32, i32, Uuid) {
    (event.row.project_id, event.row.day, event.row.id)
}
