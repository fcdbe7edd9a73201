//! What collectors need to know of each write key.

use std::collections::HashMap;

use sqlx::Row;
use tallymark_protocol::limits::LATE_DAYS_MAX;
use tallymark_protocol::settings::{OriginPattern, ProjectSettings};

use super::shield::read_shield;
use crate::columns::Ms;
use crate::rows::from_rows;
use crate::{Store, StoreError, on_both};

/// A write key with the columns of its project that matter where events come in.
struct KeyRow {
    key: String,
    project: ProjectSettings,
}

from_rows!(KeyRow, |row| {
    let limit = |column| {
        let events: Option<i32> = row.try_get(column)?;
        Ok::<_, sqlx::Error>(events.and_then(|events| u32::try_from(events).ok()))
    };
    let raw_retention_days: i32 = row.try_get("raw_retention_days")?;
    let quota_exceeded_until: Option<Ms> = row.try_get("quota_exceeded_until")?;
    let project = ProjectSettings {
        rate_limit_per_minute: limit("rate_limit_per_minute")?,
        address_rate_limit_per_minute: limit("address_rate_limit_per_minute")?,
        quota_exceeded_until: quota_exceeded_until.map(|Ms(until)| until),
        late_days_max: late_days_max(raw_retention_days),
        keep_addresses: row.try_get("keep_addresses")?,
        ..ProjectSettings::new(row.try_get("project_id")?, row.try_get("version")?)
    };
    Ok(KeyRow { key: row.try_get("key")?, project })
});

/// How late events may come to a project that keeps raw rows for so many days.
fn late_days_max(raw_retention_days: i32) -> i64 {
    match i64::from(raw_retention_days) {
        0 => LATE_DAYS_MAX,
        days => LATE_DAYS_MAX.min(days - 2),
    }
}

/// One of the lists of a project: an origin, an event source that is off, or a shield of the kind that `part` names.
struct PartRow {
    project_id: i32,
    part: String,
    text: String,
}

from_rows!(PartRow, |row| Ok(PartRow {
    project_id: row.try_get("project_id")?,
    part: row.try_get("part")?,
    text: row.try_get("text")?,
}));

const ORIGIN: &str = "origin";
const EVENT_SOURCE: &str = "event_source";

macro_rules! keys {
    ($condition:literal) => {
        concat!(
            "select k.key, k.project_id, p.version, p.raw_retention_days, p.rate_limit_per_minute,
                p.address_rate_limit_per_minute, p.quota_exceeded_until, p.keep_addresses
             from write_key k join project p on p.id = k.project_id
             where k.revoked_at is null ",
            $condition,
            " order by k.project_id, k.created_at, k.key"
        )
    };
}

macro_rules! parts {
    ($condition:literal) => {
        concat!(
            "select project_id, 'origin' as part, pattern as text from project_origin where true ",
            $condition,
            " union all
             select project_id, 'event_source', name from event_source where not is_on ",
            $condition,
            " union all
             select project_id, kind, pattern from shield where true ",
            $condition
        )
    };
}

impl Store {
    /// Every write key that works, by project, with what collectors need to know of the project.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] for a pattern that this version cannot read; those of the store.
    pub async fn write_keys(&self) -> Result<Vec<(String, ProjectSettings)>, StoreError> {
        let (keys, parts): (Vec<KeyRow>, Vec<PartRow>) = on_both!(self, read, |pool| (
            sqlx::query_as(keys!("")).fetch_all(pool).await?,
            sqlx::query_as(parts!("")).fetch_all(pool).await?,
        ));
        complete(keys, &parts)
    }

    /// What collectors need to know of the project that a write key names. `None` for a key that was revoked.
    ///
    /// # Errors
    /// As of [`write_keys`](Self::write_keys).
    pub async fn write_key(&self, key: &str) -> Result<Option<ProjectSettings>, StoreError> {
        let (keys, parts): (Vec<KeyRow>, Vec<PartRow>) = on_both!(self, read, |pool| {
            let keys: Vec<KeyRow> = sqlx::query_as(keys!("and k.key = $1")).bind(key).fetch_all(pool).await?;
            let Some(found) = keys.first() else { return Ok(None) };
            let parts = sqlx::query_as(parts!("and project_id = $1"))
                .bind(found.project.project_id)
                .fetch_all(pool)
                .await?;
            (keys, parts)
        });
        Ok(complete(keys, &parts)?.pop().map(|(_, settings)| settings))
    }
}

/// Puts the lists of each project into its settings.
fn complete(keys: Vec<KeyRow>, parts: &[PartRow]) -> Result<Vec<(String, ProjectSettings)>, StoreError> {
    let mut lists: HashMap<i32, Vec<&PartRow>> = HashMap::new();
    for part in parts {
        lists.entry(part.project_id).or_default().push(part);
    }
    let mut complete = Vec::with_capacity(keys.len());
    for KeyRow { key, mut project } in keys {
        for part in lists.get(&project.project_id).into_iter().flatten() {
            add(&mut project, part)?;
        }
        complete.push((key, project));
    }
    Ok(complete)
}

/// What cannot be read is an error and not left out: without its one origin a project would take any page's events.
fn add(project: &mut ProjectSettings, part: &PartRow) -> Result<(), StoreError> {
    let corrupt = |table, detail: String| StoreError::Corrupt {
        table,
        column: "pattern",
        detail: format!("project {}: {detail}", part.project_id),
    };
    match part.part.as_str() {
        ORIGIN => {
            let origin = OriginPattern::parse(&part.text);
            project.origins.push(origin.map_err(|error| corrupt("project_origin", error.to_string()))?);
        }
        EVENT_SOURCE => project.event_sources_off.push(part.text.clone()),
        kind => {
            let shield = read_shield(kind, &part.text).map_err(|detail| corrupt("shield", detail))?;
            project.shields.push(shield);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_may_come_as_late_as_raw_rows_allow() {
        for (kept, late) in [(0, 30), (3, 1), (10, 8), (31, 29), (32, 30), (90, 30)] {
            assert_eq!(late_days_max(kept), late, "{kept} days");
        }
    }
}
