//! The statements of a commit. The transaction is the only writer: what it read stays so.

use async_trait::async_trait;
use sqlx::{Sqlite, Transaction};
use uuid::Uuid;

use super::SqliteStore;
use super::multi_row::MultiRow;
use crate::StoreError;
use crate::batch::EnvelopeRow;
use crate::columns::{Day, Ms};
use crate::commit::{MovedSession, Statements, StoredRules};
use crate::commit_log::CommitRow;
use crate::model::{EventRow, Identification, SessionRow, TabRow, VisitorDay, VisitorDayKey, parse_zone};
use crate::rows::{self, RulesRow};

pub(crate) struct CommitTx {
    pub(super) tx: Transaction<'static, Sqlite>,
}

impl CommitTx {
    pub(crate) async fn begin(store: &SqliteStore) -> Result<Self, StoreError> {
        Ok(Self { tx: store.begin_write().await? })
    }
}

static RECEIPTS: MultiRow = MultiRow::new(
    "insert into envelope_receipt (project_id, envelope_id, received, received_hour) values",
    4,
    "on conflict do nothing returning project_id, envelope_id",
);

static EVENTS: MultiRow = MultiRow::new(
    "insert into event (project_id, day, id, visitor_id, session_id, occurred_at, received_at, engaged_ms,
        name, user_id, url, hostname, path, title, referrer, category, event_source, props, server_session,
        address) values",
    20,
    "",
);

static STORED_EVENTS: MultiRow =
    MultiRow::new("select project_id, id from event where (project_id, day, id) in (values", 3, ")");

macro_rules! sessions {
    ($after:expr) => {
        MultiRow::new(
            "insert into session (project_id, pageviews, session_id, visitor_id, entry_id, exit_id,
                started_at, ended_at, entry_at, exit_at, hour_bucket, day_bucket, engaged_ms, events, interactions,
                entry_page, exit_page, hostname, referrer, source, browser, os, device, country, region,
                city) values",
            26,
            $after,
        )
    };
}

static SESSIONS_INSERT_MISSING: MultiRow =
    sessions!("on conflict do nothing returning project_id, session_id");

static SESSIONS_UPDATE: MultiRow = sessions!(
    "on conflict (project_id, session_id) do update set pageviews = excluded.pageviews,
        entry_id = excluded.entry_id, exit_id = excluded.exit_id, started_at = excluded.started_at,
        ended_at = excluded.ended_at, entry_at = excluded.entry_at, exit_at = excluded.exit_at,
        hour_bucket = excluded.hour_bucket, day_bucket = excluded.day_bucket, engaged_ms = excluded.engaged_ms,
        events = excluded.events, interactions = excluded.interactions, entry_page = excluded.entry_page,
        exit_page = excluded.exit_page, hostname = excluded.hostname, referrer = excluded.referrer,
        source = excluded.source, browser = excluded.browser, os = excluded.os, device = excluded.device,
        country = excluded.country, region = excluded.region, city = excluded.city"
);

static SESSIONS_BY_KEY: MultiRow =
    MultiRow::new("select * from session where (project_id, session_id) in (values", 2, ")");

static TABS_INSERT_MISSING: MultiRow = MultiRow::new(
    "insert into tab_ledger (project_id, tab_id, first_at, last_at, seen) values",
    5,
    "on conflict do nothing returning project_id, tab_id",
);

static TABS_UPDATE: MultiRow = MultiRow::new(
    "insert into tab_ledger (project_id, tab_id, first_at, last_at, seen) values",
    5,
    "on conflict (project_id, tab_id) do update
        set first_at = excluded.first_at, last_at = excluded.last_at, seen = excluded.seen",
);

static TABS_BY_KEY: MultiRow =
    MultiRow::new("select * from tab_ledger where (project_id, tab_id) in (values", 2, ")");

static IDENTIFICATIONS_BY_KEY: MultiRow =
    MultiRow::new("select * from person_alias where (project_id, visitor_id) in (values", 2, ")");

static KEEP_EARLIEST: MultiRow = MultiRow::new(
    "insert into person_alias (project_id, visitor_id, event_id, occurred_at, user_id) values",
    5,
    "on conflict (project_id, visitor_id) do update
        set event_id = excluded.event_id, occurred_at = excluded.occurred_at, user_id = excluded.user_id
        where (excluded.occurred_at, excluded.event_id) < (person_alias.occurred_at, person_alias.event_id)",
);

