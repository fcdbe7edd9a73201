//! The statements of a commit that are about sessions of the server's making.

use uuid::Uuid;

use super::commit::{CommitTx, arrays};
use crate::StoreError;
use crate::columns::Day;
use crate::commit::MovedSession;
use crate::model::{SessionRow, VisitorDay, VisitorDayKey};
use crate::rows::session_columns;

pub(super) const DAYS_INSERT_MISSING: &str = "insert into visitor_day (project_id, day, visitor_id, visits)
    select * from unnest($1::int[], $2::date[], $3::uuid[], $4::text[])
    on conflict do nothing returning project_id, day, visitor_id";

pub(super) const DAYS_UPDATE: &str = "insert into visitor_day (project_id, day, visitor_id, visits)
    select * from unnest($1::int[], $2::date[], $3::uuid[], $4::text[])
    on conflict (project_id, day, visitor_id) do update set visits = excluded.visits
    returning project_id, day, visitor_id";

impl CommitTx {
    pub(super) async fn write_visitor_days(
        &mut self,
        days: &[VisitorDay],
        statement: &'static str,
    ) -> Result<Vec<VisitorDayKey>, StoreError> {
        let keys: Vec<(i32, Day, Uuid)> = sqlx::query_as(statement)
            .bind(days.iter().map(|row| row.project_id).collect::<Vec<_>>())
            .bind(days.iter().map(|row| Day(row.day)).collect::<Vec<_>>())
            .bind(days.iter().map(|row| row.visitor_id).collect::<Vec<_>>())
            .bind(days.iter().map(|row| row.visits.to_string()).collect::<Vec<_>>())
            .fetch_all(&mut *self.tx)
            .await?;
        Ok(keys.into_iter().map(|(project_id, day, visitor_id)| (project_id, day.0, visitor_id)).collect())
    }

    pub(super) async fn visitor_days(
        &mut self,
        keys: &[VisitorDayKey],
    ) -> Result<Vec<VisitorDay>, StoreError> {
        // As sessions are locked: one look-up a key, in the order of the keys.
        Ok(sqlx::query_as(
            "select d.* from unnest($1::int[], $2::date[], $3::uuid[]) k (project_id, day, visitor_id)
             cross join lateral (
                select project_id, day, visitor_id, visits from visitor_day d
                where d.project_id = k.project_id and d.day = k.day and d.visitor_id = k.visitor_id for update
             ) d",
        )
        .bind(keys.iter().map(|key| key.0).collect::<Vec<_>>())
        .bind(keys.iter().map(|key| Day(key.1)).collect::<Vec<_>>())
        .bind(keys.iter().map(|key| key.2).collect::<Vec<_>>())
        .fetch_all(&mut *self.tx)
        .await?)
    }

    pub(super) async fn delete_sessions(
        &mut self,
        keys: &[(i32, Uuid)],
    ) -> Result<Vec<SessionRow>, StoreError> {
        let (projects, ids) = arrays(keys);
        Ok(sqlx::query_as(concat!(
            "delete from session s using unnest($1::int[], $2::uuid[]) k (of_project, of_session)
             where s.project_id = k.of_project and s.session_id = k.of_session returning ",
            session_columns!()
        ))
        .bind(projects)
        .bind(ids)
        .fetch_all(&mut *self.tx)
        .await?)
    }

    /// An event's day is not always that of its session: it comes from its id, which a wrong clock made. So every
    /// partition is looked into, by an index that holds nothing but such events.
    pub(super) async fn update_events(&mut self, moved: &[MovedSession]) -> Result<(), StoreError> {
        sqlx::query(
            "update event e set session_id = k.into_id
             from unnest($1::int[], $2::uuid[], $3::uuid[]) k (project_id, from_id, into_id)
             where e.project_id = k.project_id and e.session_id = k.from_id and e.server_session",
        )
        .bind(moved.iter().map(|session| session.project_id).collect::<Vec<_>>())
        .bind(moved.iter().map(|session| session.from).collect::<Vec<_>>())
        .bind(moved.iter().map(|session| session.into).collect::<Vec<_>>())
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }
}
