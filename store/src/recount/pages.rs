//! Raw rows of one project, page by page in the order of their keys: for whoever has to see all of them.

use serde_json::value::RawValue;
use sqlx::Row;
use tallymark_protocol::UnixMs;
use uuid::Uuid;

use crate::columns::{Address, Day, Ms};
use crate::model::{EventRow, Identification, SessionRow, TabRow};
use crate::rows::{alias_columns, from_rows, session_columns, tab_columns};
use crate::{Store, StoreError, on_both};

/// The first day that calendars have, 0001-01-01: before every stored one.
const FIRST_DAY: i32 = -719_162;

from_rows!(EventRow, |row| {
    let props: Option<String> = row.try_get("props")?;
    let unreadable = |source: serde_json::Error| sqlx::Error::ColumnDecode {
        index: "event.props".to_owned(),
        source: source.into(),
    };
    Ok(EventRow {
        project_id: row.try_get("project_id")?,
        day: row.try_get::<Day, _>("day")?.0,
        id: row.try_get("id")?,
        visitor_id: row.try_get("visitor_id")?,
        session_id: row.try_get("session_id")?,
        server_session: row.try_get::<Option<bool>, _>("server_session")?.unwrap_or(false),
        occurred_at: row.try_get::<Ms, _>("occurred_at")?.0,
        received_at: row.try_get::<Ms, _>("received_at")?.0,
        engaged_ms: row.try_get("engaged_ms")?,
        name: row.try_get("name")?,
        user_id: row.try_get("user_id")?,
        url: row.try_get("url")?,
        hostname: row.try_get("hostname")?,
        path: row.try_get("path")?,
        title: row.try_get("title")?,
        referrer: row.try_get("referrer")?,
        category: row.try_get("category")?,
        event_source: row.try_get("event_source")?,
        address: row.try_get::<Option<Address>, _>("address")?.map(|address| address.0),
        props: props.map(RawValue::from_string).transpose().map_err(unreadable)?,
    })
});

impl Store {
    /// At most `limit` events of a project behind the key `last`, in the order of `(day, id)`.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn events_after(
        &self,
        project_id: i32,
        last: Option<(i32, Uuid)>,
        limit: u32,
    ) -> Result<Vec<EventRow>, StoreError> {
        let (day, id) = last.unwrap_or((FIRST_DAY, Uuid::nil()));
        on_both!(self, read, |pool| {
            Ok(sqlx::query_as(
            "select project_id, day, id, visitor_id, session_id, occurred_at, received_at, engaged_ms, name, user_id,
                url, hostname, path, title, referrer, category, event_source, server_session, address,
                cast(props as text) as props
             from event where project_id = $1 and (day, id) > ($2, $3) order by day, id limit $4",
        )
        .bind(project_id)
        .bind(Day(day))
        .bind(id)
        .bind(i64::from(limit))
        .fetch_all(pool)
        .await?)
        })
    }

    /// At most `limit` sessions of a project behind the key `last`, in the order of their ids.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn sessions_after(
        &self,
        project_id: i32,
        last: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<SessionRow>, StoreError> {
        on_both!(self, read, |pool| Ok(sqlx::query_as(concat!(
            "select ",
            session_columns!(),
            " from session where project_id = $1 and session_id > $2 order by session_id limit $3"
        ))
        .bind(project_id)
        .bind(last.unwrap_or(Uuid::nil()))
        .bind(i64::from(limit))
        .fetch_all(pool)
        .await?))
    }

    /// At most `limit` tabs of a project's ledger behind the key `last`, in the order of their ids.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn tabs_after(
        &self,
        project_id: i32,
        last: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<TabRow>, StoreError> {
        on_both!(self, read, |pool| Ok(sqlx::query_as(concat!(
            "select ",
            tab_columns!(),
            " from tab_ledger where project_id = $1 and tab_id > $2 order by tab_id limit $3"
        ))
        .bind(project_id)
        .bind(last.unwrap_or(Uuid::nil()))
        .bind(i64::from(limit))
        .fetch_all(pool)
        .await?))
    }

    /// At most `limit` identifications of a project behind the visitor `last`, in the order of their visitors.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn identifications_after(
        &self,
        project_id: i32,
        last: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<Identification>, StoreError> {
        on_both!(self, read, |pool| {
            Ok(sqlx::query_as(concat!(
                "select ",
                alias_columns!(),
                " from person_alias where project_id = $1 and visitor_id > $2 order by visitor_id limit $3"
            ))
            .bind(project_id)
            .bind(last.unwrap_or(Uuid::nil()))
            .bind(i64::from(limit))
            .fetch_all(pool)
            .await?)
        })
    }

    /// What receipts say was received, by UTC hour of receipt. Receipts are kept for some weeks.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn received_by_hour(&self, project_id: i32) -> Result<Vec<(UnixMs, i64)>, StoreError> {
        let rows: Vec<(Ms, i64)> = on_both!(self, read, |pool| sqlx::query_as(
            "select received_hour, sum(received) from envelope_receipt where project_id = $1
             group by received_hour order by received_hour",
        )
        .bind(project_id)
        .fetch_all(pool)
        .await?);
        Ok(rows.into_iter().map(|(hour, received)| (hour.0, received)).collect())
    }

    /// What became of events, by UTC hour of receipt and the outcome's name, compacted.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn outcomes_by_hour(&self, project_id: i32) -> Result<Vec<(UnixMs, String, i64)>, StoreError> {
        let rows: Vec<(Ms, String, i64)> = on_both!(self, read, |pool| sqlx::query_as(
            "select received_hour, outcome, events from outcome_hour where project_id = $1
             order by received_hour, outcome",
        )
        .bind(project_id)
        .fetch_all(pool)
        .await?);
        Ok(rows.into_iter().map(|(hour, outcome, events)| (hour.0, outcome, events)).collect())
    }
}
