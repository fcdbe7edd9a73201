//! The keys with which a project's pages send.

use sqlx::Row;
use tallymark_protocol::UnixMs;

use super::change::{Done, Hold, change};
use crate::columns::Ms;
use crate::rows::from_rows;
use crate::{Store, StoreError, on_both};

/// A write key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteKeyRow {
    /// The key.
    pub key: String,
    /// The project.
    pub project_id: i32,
    /// What it is for; may be empty.
    pub name: String,
    /// When it was made.
    pub created_at: UnixMs,
    /// When it was revoked: since then nobody can send with it.
    pub revoked_at: Option<UnixMs>,
}

from_rows!(WriteKeyRow, |row| Ok(WriteKeyRow {
    key: row.try_get("key")?,
    project_id: row.try_get("project_id")?,
    name: row.try_get("name")?,
    created_at: row.try_get::<Ms, _>("created_at")?.0,
    revoked_at: row.try_get::<Option<Ms>, _>("revoked_at")?.map(|at| at.0),
}));

impl Store {
    /// Adds a write key to its project.
    ///
    /// # Errors
    /// [`StoreError::UnknownProject`]; those of the store.
    pub async fn create_write_key(&self, key: &WriteKeyRow) -> Result<(), StoreError> {
        change!(self, key.project_id, Hold::Project, |tx| {
            sqlx::query("insert into write_key (key, project_id, name, created_at) values ($1, $2, $3, $4)")
                .bind(&key.key)
                .bind(key.project_id)
                .bind(&key.name)
                .bind(Ms(key.created_at))
                .execute(tx)
                .await?;
            Done::Changed(())
        })
    }

    /// A project's write keys, revoked ones too, oldest first.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn write_keys_of(&self, project_id: i32) -> Result<Vec<WriteKeyRow>, StoreError> {
        on_both!(self, read, |pool| Ok(sqlx::query_as(
            "select key, project_id, name, created_at, revoked_at from write_key where project_id = $1
             order by created_at, key"
        )
        .bind(project_id)
        .fetch_all(pool)
        .await?))
    }

    /// Revokes a write key; false where the project has none such that still works.
    ///
    /// # Errors
    /// [`StoreError::UnknownProject`]; those of the store.
    pub async fn revoke_write_key(
        &self,
        project_id: i32,
        key: &str,
        now: UnixMs,
    ) -> Result<bool, StoreError> {
        change!(self, project_id, Hold::Project, |tx| {
            let revoked = sqlx::query(
                "update write_key set revoked_at = $3 where key = $2 and project_id = $1 and revoked_at is null",
            )
            .bind(project_id)
            .bind(key)
            .bind(Ms(now))
            .execute(tx)
            .await?;
            if revoked.rows_affected() > 0 { Done::Changed(true) } else { Done::Same(false) }
        })
    }
}
