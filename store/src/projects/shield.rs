//! Traffic that a project's owner does not want counted.

use sqlx::Row;
use tallymark_protocol::UnixMs;
use tallymark_protocol::settings::{Shield, ShieldKind};
use uuid::Uuid;

use super::change::{Done, Hold, change};
use super::check::SettingError;
use crate::columns::Ms;
use crate::rows::from_rows;
use crate::{Store, StoreError, on_both};

/// Shields of one project: each is held against every event.
const SHIELDS_MAX: i64 = 500;

/// A shield of a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShieldRow {
    /// Its id: what removing takes.
    pub id: Uuid,
    /// What it keeps out.
    pub shield: Shield,
    /// When it was added.
    pub created_at: UnixMs,
}

from_rows!(ShieldRow, |row| {
    let (kind, pattern): (String, String) = (row.try_get("kind")?, row.try_get("pattern")?);
    let shield = read_shield(&kind, &pattern).map_err(|detail| sqlx::Error::ColumnDecode {
        index: "shield.pattern".to_owned(),
        source: detail.into(),
    })?;
    let created_at = row.try_get::<Ms, _>("created_at")?.0;
    Ok(ShieldRow { id: row.try_get("id")?, shield, created_at })
});

/// A shield as its row holds it.
pub(super) fn read_shield(kind: &str, pattern: &str) -> Result<Shield, String> {
    let kind = ShieldKind::from_name(kind).ok_or_else(|| format!("{kind:?} is no kind of shield"))?;
    Shield::parse(kind, pattern).map_err(|error| error.to_string())
}

/// Checks a shield as people write it.
///
/// # Errors
/// [`SettingError`] for a kind that there is none of, and a pattern that means nothing to its kind.
pub fn check_shield(kind: &str, pattern: &str) -> Result<Shield, SettingError> {
    let Some(kind) = ShieldKind::from_name(&kind.replace('-', "_")) else {
        let known: Vec<&str> = ShieldKind::ALL.into_iter().map(ShieldKind::as_str).collect();
        let detail = format!("{kind:?} is no kind of shield; write one of {}", known.join(", "));
        return Err(SettingError::new("kind", detail));
    };
    Shield::parse(kind, pattern).map_err(|error| SettingError::pattern("pattern", &error))
}

impl Store {
    /// A project's shields, oldest first.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn shields(&self, project_id: i32) -> Result<Vec<ShieldRow>, StoreError> {
        on_both!(self, read, |pool| Ok(sqlx::query_as(
            "select id, kind, pattern, created_at from shield where project_id = $1 order by created_at, id"
        )
        .bind(project_id)
        .fetch_all(pool)
        .await?))
    }

    /// Adds a shield. Where the project has the same one already, that one is answered and nothing changes.
    ///
    /// # Errors
    /// [`StoreError::Setting`] for one too many; [`StoreError::UnknownProject`]; those of the store.
    pub async fn add_shield(
        &self,
        project_id: i32,
        new: &ShieldRow,
    ) -> Result<(ShieldRow, bool), StoreError> {
        change!(self, project_id, Hold::Project, |tx| {
            let known: Option<ShieldRow> = sqlx::query_as(
                "select id, kind, pattern, created_at from shield
                 where project_id = $1 and kind = $2 and pattern = $3",
            )
            .bind(project_id)
            .bind(new.shield.kind().as_str())
            .bind(new.shield.pattern())
            .fetch_optional(&mut *tx)
            .await?;
            if let Some(known) = known {
                Done::Same((known, false))
            } else {
                let (count,): (i64,) = sqlx::query_as("select count(*) from shield where project_id = $1")
                    .bind(project_id)
                    .fetch_one(&mut *tx)
                    .await?;
                if count >= SHIELDS_MAX {
                    let detail =
                        format!("the project has {count} shields, and no more are allowed; remove some");
                    return Err(SettingError::new("pattern", detail).into());
                }
                sqlx::query(
                    "insert into shield (project_id, id, kind, pattern, created_at) values ($1, $2, $3, $4, $5)",
                )
                .bind(project_id)
                .bind(new.id)
                .bind(new.shield.kind().as_str())
                .bind(new.shield.pattern())
                .bind(Ms(new.created_at))
                .execute(&mut *tx)
                .await?;
                Done::Changed((new.clone(), true))
            }
        })
    }

    /// Removes a shield; false where the project has none of that id.
    ///
    /// # Errors
    /// [`StoreError::UnknownProject`]; those of the store.
    pub async fn remove_shield(&self, project_id: i32, id: Uuid) -> Result<bool, StoreError> {
        change!(self, project_id, Hold::Project, |tx| {
            let removed = sqlx::query("delete from shield where project_id = $1 and id = $2")
                .bind(project_id)
                .bind(id)
                .execute(tx)
                .await?;
            if removed.rows_affected() > 0 { Done::Changed(true) } else { Done::Same(false) }
        })
    }
}
