//! The statements of a commit. Keys go in as arrays; the joins against them are written so that there is
//! only one plan, an index look-up a key in the order of the keys, whatever the statistics say.

use async_trait::async_trait;
use sqlx::{Postgres, Transaction};
use tallymark_protocol::UnixMs;
use uuid::Uuid;

use super::visits::{DAYS_INSERT_MISSING, DAYS_UPDATE};
use super::{Lock, PgStore, copy};
use crate::StoreError;
use crate::batch::EnvelopeRow;
use crate::columns::{Day, Ms};
use crate::commit::{MovedSession, Statements, StoredRules};
use crate::commit_log::CommitRow;
use crate::model::{EventRow, Identification, SessionRow, TabRow, VisitorDay, VisitorDayKey, parse_zone};
use crate::rows::{self, RulesRow, alias_columns, session_columns, tab_columns};

pub(crate) struct CommitTx {
    pub(super) tx: Transaction<'static, Postgres>,
}

impl CommitTx {
    pub(crate) async fn begin(store: &PgStore) -> Result<Self, StoreError> {
        Ok(Self { tx: store.writers.begin().await? })
    }

    async fn write_sessions(
        &mut self,
        sessions: &[SessionRow],
        on_conflict: OnConflict,
    ) -> Result<Vec<(i32, Uuid)>, StoreError> {
        let statement = match on_conflict {
            OnConflict::Nothing => SESSIONS_INSERT_MISSING,
            OnConflict::Update => SESSIONS_UPDATE,
        };
        macro_rules! column {
            (|$row:ident| $value:expr) => {
                sessions.iter().map(|$row| $value).collect::<Vec<_>>()
            };
        }
        let buckets = |row: &SessionRow| {
            row.counted_in.ok_or_else(|| StoreError::Corrupt {
                table: "session",
                column: "hour_bucket",
                detail: "a session is written without having been counted".to_owned(),
            })
        };
        let buckets = sessions.iter().map(buckets).collect::<Result<Vec<_>, _>>()?;
        let keys = sqlx::query_as(statement)
            .bind(column!(|row| row.project_id))
            .bind(column!(|row| row.pageviews))
            .bind(column!(|row| row.session_id))
            .bind(column!(|row| row.visitor_id))
            .bind(column!(|row| row.entry.id))
            .bind(column!(|row| row.exit.id))
            .bind(column!(|row| Ms(row.started_at)))
            .bind(column!(|row| Ms(row.ended_at)))
            .bind(column!(|row| Ms(row.entry.at)))
            .bind(column!(|row| Ms(row.exit.at)))
            .bind(buckets.iter().map(|buckets| Ms(buckets.hour)).collect::<Vec<_>>())
            .bind(buckets.iter().map(|buckets| Ms(buckets.day)).collect::<Vec<_>>())
            .bind(column!(|row| row.engaged_ms))
            .bind(column!(|row| row.events))
            .bind(column!(|row| row.interactions))
            .bind(column!(|row| row.entry_page.as_deref()))
            .bind(column!(|row| row.exit_page.as_deref()))
            .bind(column!(|row| row.hostname.as_deref()))
            .bind(column!(|row| row.referrer.as_deref()))
            .bind(column!(|row| row.source.as_deref()))
            .bind(column!(|row| row.browser.as_deref()))
            .bind(column!(|row| row.os.as_deref()))
            .bind(column!(|row| row.device.as_deref()))
            .bind(column!(|row| row.country.as_deref()))
            .bind(column!(|row| row.region.as_deref()))
            .bind(column!(|row| row.city.as_deref()))
            .fetch_all(&mut *self.tx)
            .await?;
        Ok(keys)
    }

