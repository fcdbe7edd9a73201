//! Projects themselves.

use sqlx::Row;
use tallymark_protocol::UnixMs;
use tallymark_protocol::settings::OriginPattern;
use uuid::Uuid;

use super::change::{Done, Hold, ProjectChange, change, differences};
use super::check;
use super::origin::{OriginRow, replace_origins, same_origins};
use crate::columns::Ms;
use crate::rows::from_rows;
use crate::{Store, StoreError, on_both};

/// A project to create. Ids and secrets are made by the caller, who has randomness.
#[derive(Clone, Debug)]
pub struct NewProject {
    /// Shown to people.
    pub name: String,
    /// IANA name; hours and days are counted in it.
    pub time_zone: String,
    /// Key of the visitors' hashes in sketches: random.
    pub sketch_key: [u8; 16],
    /// Its first write key: random.
    pub write_key: String,
    /// Now.
    pub created_at: UnixMs,
}

/// A project and its settings, but for its origins ([`Store::origins`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// Its id.
    pub id: i32,
    /// Shown to people.
    pub name: String,
    /// IANA name.
    pub time_zone: String,
    /// Goes up with every change.
    pub version: i64,
    /// When it was created.
    pub created_at: UnixMs,
    /// Minutes without activity after which the server begins a new session.
    pub session_timeout_minutes: i32,
    /// Days for which events and sessions are kept; 0: for ever.
    pub retention_days: i32,
    /// Days for which hourly rollups are kept; 0: for ever.
    pub hourly_retention_days: i32,
    /// Days for which daily rollups are kept; 0: for ever.
    pub daily_retention_days: i32,
    /// Events in a minute; `None`: any number.
    pub rate_limit_per_minute: Option<i32>,
    /// Events of one address in a minute; `None`: any number.
    pub address_rate_limit_per_minute: Option<i32>,
    /// Events in a UTC month; `None`: any number.
    pub quota_per_month: Option<i64>,
    /// The quota is used up: events are refused until then.
    pub quota_exceeded_until: Option<UnixMs>,
    /// Whether addresses are stored with events.
    pub keep_addresses: bool,
}

from_rows!(Project, |row| Ok(Project {
    id: row.try_get("id")?,
    name: row.try_get("name")?,
    time_zone: row.try_get("time_zone")?,
    version: row.try_get("version")?,
    created_at: row.try_get::<Ms, _>("created_at")?.0,
    session_timeout_minutes: row.try_get("session_timeout_minutes")?,
    retention_days: row.try_get("raw_retention_days")?,
    hourly_retention_days: row.try_get("hourly_retention_days")?,
    daily_retention_days: row.try_get("daily_retention_days")?,
    rate_limit_per_minute: row.try_get("rate_limit_per_minute")?,
    address_rate_limit_per_minute: row.try_get("address_rate_limit_per_minute")?,
    quota_per_month: row.try_get("quota_per_month")?,
    quota_exceeded_until: row.try_get::<Option<Ms>, _>("quota_exceeded_until")?.map(|at| at.0),
    keep_addresses: row.try_get("keep_addresses")?,
}));

/// What became of a project's change.
#[derive(Clone, Debug)]
pub struct ChangedProject {
    /// The project as it is now.
    pub project: Project,
    /// By name, what differs from before. Empty: nothing did, and nothing was written.
    pub changed: Vec<&'static str>,
}

/// What a project's row is read from: by name, since statements that are prepared outlive added columns.
macro_rules! columns {
    () => {
        "id, name, time_zone, version, created_at, session_timeout_minutes, raw_retention_days,
            hourly_retention_days, daily_retention_days, rate_limit_per_minute, address_rate_limit_per_minute,
            quota_per_month, quota_exceeded_until, keep_addresses"
    };
}

/// Writes a project's settings, but for its origins.
macro_rules! update {
    ($tx:expr, $project:expr) => {{
        let project: &Project = $project;
        sqlx::query(
            "update project set name = $2, time_zone = $3, session_timeout_minutes = $4, raw_retention_days = $5,
                hourly_retention_days = $6, daily_retention_days = $7, rate_limit_per_minute = $8,
                address_rate_limit_per_minute = $9, quota_per_month = $10, keep_addresses = $11
             where id = $1",
        )
        .bind(project.id)
        .bind(&project.name)
        .bind(&project.time_zone)
        .bind(project.session_timeout_minutes)
        .bind(project.retention_days)
        .bind(project.hourly_retention_days)
        .bind(project.daily_retention_days)
        .bind(project.rate_limit_per_minute)
        .bind(project.address_rate_limit_per_minute)
        .bind(project.quota_per_month)
        .bind(project.keep_addresses)
        .execute($tx)
        .await?;
    }};
}

