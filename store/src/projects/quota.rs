//! Events that a project may have counted in a month, held against what the store really accepted.

use sqlx::Row;
use tallymark_protocol::{DAY_MS, UnixMs};

use crate::columns::{Ms, date};
use crate::rows::from_rows;
use crate::{Store, StoreError, on_both};

/// A project that has a quota, or is marked as having used it up.
struct QuotaRow {
    id: i32,
    quota_per_month: Option<i64>,
    exceeded_until: Option<Ms>,
    accepted: i64,
}

from_rows!(QuotaRow, |row| Ok(QuotaRow {
    id: row.try_get("id")?,
    quota_per_month: row.try_get("quota_per_month")?,
    exceeded_until: row.try_get("quota_exceeded_until")?,
    accepted: row.try_get("accepted")?,
}));

impl Store {
    /// Marks the projects that have used up their quota of this UTC month, until its end, and takes the mark from those
    /// that have not: the month is over, or the quota was raised or removed. Answers the projects that changed.
    ///
    /// Counts what was accepted and compacted. Only projects with a quota are read; where nothing changes nothing is
    /// written, so it may run often, and in several processes.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn refresh_quotas(&self, now: UnixMs) -> Result<Vec<i32>, StoreError> {
        let (begins, ends) = utc_month(now);
        on_both!(self, read, |pool| {
            let rows: Vec<QuotaRow> = sqlx::query_as(
                "select p.id, p.quota_per_month, p.quota_exceeded_until, (
                    select cast(coalesce(sum(o.events), 0) as bigint) from outcome_hour o
                    where o.project_id = p.id and o.received_hour >= $1 and o.received_hour < $2
                        and o.outcome = 'accepted'
                 ) as accepted
                 from project p where p.quota_per_month is not null or p.quota_exceeded_until is not null
                 order by p.id",
            )
            .bind(Ms(begins))
            .bind(Ms(ends))
            .fetch_all(pool)
            .await?;
            let mut changed = Vec::new();
            for row in rows {
                let is_used_up = row.quota_per_month.is_some_and(|quota| row.accepted >= quota);
                let until = is_used_up.then_some(ends);
                let marked = row.exceeded_until.map(|Ms(until)| until);
                if until != marked && self.mark_quota(row.id, row.quota_per_month, (marked, until)).await? {
                    changed.push(row.id);
                }
            }
            Ok(changed)
        })
    }

    /// False where another was faster, or the quota is not any more what the decision was made by.
    async fn mark_quota(
        &self,
        id: i32,
        quota: Option<i64>,
        (before, after): (Option<UnixMs>, Option<UnixMs>),
    ) -> Result<bool, StoreError> {
        on_both!(self, write, |pool| {
            let marked = sqlx::query(
                "update project set quota_exceeded_until = $4, version = version + 1
                 where id = $1 and quota_per_month is not distinct from $2
                    and quota_exceeded_until is not distinct from $3",
            )
            .bind(id)
            .bind(quota)
            .bind(before.map(Ms))
            .bind(after.map(Ms))
            .execute(pool)
            .await?;
            Ok(marked.rows_affected() > 0)
        })
    }
}

/// The UTC month of an instant: its begin, and that of the next.
fn utc_month(now: UnixMs) -> (UnixMs, UnixMs) {
    let first = date(now.utc_day()).first_of_month();
    let next = first.saturating_add(jiff::Span::new().months(1));
    (midnight(first), midnight(next))
}

fn midnight(day: jiff::civil::Date) -> UnixMs {
    let days = jiff::civil::date(1970, 1, 1).until(day).map_or(0, |span| i64::from(span.get_days()));
    UnixMs(days * DAY_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_begin_and_end_in_utc() {
        let ms = |text: &str| UnixMs(text.parse::<jiff::Timestamp>().unwrap().as_millisecond());
        for (now, begins, ends) in [
            ("2026-11-20T12:00:00Z", "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"),
            ("2026-12-31T23:59:59.999Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
            ("2028-02-01T00:00:00Z", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"),
        ] {
            assert_eq!(utc_month(ms(now)), (ms(begins), ms(ends)), "{now}");
        }
    }
}