    async fn write_tabs(
        &mut self,
        tabs: &[TabRow],
        statement: &'static str,
    ) -> Result<Vec<(i32, Uuid)>, StoreError> {
        Ok(sqlx::query_as(statement)
            .bind(tabs.iter().map(|row| row.project_id).collect::<Vec<_>>())
            .bind(tabs.iter().map(|row| row.tab_id).collect::<Vec<_>>())
            .bind(tabs.iter().map(|row| Ms(row.first_at)).collect::<Vec<_>>())
            .bind(tabs.iter().map(|row| Ms(row.last_at)).collect::<Vec<_>>())
            .bind(tabs.iter().map(|row| row.seen.to_string()).collect::<Vec<_>>())
            .fetch_all(&mut *self.tx)
            .await?)
    }
}

#[derive(Clone, Copy)]
enum OnConflict {
    Nothing,
    Update,
}

macro_rules! sessions_from_arrays {
    ($on_conflict:literal) => {
        concat!(
            "insert into session (project_id, pageviews, session_id, visitor_id, entry_id, exit_id, started_at,
                ended_at, entry_at, exit_at, hour_bucket, day_bucket, engaged_ms, events, interactions, entry_page,
                exit_page, hostname, referrer, source, browser, os, device, country, region, city)
             select * from unnest($1::int[], $2::int[], $3::uuid[], $4::uuid[], $5::uuid[], $6::uuid[],
                $7::timestamptz[], $8::timestamptz[], $9::timestamptz[], $10::timestamptz[], $11::timestamptz[],
                $12::timestamptz[], $13::bigint[], $14::int[], $15::int[], $16::text[], $17::text[], $18::text[],
                $19::text[], $20::text[], $21::text[], $22::text[], $23::text[], $24::text[], $25::text[], $26::text[])
             on conflict on constraint session_key ",
            $on_conflict
        )
    };
}

const SESSIONS_INSERT_MISSING: &str = sessions_from_arrays!("do nothing returning project_id, session_id");

/// The rows are there and locked: each insert meets its conflict by the key's index, which an update joined to
/// arrays would not promise.
const SESSIONS_UPDATE: &str = sessions_from_arrays!(
    "do update set pageviews = excluded.pageviews, entry_id = excluded.entry_id, exit_id = excluded.exit_id,
        started_at = excluded.started_at, ended_at = excluded.ended_at, entry_at = excluded.entry_at,
        exit_at = excluded.exit_at, hour_bucket = excluded.hour_bucket, day_bucket = excluded.day_bucket,
        engaged_ms = excluded.engaged_ms, events = excluded.events, interactions = excluded.interactions,
        entry_page = excluded.entry_page, exit_page = excluded.exit_page, hostname = excluded.hostname,
        referrer = excluded.referrer, source = excluded.source, browser = excluded.browser, os = excluded.os,
        device = excluded.device, country = excluded.country, region = excluded.region, city = excluded.city
     returning project_id, session_id"
);

const TABS_INSERT_MISSING: &str = "insert into tab_ledger (project_id, tab_id, first_at, last_at, seen)
    select * from unnest($1::int[], $2::uuid[], $3::timestamptz[], $4::timestamptz[], $5::text[])
    on conflict do nothing returning project_id, tab_id";

const TABS_UPDATE: &str = "insert into tab_ledger (project_id, tab_id, first_at, last_at, seen)
    select * from unnest($1::int[], $2::uuid[], $3::timestamptz[], $4::timestamptz[], $5::text[])
    on conflict (project_id, tab_id) do update
        set first_at = excluded.first_at, last_at = excluded.last_at, seen = excluded.seen
    returning project_id, tab_id";

/// Splits keys into the two arrays that statements take.
pub(super) fn arrays(keys: &[(i32, Uuid)]) -> (Vec<i32>, Vec<Uuid>) {
    keys.iter().copied().unzip()
}