impl Store {
    /// Creates a project with its first write key; answers its id.
    ///
    /// # Errors
    /// [`StoreError::Setting`] for a name or time zone that is none; those of the store.
    pub async fn create_project(&self, project: &NewProject) -> Result<i32, StoreError> {
        self.create_project_with(project, &ProjectChange::default()).await
    }

    /// The same, with settings that differ from the defaults.
    ///
    /// # Errors
    /// As of [`create_project`](Self::create_project).
    pub async fn create_project_with(
        &self,
        project: &NewProject,
        settings: &ProjectChange,
    ) -> Result<i32, StoreError> {
        let name = check::check_name("name", &project.name)?;
        let time_zone = check::zone(&project.time_zone)?;
        macro_rules! create {
            ($begun:expr) => {{
                let mut tx = $begun;
                let fresh: Project = sqlx::query_as(concat!(
                    "insert into project (name, time_zone, sketch_key, created_at) values ($1, $2, $3, $4)
                     returning ",
                    columns!()
                ))
                .bind(name)
                .bind(time_zone)
                .bind(&project.sketch_key[..])
                .bind(Ms(project.created_at))
                .fetch_one(&mut *tx)
                .await?;
                sqlx::query("insert into write_key (key, project_id, created_at) values ($1, $2, $3)")
                    .bind(&project.write_key)
                    .bind(fresh.id)
                    .bind(Ms(project.created_at))
                    .execute(&mut *tx)
                    .await?;
                update!(&mut *tx, &settings.on(&fresh));
                if let Some(origins) = &settings.origins {
                    replace_origins!(&mut *tx, fresh.id, origins);
                }
                tx.commit().await?;
                Ok(fresh.id)
            }};
        }
        match &self.backend {
            crate::Backend::Postgres(store) => create!(store.write().begin().await?),
            crate::Backend::Sqlite(store) => create!(store.begin_write().await?),
        }
    }

    /// Changes settings of a project.
    ///
    /// A new time zone or session timeout waits for the project's commits under way, and holds for what is counted from
    /// then on.
    ///
    /// # Errors
    /// [`StoreError::UnknownProject`]; those of the store.
    pub async fn change_project(
        &self,
        id: i32,
        change: &ProjectChange,
    ) -> Result<ChangedProject, StoreError> {
        let hold = if change.touches_counting() { Hold::Counting } else { Hold::Project };
        change!(self, id, hold, |tx| {
            let current: Project =
                sqlx::query_as(concat!("select ", columns!(), " from project where id = $1"))
                    .bind(id)
                    .fetch_one(&mut *tx)
                    .await?;
            let project = change.on(&current);
            let mut changed = differences(&current, &project);
            if !changed.is_empty() {
                update!(&mut *tx, &project);
            }
            if let Some(origins) = &change.origins {
                let known: Vec<OriginRow> =
                    sqlx::query_as("select project_id, pattern from project_origin where project_id = $1")
                        .bind(id)
                        .fetch_all(&mut *tx)
                        .await?;
                if !same_origins(&known, origins) {
                    replace_origins!(&mut *tx, id, origins);
                    changed.push("origins");
                }
            }
            if changed.is_empty() {
                let project = Project { version: project.version - 1, ..project }; // as it is once this is taken back
                Done::Same(ChangedProject { project, changed })
            } else {
                Done::Changed(ChangedProject { project, changed })
            }
        })
    }

    /// Every project, by id.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn projects(&self) -> Result<Vec<Project>, StoreError> {
        on_both!(self, read, |pool| Ok(sqlx::query_as(concat!(
            "select ",
            columns!(),
            " from project order by id"
        ))
        .fetch_all(pool)
        .await?))
    }

    /// One project.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn project(&self, id: i32) -> Result<Option<Project>, StoreError> {
        on_both!(self, read, |pool| Ok(sqlx::query_as(concat!(
            "select ",
            columns!(),
            " from project where id = $1"
        ))
        .bind(id)
        .fetch_optional(pool)
        .await?))
    }

    /// Which store this is, and a number that goes up with every change of any project or key.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn projects_version(&self) -> Result<(Uuid, i64), StoreError> {
        on_both!(self, read, |pool| Ok(sqlx::query_as(
            "select id, (select cast(coalesce(sum(version), 0) as bigint) from project) from installation"
        )
        .fetch_one(pool)
        .await?))
    }
}