static DELTAS: MultiRow = MultiRow::new("insert into rollup_delta (project_id, payload) values", 2, "");

/// Binds a session's columns, in the order in which both statements name them.
macro_rules! bind_session {
    ($query:expr, $row:expr) => {{
        let row = $row;
        let buckets = row.counted_in.expect("merge_sessions counts every session before it writes it");
        $query
            .bind(row.project_id)
            .bind(row.pageviews)
            .bind(row.session_id)
            .bind(row.visitor_id)
            .bind(row.entry.id)
            .bind(row.exit.id)
            .bind(Ms(row.started_at))
            .bind(Ms(row.ended_at))
            .bind(Ms(row.entry.at))
            .bind(Ms(row.exit.at))
            .bind(Ms(buckets.hour))
            .bind(Ms(buckets.day))
            .bind(row.engaged_ms)
            .bind(row.events)
            .bind(row.interactions)
            .bind(row.entry_page.as_deref())
            .bind(row.exit_page.as_deref())
            .bind(row.hostname.as_deref())
            .bind(row.referrer.as_deref())
            .bind(row.source.as_deref())
            .bind(row.browser.as_deref())
            .bind(row.os.as_deref())
            .bind(row.device.as_deref())
            .bind(row.country.as_deref())
            .bind(row.region.as_deref())
            .bind(row.city.as_deref())
    }};
}

macro_rules! bind_tab {
    ($query:expr, $row:expr) => {{
        let row = $row;
        $query
            .bind(row.project_id)
            .bind(row.tab_id)
            .bind(Ms(row.first_at))
            .bind(Ms(row.last_at))
            .bind(row.seen.to_string())
    }};
}

#[async_trait]
impl Statements for CommitTx {
    async fn lock_rules(&mut self, projects: &[i32]) -> Result<Vec<StoredRules>, StoreError> {
        let mut rules = Vec::with_capacity(projects.len());
        for project_id in projects {
            let row: Option<RulesRow> = sqlx::query_as(
                "select id, time_zone, horizon, sketch_key, session_timeout_minutes from project where id = ?",
            )
            .bind(project_id)
            .fetch_optional(&mut *self.tx)
            .await?;
            rules.extend(row.map(|row| row.read(parse_zone)).transpose()?);
        }
        Ok(rules)
    }

    async fn insert_receipts(&mut self, envelopes: &[&EnvelopeRow]) -> Result<Vec<(i32, Uuid)>, StoreError> {
        RECEIPTS
            .fetch(&mut self.tx, envelopes, |query, row| {
                query
                    .bind(row.project_id)
                    .bind(row.envelope_id)
                    .bind(rows::count(row.received))
                    .bind(Ms(row.received_at.utc_hour()))
            })
            .await
    }

    async fn stored_events(
        &mut self,
        day: i32,
        keys: &[(i32, Uuid)],
    ) -> Result<Vec<(i32, Uuid)>, StoreError> {
        STORED_EVENTS
            .fetch(&mut self.tx, keys, |query, key| query.bind(key.0).bind(Day(day)).bind(key.1))
            .await
    }

    async fn insert_events(&mut self, events: &[&EventRow]) -> Result<(), StoreError> {
        EVENTS
            .execute(&mut self.tx, events, |query, row| {
                query
                    .bind(row.project_id)
                    .bind(Day(row.day))
                    .bind(row.id)
                    .bind(row.visitor_id)
                    .bind(row.session_id)
                    .bind(Ms(row.occurred_at))
                    .bind(Ms(row.received_at))
                    .bind(row.engaged_ms)
                    .bind(row.name.as_str())
                    .bind(row.user_id.as_deref())
                    .bind(row.url.as_deref())
                    .bind(row.hostname.as_deref())
                    .bind(row.path.as_deref())
                    .bind(row.title.as_deref())
                    .bind(row.referrer.as_deref())
                    .bind(row.category.as_deref())
                    .bind(row.event_source.as_deref())
                    .bind(row.props.as_ref().map(|props| props.get()))
                    .bind(row.server_session.then_some(true))
                    .bind(row.address.map(|address| address.to_string()))
            })
            .await
    }