#[async_trait]
impl Statements for CommitTx {
    async fn lock_rules(&mut self, projects: &[i32]) -> Result<Vec<StoredRules>, StoreError> {
        // Two statements: the second one's snapshot is taken once the locks are held.
        sqlx::query("select pg_advisory_xact_lock_shared($1, id) from unnest($2::int[]) id")
            .bind(Lock::Rules as i32)
            .bind(projects)
            .execute(&mut *self.tx)
            .await?;
        let rows: Vec<RulesRow> = sqlx::query_as(
            "select id, time_zone, horizon, sketch_key, session_timeout_minutes
             from project where id = any($1)",
        )
        .bind(projects)
        .fetch_all(&mut *self.tx)
        .await?;
        rows.into_iter().map(|row| row.read(parse_zone)).collect()
    }

    async fn insert_receipts(&mut self, envelopes: &[&EnvelopeRow]) -> Result<Vec<(i32, Uuid)>, StoreError> {
        Ok(sqlx::query_as(
            "insert into envelope_receipt (project_id, envelope_id, received, received_hour)
             select * from unnest($1::int[], $2::uuid[], $3::int[], $4::timestamptz[])
             on conflict do nothing returning project_id, envelope_id",
        )
        .bind(envelopes.iter().map(|row| row.project_id).collect::<Vec<_>>())
        .bind(envelopes.iter().map(|row| row.envelope_id).collect::<Vec<_>>())
        .bind(envelopes.iter().map(|row| rows::count(row.received)).collect::<Vec<_>>())
        .bind(envelopes.iter().map(|row| Ms(UnixMs::utc_hour(row.received_at))).collect::<Vec<_>>())
        .fetch_all(&mut *self.tx)
        .await?)
    }

    async fn stored_events(
        &mut self,
        day: i32,
        keys: &[(i32, Uuid)],
    ) -> Result<Vec<(i32, Uuid)>, StoreError> {
        let (projects, ids) = arrays(keys);
        // `limit 1` keeps the planner from turning the look-ups into a scan of the day.
        Ok(sqlx::query_as(
            "select e.project_id, e.id from unnest($2::int[], $3::uuid[]) k (project_id, id)
             cross join lateral (
                select e.project_id, e.id from event e
                where e.project_id = k.project_id and e.day = $1 and e.id = k.id limit 1
             ) e",
        )
        .bind(Day(day))
        .bind(projects)
        .bind(ids)
        .fetch_all(&mut *self.tx)
        .await?)
    }

    async fn insert_events(&mut self, events: &[&EventRow]) -> Result<(), StoreError> {
        let bytes = copy::encode(events);
        let mut copy = self.tx.copy_in_raw(copy::COPY_EVENTS).await?;
        if let Err(error) = copy.send(&bytes[..]).await {
            // The connection is to be used no further; the abort's own failure would say the same.
            let _ = copy.abort("the rows could not be sent").await;
            return Err(error.into());
        }
        copy.finish().await?;
        Ok(())
    }

    async fn insert_missing_visitor_days(
        &mut self,
        days: &[VisitorDay],
    ) -> Result<Vec<VisitorDayKey>, StoreError> {
        self.write_visitor_days(days, DAYS_INSERT_MISSING).await
    }

    async fn lock_visitor_days(&mut self, keys: &[VisitorDayKey]) -> Result<Vec<VisitorDay>, StoreError> {
        self.visitor_days(keys).await
    }

    async fn update_visitor_days(&mut self, days: &[VisitorDay]) -> Result<(), StoreError> {
        self.write_visitor_days(days, DAYS_UPDATE).await.map(drop)
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
        self.write_sessions(sessions, OnConflict::Nothing).await
    }

    async fn lock_sessions(&mut self, keys: &[(i32, Uuid)]) -> Result<Vec<SessionRow>, StoreError> {
        let (projects, ids) = arrays(keys);
        // A locking sub-select is never merged into the join: one look-up a key, in the order of the keys.
        Ok(sqlx::query_as(concat!(
            "select s.* from unnest($1::int[], $2::uuid[]) k (project_id, session_id)
             cross join lateral (
                select ",
            session_columns!(),
            " from session s
                where s.project_id = k.project_id and s.session_id = k.session_id for update
             ) s",
        ))
        .bind(projects)
        .bind(ids)
        .fetch_all(&mut *self.tx)
        .await?)
    }

