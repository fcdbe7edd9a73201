//! Which pages may send to a project.

use std::collections::{BTreeSet, HashMap};

use sqlx::Row;
use tallymark_protocol::settings::OriginPattern;

use super::change::{Done, Hold, change};
use super::check::SettingError;
use crate::rows::from_rows;
use crate::{Store, StoreError, on_both};

/// Origins of one project: each is compared with what a request says.
const ORIGINS_MAX: usize = 100;

/// A row of `project_origin`.
pub(super) struct OriginRow {
    project_id: i32,
    pattern: String,
}

from_rows!(OriginRow, |row| Ok(OriginRow {
    project_id: row.try_get("project_id")?,
    pattern: row.try_get("pattern")?,
}));

/// Patterns without repeats. `*` among them means the same as none at all: any page.
pub(super) fn check_origins<T: AsRef<str>>(patterns: &[T]) -> Result<Vec<OriginPattern>, SettingError> {
    let mut checked: Vec<OriginPattern> = Vec::with_capacity(patterns.len().min(ORIGINS_MAX));
    for pattern in patterns {
        let pattern = check_origin(pattern.as_ref())?;
        if pattern.as_str() == "*" {
            return Ok(Vec::new());
        }
        if !checked.contains(&pattern) {
            checked.push(pattern);
        }
    }
    if checked.len() > ORIGINS_MAX {
        return Err(too_many(checked.len()));
    }
    Ok(checked)
}

fn check_origin(pattern: &str) -> Result<OriginPattern, SettingError> {
    OriginPattern::parse(pattern).map_err(|error| SettingError::pattern("origins", &error))
}

fn too_many(count: usize) -> SettingError {
    let detail = format!(
        "{count} origins; {ORIGINS_MAX} are allowed: https://*.shop.example stands for all subdomains"
    );
    SettingError::new("origins", detail)
}

pub(super) fn same_origins(known: &[OriginRow], origins: &[OriginPattern]) -> bool {
    let known: BTreeSet<&str> = known.iter().map(|row| row.pattern.as_str()).collect();
    known == origins.iter().map(OriginPattern::as_str).collect()
}

/// Puts `$origins` in the place of the project's.
macro_rules! replace_origins {
    ($tx:expr, $project_id:expr, $origins:expr) => {{
        sqlx::query("delete from project_origin where project_id = $1")
            .bind($project_id)
            .execute($tx)
            .await?;
        for origin in $origins {
            let origin: &OriginPattern = origin;
            sqlx::query("insert into project_origin (project_id, pattern) values ($1, $2)")
                .bind($project_id)
                .bind(origin.as_str())
                .execute($tx)
                .await?;
        }
    }};
}
pub(super) use replace_origins;

impl Store {
    /// The origins of every project that has any, sorted.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] for a pattern that this version cannot read; those of the store.
    pub async fn all_origins(&self) -> Result<HashMap<i32, Vec<OriginPattern>>, StoreError> {
        let rows: Vec<OriginRow> = on_both!(self, read, |pool| sqlx::query_as(
            "select project_id, pattern from project_origin order by project_id, pattern"
        )
        .fetch_all(pool)
        .await?);
        let mut origins: HashMap<i32, Vec<OriginPattern>> = HashMap::new();
        for row in rows {
            origins.entry(row.project_id).or_default().push(read(&row)?);
        }
        Ok(origins)
    }

    /// A project's origins, sorted; none: any page may send.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] for a pattern that this version cannot read; those of the store.
    pub async fn origins(&self, project_id: i32) -> Result<Vec<OriginPattern>, StoreError> {
        let rows: Vec<OriginRow> = on_both!(self, read, |pool| sqlx::query_as(
            "select project_id, pattern from project_origin where project_id = $1 order by pattern"
        )
        .bind(project_id)
        .fetch_all(pool)
        .await?);
        rows.iter().map(read).collect()
    }

    /// Lets pages of one more origin send; false where they might already. A project that any page may send to takes
    /// those of this origin alone from then on.
    ///
    /// # Errors
    /// [`StoreError::Setting`] for what is no origin, and for `*`; [`StoreError::UnknownProject`]; those of the store.
    pub async fn add_origin(&self, project_id: i32, pattern: &str) -> Result<bool, StoreError> {
        let pattern = check_origin(pattern)?;
        if pattern.as_str() == "*" {
            let detail =
                "\"*\" beside others would let any page send; replace the whole list by none for that";
            return Err(SettingError::new("origins", detail).into());
        }
        change!(self, project_id, Hold::Project, |tx| {
            let added = sqlx::query(
                "insert into project_origin (project_id, pattern) values ($1, $2) on conflict do nothing",
            )
            .bind(project_id)
            .bind(pattern.as_str())
            .execute(&mut *tx)
            .await?;
            let (count,): (i64,) =
                sqlx::query_as("select count(*) from project_origin where project_id = $1")
                    .bind(project_id)
                    .fetch_one(&mut *tx)
                    .await?;
            let count = usize::try_from(count).unwrap_or(usize::MAX);
            if count > ORIGINS_MAX {
                return Err(too_many(count).into());
            }
            if added.rows_affected() > 0 { Done::Changed(true) } else { Done::Same(false) }
        })
    }

    /// Takes an origin away; false where the project does not have it.
    ///
    /// # Errors
    /// [`StoreError::Setting`] for the last one, without which any page might send; [`StoreError::UnknownProject`];
    /// those of the store.
    pub async fn remove_origin(&self, project_id: i32, pattern: &str) -> Result<bool, StoreError> {
        let pattern = check_origin(pattern)?;
        change!(self, project_id, Hold::Project, |tx| {
            let removed = sqlx::query("delete from project_origin where project_id = $1 and pattern = $2")
                .bind(project_id)
                .bind(pattern.as_str())
                .execute(&mut *tx)
                .await?;
            let (left,): (i64,) = sqlx::query_as("select count(*) from project_origin where project_id = $1")
                .bind(project_id)
                .fetch_one(&mut *tx)
                .await?;
            match (removed.rows_affected(), left) {
                (0, _) => Done::Same(false),
                (_, 0) => {
                    let detail = format!(
                        "{pattern} is the last one, and without any every page may send; replace the list"
                    );
                    return Err(SettingError::new("origins", detail).into());
                }
                _ => Done::Changed(true),
            }
        })
    }
}

fn read(row: &OriginRow) -> Result<OriginPattern, StoreError> {
    OriginPattern::parse(&row.pattern).map_err(|error| StoreError::Corrupt {
        table: "project_origin",
        column: "pattern",
        detail: format!("project {}: {error}", row.project_id),
    })
}
