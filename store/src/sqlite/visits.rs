//! The statements of a commit that are about sessions of the server's making.

use uuid::Uuid;

use super::commit::CommitTx;
use super::multi_row::MultiRow;
use crate::StoreError;
use crate::columns::Day;
use crate::commit::MovedSession;
use crate::model::{SessionRow, VisitorDay, VisitorDayKey};

static DAYS_INSERT_MISSING: MultiRow = MultiRow::new(
    "insert into visitor_day (project_id, day, visitor_id, visits) values",
    4,
    "on conflict do nothing returning project_id, day, visitor_id",
);

static DAYS_UPDATE: MultiRow = MultiRow::new(
    "insert into visitor_day (project_id, day, visitor_id, visits) values",
    4,
    "on conflict (project_id, day, visitor_id) do update set visits = excluded.visits",
);

static DAYS_BY_KEY: MultiRow =
    MultiRow::new("select * from visitor_day where (project_id, day, visitor_id) in (values", 3, ")");

static SESSIONS_TAKEN: MultiRow =
    MultiRow::new("delete from session where (project_id, session_id) in (values", 2, ") returning *");

impl CommitTx {
    pub(super) async fn insert_visitor_days(
        &mut self,
        days: &[VisitorDay],
    ) -> Result<Vec<VisitorDayKey>, StoreError> {
        let keys: Vec<(i32, Day, Uuid)> = DAYS_INSERT_MISSING
            .fetch(&mut self.tx, days, |query, row| {
                query
                    .bind(row.project_id)
                    .bind(Day(row.day))
                    .bind(row.visitor_id)
                    .bind(row.visits.to_string())
            })
            .await?;
        Ok(keys.into_iter().map(|(project_id, day, visitor_id)| (project_id, day.0, visitor_id)).collect())
    }

    pub(super) async fn write_visitor_days(&mut self, days: &[VisitorDay]) -> Result<(), StoreError> {
        DAYS_UPDATE
            .execute(&mut self.tx, days, |query, row| {
                query
                    .bind(row.project_id)
                    .bind(Day(row.day))
                    .bind(row.visitor_id)
                    .bind(row.visits.to_string())
            })
            .await
    }

    pub(super) async fn visitor_days(
        &mut self,
        keys: &[VisitorDayKey],
    ) -> Result<Vec<VisitorDay>, StoreError> {
        DAYS_BY_KEY
            .fetch(&mut self.tx, keys, |query, key| query.bind(key.0).bind(Day(key.1)).bind(key.2))
            .await
    }

    pub(super) async fn delete_sessions(
        &mut self,
        keys: &[(i32, Uuid)],
    ) -> Result<Vec<SessionRow>, StoreError> {
        SESSIONS_TAKEN.fetch(&mut self.tx, keys, |query, key| query.bind(key.0).bind(key.1)).await
    }

    /// A statement for each: sessions move seldom.
    pub(super) async fn update_events(&mut self, moved: &[MovedSession]) -> Result<(), StoreError> {
        for session in moved {
            sqlx::query(
                "update event indexed by event_server_session set session_id = ?
                 where project_id = ? and session_id = ? and server_session",
            )
            .bind(session.into)
            .bind(session.project_id)
            .bind(session.from)
            .execute(&mut *self.tx)
            .await?;
        }
        Ok(())
    }
}