    async fn update_sessions(&mut self, sessions: &[SessionRow]) -> Result<(), StoreError> {
        self.write_sessions(sessions, OnConflict::Update).await.map(drop)
    }

    async fn insert_missing_tabs(&mut self, tabs: &[TabRow]) -> Result<Vec<(i32, Uuid)>, StoreError> {
        self.write_tabs(tabs, TABS_INSERT_MISSING).await
    }

    async fn lock_tabs(&mut self, keys: &[(i32, Uuid)]) -> Result<Vec<TabRow>, StoreError> {
        let (projects, ids) = arrays(keys);
        Ok(sqlx::query_as(concat!(
            "select t.* from unnest($1::int[], $2::uuid[]) k (project_id, tab_id)
             cross join lateral (
                select ",
            tab_columns!(),
            " from tab_ledger t
                where t.project_id = k.project_id and t.tab_id = k.tab_id for update
             ) t",
        ))
        .bind(projects)
        .bind(ids)
        .fetch_all(&mut *self.tx)
        .await?)
    }

    async fn update_tabs(&mut self, tabs: &[TabRow]) -> Result<(), StoreError> {
        self.write_tabs(tabs, TABS_UPDATE).await.map(drop)
    }

    async fn identifications(&mut self, keys: &[(i32, Uuid)]) -> Result<Vec<Identification>, StoreError> {
        let (projects, ids) = arrays(keys);
        Ok(sqlx::query_as(concat!(
            "select a.* from unnest($1::int[], $2::uuid[]) k (project_id, visitor_id)
             cross join lateral (
                select ",
            alias_columns!(),
            " from person_alias a
                where a.project_id = k.project_id and a.visitor_id = k.visitor_id limit 1
             ) a",
        ))
        .bind(projects)
        .bind(ids)
        .fetch_all(&mut *self.tx)
        .await?)
    }

    async fn keep_earliest(&mut self, identifications: &[Identification]) -> Result<(), StoreError> {
        sqlx::query(
            "insert into person_alias (project_id, visitor_id, event_id, occurred_at, user_id)
             select * from unnest($1::int[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::text[])
             on conflict (project_id, visitor_id) do update
                set event_id = excluded.event_id, occurred_at = excluded.occurred_at, user_id = excluded.user_id
                where (excluded.occurred_at, excluded.event_id) < (person_alias.occurred_at, person_alias.event_id)",
        )
        .bind(identifications.iter().map(|row| row.project_id).collect::<Vec<_>>())
        .bind(identifications.iter().map(|row| row.visitor_id).collect::<Vec<_>>())
        .bind(identifications.iter().map(|row| row.event_id).collect::<Vec<_>>())
        .bind(identifications.iter().map(|row| Ms(row.occurred_at)).collect::<Vec<_>>())
        .bind(identifications.iter().map(|row| row.user_id.as_str()).collect::<Vec<_>>())
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    async fn append_deltas(&mut self, deltas: &[(i32, Vec<u8>)]) -> Result<(), StoreError> {
        sqlx::query(
            "insert into rollup_delta (project_id, payload) select * from unnest($1::int[], $2::bytea[])",
        )
        .bind(deltas.iter().map(|(project_id, _)| *project_id).collect::<Vec<_>>())
        .bind(deltas.iter().map(|(_, payload)| payload.as_slice()).collect::<Vec<_>>())
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    async fn log_commit(&mut self, done: &CommitRow) -> Result<(), StoreError> {
        sqlx::query(
            "insert into commit_log (committed_at, took_ms, envelopes, accepted, duplicates, discarded)
             values (clock_timestamp(), $1, $2, $3, $4, $5)",
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
