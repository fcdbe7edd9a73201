//! The apps that send to a project, by the name that their events carry. One that is off is not taken.

use sqlx::Row;
use tallymark_protocol::UnixMs;

use super::change::{Done, Hold, change};
use super::check::{SettingError, check_name};
use crate::columns::Ms;
use crate::rows::from_rows;
use crate::{Store, StoreError, on_both};

/// Event sources of one project that something is said about.
const EVENT_SOURCES_MAX: i64 = 1_000;

/// An event source that something is said about; all others are on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventSource {
    /// What events say in `event_source`.
    pub name: String,
    /// Whether its events are taken.
    pub is_on: bool,
    /// When something was first said about it.
    pub created_at: UnixMs,
}

from_rows!(EventSource, |row| Ok(EventSource {
    name: row.try_get("name")?,
    is_on: row.try_get("is_on")?,
    created_at: row.try_get::<Ms, _>("created_at")?.0,
}));

impl Store {
    /// A project's event sources that something is said about, by name.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn event_sources(&self, project_id: i32) -> Result<Vec<EventSource>, StoreError> {
        on_both!(self, read, |pool| Ok(sqlx::query_as(
            "select name, is_on, created_at from event_source where project_id = $1 order by name"
        )
        .bind(project_id)
        .fetch_all(pool)
        .await?))
    }

    /// Switches an event source on or off, as `is_on` says; answers it, and whether that was news.
    ///
    /// # Errors
    /// [`StoreError::Setting`] for a name that is none; [`StoreError::UnknownProject`]; those of the store.
    pub async fn set_event_source(
        &self,
        project_id: i32,
        source: &EventSource,
    ) -> Result<(EventSource, bool), StoreError> {
        let name = check_name("name", &source.name)?;
        change!(self, project_id, Hold::Project, |tx| {
            let known: Option<EventSource> = sqlx::query_as(
                "select name, is_on, created_at from event_source where project_id = $1 and name = $2",
            )
            .bind(project_id)
            .bind(&name)
            .fetch_optional(&mut *tx)
            .await?;
            if let Some(known) = known.as_ref().filter(|known| known.is_on == source.is_on) {
                Done::Same((known.clone(), false))
            } else {
                let created_at = known.map_or(source.created_at, |known| known.created_at);
                sqlx::query(
                    "insert into event_source (project_id, name, is_on, created_at) values ($1, $2, $3, $4)
                     on conflict (project_id, name) do update set is_on = excluded.is_on",
                )
                .bind(project_id)
                .bind(&name)
                .bind(source.is_on)
                .bind(Ms(created_at))
                .execute(&mut *tx)
                .await?;
                let (count,): (i64,) =
                    sqlx::query_as("select count(*) from event_source where project_id = $1")
                        .bind(project_id)
                        .fetch_one(&mut *tx)
                        .await?;
                if count > EVENT_SOURCES_MAX {
                    let detail = format!("{count} event sources; {EVENT_SOURCES_MAX} are allowed");
                    return Err(SettingError::new("name", detail).into());
                }
                Done::Changed((EventSource { name, is_on: source.is_on, created_at }, true))
            }
        })
    }
}
