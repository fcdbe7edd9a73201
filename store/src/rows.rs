//! Reading rows, the same way from both databases. What cannot be read is an error that names its place.

use jiff::tz::TimeZone;
use sqlx::Row;

use crate::StoreError;
use crate::columns::{Day, Ms};
use crate::commit::StoredRules;
use crate::model::{Buckets, Edge, Identification, SeqRanges, SessionRow, TabRow, VisitorDay, Visits};

/// A count as databases hold it; the limits of the wire keep it far below the largest.
pub(crate) fn count(received: u32) -> i32 {
    i32::try_from(received).unwrap_or(i32::MAX)
}

/// Implements [`FromRow`](sqlx::FromRow) for PostgreSQL's and SQLite's rows with one body.
macro_rules! from_rows {
    ($type:ty, |$row:ident| $body:expr) => {
        impl sqlx::FromRow<'_, sqlx::postgres::PgRow> for $type {
            fn from_row($row: &sqlx::postgres::PgRow) -> Result<Self, sqlx::Error> {
                $body
            }
        }
        impl sqlx::FromRow<'_, sqlx::sqlite::SqliteRow> for $type {
            fn from_row($row: &sqlx::sqlite::SqliteRow) -> Result<Self, sqlx::Error> {
                $body
            }
        }
    };
}
pub(crate) use from_rows;

/// What rows are read from: by name, since statements that are prepared outlive added columns. PostgreSQL refuses those
/// whose answer would have one more, again and again on the same connection.
macro_rules! session_columns {
    () => {
        "project_id, session_id, visitor_id, started_at, ended_at, hour_bucket, day_bucket, entry_at, entry_id, exit_at,
            exit_id, pageviews, events, interactions, engaged_ms, entry_page, exit_page, hostname, referrer, source,
            browser, os, device, country, region, city"
    };
}
pub(crate) use session_columns;

/// As of sessions.
macro_rules! tab_columns {
    () => {
        "project_id, tab_id, first_at, last_at, seen"
    };
}
pub(crate) use tab_columns;

/// As of sessions.
macro_rules! alias_columns {
    () => {
        "project_id, visitor_id, user_id, occurred_at, event_id"
    };
}
pub(crate) use alias_columns;

from_rows!(SessionRow, |row| Ok(SessionRow {
    project_id: row.try_get("project_id")?,
    session_id: row.try_get("session_id")?,
    visitor_id: row.try_get("visitor_id")?,
    started_at: row.try_get::<Ms, _>("started_at")?.0,
    ended_at: row.try_get::<Ms, _>("ended_at")?.0,
    counted_in: Some(Buckets {
        hour: row.try_get::<Ms, _>("hour_bucket")?.0,
        day: row.try_get::<Ms, _>("day_bucket")?.0,
    }),
    entry: Edge { at: row.try_get::<Ms, _>("entry_at")?.0, id: row.try_get("entry_id")? },
    exit: Edge { at: row.try_get::<Ms, _>("exit_at")?.0, id: row.try_get("exit_id")? },
    pageviews: row.try_get("pageviews")?,
    events: row.try_get("events")?,
    interactions: row.try_get("interactions")?,
    engaged_ms: row.try_get("engaged_ms")?,
    entry_page: row.try_get("entry_page")?,
    exit_page: row.try_get("exit_page")?,
    hostname: row.try_get("hostname")?,
    referrer: row.try_get("referrer")?,
    source: row.try_get("source")?,
    browser: row.try_get("browser")?,
    os: row.try_get("os")?,
    device: row.try_get("device")?,
    country: row.try_get("country")?,
    region: row.try_get("region")?,
    city: row.try_get("city")?,
}));

from_rows!(TabRow, |row| {
    let seen: String = row.try_get("seen")?;
    Ok(TabRow {
        project_id: row.try_get("project_id")?,
        tab_id: row.try_get("tab_id")?,
        first_at: row.try_get::<Ms, _>("first_at")?.0,
        last_at: row.try_get::<Ms, _>("last_at")?.0,
        seen: SeqRanges::parse(&seen).ok_or_else(|| sqlx::Error::ColumnDecode {
            index: "tab_ledger.seen".to_owned(),
            source: format!("{seen:?} is no list of ranges").into(),
        })?,
    })
});

from_rows!(VisitorDay, |row| {
    let visits: String = row.try_get("visits")?;
    Ok(VisitorDay {
        project_id: row.try_get("project_id")?,
        day: row.try_get::<Day, _>("day")?.0,
        visitor_id: row.try_get("visitor_id")?,
        visits: Visits::parse(&visits).ok_or_else(|| sqlx::Error::ColumnDecode {
            index: "visitor_day.visits".to_owned(),
            source: format!("{visits:?} is no list of visits").into(),
        })?,
    })
});

from_rows!(Identification, |row| Ok(Identification {
    project_id: row.try_get("project_id")?,
    visitor_id: row.try_get("visitor_id")?,
    user_id: row.try_get("user_id")?,
    occurred_at: row.try_get::<Ms, _>("occurred_at")?.0,
    event_id: row.try_get("event_id")?,
}));

/// Settings that f and g depend on, as stored.
pub(crate) struct RulesRow {
    id: i32,
    time_zone: String,
    horizon: Option<Day>,
    sketch_key: Vec<u8>,
    session_timeout_minutes: i32,
}

from_rows!(RulesRow, |row| Ok(RulesRow {
    id: row.try_get("id")?,
    time_zone: row.try_get("time_zone")?,
    horizon: row.try_get("horizon")?,
    sketch_key: row.try_get("sketch_key")?,
    session_timeout_minutes: row.try_get("session_timeout_minutes")?,
}));

impl RulesRow {
    pub(crate) fn read(self, zone: impl Fn(&str) -> Option<TimeZone>) -> Result<StoredRules, StoreError> {
        let corrupt = |column, detail| StoreError::Corrupt { table: "project", column, detail };
        let unknown_zone = format!("project {}: {:?} is no time zone", self.id, self.time_zone);
        let zone = zone(&self.time_zone).ok_or_else(|| corrupt("time_zone", unknown_zone))?;
        let key_bytes = self.sketch_key.len();
        let sketch_key = self.sketch_key.try_into();
        Ok(StoredRules {
            project_id: self.id,
            zone,
            horizon_day: self.horizon.map(|day| day.0),
            session_timeout_ms: i64::from(self.session_timeout_minutes) * 60_000,
            sketch_key: sketch_key
                .map_err(|_| corrupt("sketch_key", format!("project {}: {key_bytes} bytes", self.id)))?,
        })
    }
}