    async fn insert_missing_visitor_days(
        &mut self,
        days: &[VisitorDay],
    ) -> Result<Vec<VisitorDayKey>, StoreError> {
        self.insert_visitor_days(days).await
    }

    async fn lock_visitor_days(&mut self, keys: &[VisitorDayKey]) -> Result<Vec<VisitorDay>, StoreError> {
        self.visitor_days(keys).await
    }

    async fn update_visitor_days(&mut self, days: &[VisitorDay]) -> Result<(), StoreError> {
        self.write_visitor_days(days).await
    }

    async fn take_sessions(&mut self, keys: &[(i32, Uuid)]) -> Result<Vec<SessionRow>, StoreError> {
        self.delete_sessions(keys).await
    }

    async fn move_events(&mut self, moved: &[MovedSession]) -> Result<(), StoreError> {
        self.update_events(moved).await
    }

    async fn insert_missing_sessions(
        &mut self,
        sessions: &[SessionRow],
    ) -> Result<Vec<(i32, Uuid)>, StoreError> {
        SESSIONS_INSERT_MISSING.fetch(&mut self.tx, sessions, |query, row| bind_session!(query, row)).await
    }

    async fn lock_sessions(&mut self, keys: &[(i32, Uuid)]) -> Result<Vec<SessionRow>, StoreError> {
        SESSIONS_BY_KEY.fetch(&mut self.tx, keys, |query, key| query.bind(key.0).bind(key.1)).await
    }

    async fn update_sessions(&mut self, sessions: &[SessionRow]) -> Result<(), StoreError> {
        SESSIONS_UPDATE.execute(&mut self.tx, sessions, |query, row| bind_session!(query, row)).await
    }

    async fn insert_missing_tabs(&mut self, tabs: &[TabRow]) -> Result<Vec<(i32, Uuid)>, StoreError> {
        TABS_INSERT_MISSING.fetch(&mut self.tx, tabs, |query, row| bind_tab!(query, row)).await
    }

    async fn lock_tabs(&mut self, keys: &[(i32, Uuid)]) -> Result<Vec<TabRow>, StoreError> {
        TABS_BY_KEY.fetch(&mut self.tx, keys, |query, key| query.bind(key.0).bind(key.1)).await
    }

    async fn update_tabs(&mut self, tabs: &[TabRow]) -> Result<(), StoreError> {
        TABS_UPDATE.execute(&mut self.tx, tabs, |query, row| bind_tab!(query, row)).await
    }

    async fn identifications(&mut self, keys: &[(i32, Uuid)]) -> Result<Vec<Identification>, StoreError> {
        IDENTIFICATIONS_BY_KEY.fetch(&mut self.tx, keys, |query, key| query.bind(key.0).bind(key.1)).await
    }

    async fn keep_earliest(&mut self, identifications: &[Identification]) -> Result<(), StoreError> {
        KEEP_EARLIEST
            .execute(&mut self.tx, identifications, |query, row| {
                query
                    .bind(row.project_id)
                    .bind(row.visitor_id)
                    .bind(row.event_id)
                    .bind(Ms(row.occurred_at))
                    .bind(row.user_id.as_str())
            })
            .await
    }

    async fn append_deltas(&mut self, deltas: &[(i32, Vec<u8>)]) -> Result<(), StoreError> {
        DELTAS.execute(&mut self.tx, deltas, |query, row| query.bind(row.0).bind(row.1.as_slice())).await
    }

    async fn log_commit(&mut self, done: &CommitRow) -> Result<(), StoreError> {
        sqlx::query(
            "insert into commit_log (committed_at, took_ms, envelopes, accepted, duplicates, discarded)
             values (cast(unixepoch('subsec') * 1000 as integer), $1, $2, $3, $4, $5)",
        )
        .bind(done.took_ms)
        .bind(done.envelopes)
        .bind(done.accepted)
        .bind(done.duplicates)
        .bind(done.discarded)
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    async fn commit(self: Box<Self>) -> Result<(), StoreError> {
        Ok(self.tx.commit().await?)
    }
}
