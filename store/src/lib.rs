//! The store: schema, migrations, every SQL statement, and in [`model`] the pure functions over its rows.
//!
//! Last stage of an event's path, first of a query's: the processor commits into it, the query API reads out
//! of it. PostgreSQL and SQLite stand behind one set of use-cases. It never decides what an event means,
//! never speaks HTTP, and no client's text ever becomes SQL text: values are bound, and closed enums choose
//! between pieces that we wrote.
//!
//! ```no_run
//! # async fn example() -> Result<(), tallymark_store::StoreError> {
//! let store = tallymark_store::Store::open("sqlite:data/tallymark.db").await?;
//! store.migrate().await?;
//! assert!(store.projects().await?.is_empty());
//! # Ok(())
//! # }
//! ```

mod address;
mod batch;
mod columns;
mod commit;
mod commit_log;
mod compact;
mod error;
mod facts;
mod maintain;
pub mod model;
mod postgres;
mod projects;
mod read;
mod recount;
mod rows;
mod sqlite;
mod tokens;

pub use address::Kind;
pub use batch::{Batch, EnvelopeRow};
pub use commit::{ChangedSession, Claimed, Deltas, FreshEvents, Tx, deltas};
pub use commit_log::CommitRow;
pub use compact::Compacted;
pub use error::StoreError;
pub use facts::StoreFacts;
pub use projects::{
    ChangedProject, DeclaredProperty, EventSource, NewProject, PROJECT_SETTINGS, Project, ProjectChange,
    PropertyKind, SettingError, ShieldRow, WriteKeyRow, check_name, check_shield,
};
pub use read::{Filter, GROUPS_MAX, Group, Measure, Operator, Plan, ReadError, Reading, Route, Source};
pub use recount::{RollupCounts, Rollups};
pub use tokens::{ApiToken, Role};

/// A store, wherever it is. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    backend: Backend,
}

#[derive(Clone, Debug)]
enum Backend {
    Postgres(postgres::PgStore),
    Sqlite(sqlite::SqliteStore),
}

/// Runs one body against whichever database the store is on: the SQL is the same to the letter, only the
/// types behind `$pool` differ. `read` takes SQLite's readers, `write` its one writer.
macro_rules! on_both {
    ($store:expr, $mode:ident, |$pool:ident| $body:expr) => {
        match &$store.backend {
            $crate::Backend::Postgres(store) => {
                let $pool = store.$mode();
                $body
            }
            $crate::Backend::Sqlite(store) => {
                let $pool = store.$mode();
                $body
            }
        }
    };
}
pub(crate) use on_both;
