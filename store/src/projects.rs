//! Projects and their write keys.

use sqlx::Row;
use tallymark_protocol::UnixMs;
use uuid::Uuid;

use crate::columns::Ms;
use crate::model::parse_zone;
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

/// A project.
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
}

from_rows!(Project, |row| Ok(Project {
    id: row.try_get("id")?,
    name: row.try_get("name")?,
    time_zone: row.try_get("time_zone")?,
    version: row.try_get("version")?,
    created_at: row.try_get::<Ms, _>("created_at")?.0,
}));

/// A write key and the project that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteKeyRow {
    /// The key.
    pub key: String,
    /// The project.
    pub project_id: i32,
    /// The project's version.
    pub version: i64,
}

from_rows!(WriteKeyRow, |row| Ok(WriteKeyRow {
    key: row.try_get("key")?,
    project_id: row.try_get("project_id")?,
    version: row.try_get("version")?,
}));

impl Store {
    /// Creates a project with its first write key; answers its id.
    ///
    /// # Errors
    /// [`StoreError::Address`] never; those of the store, and [`StoreError::Corrupt`] for a time zone that is none.
    pub async fn create_project(&self, project: &NewProject) -> Result<i32, StoreError> {
        if parse_zone(&project.time_zone).is_none() {
            let detail = format!("{:?} is no time zone; write one like Europe/Berlin", project.time_zone);
            return Err(StoreError::Corrupt { table: "project", column: "time_zone", detail });
        }
        on_both!(self, write, |pool| {
            let mut tx = pool.begin().await?;
            let (id,): (i32,) = sqlx::query_as(
                "insert into project (name, time_zone, sketch_key, created_at) values ($1, $2, $3, $4) returning id",
            )
            .bind(&project.name)
            .bind(&project.time_zone)
            .bind(&project.sketch_key[..])
            .bind(Ms(project.created_at))
            .fetch_one(&mut *tx)
            .await?;
            sqlx::query("insert into write_key (key, project_id, created_at) values ($1, $2, $3)")
                .bind(&project.write_key)
                .bind(id)
                .bind(Ms(project.created_at))
                .execute(&mut *tx)
                .await?;
            tx.commit().await?;
            Ok(id)
        })
    }

    /// Every project, by id.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn projects(&self) -> Result<Vec<Project>, StoreError> {
        on_both!(self, read, |pool| Ok(sqlx::query_as(
            "select id, name, time_zone, version, created_at from project order by id"
        )
        .fetch_all(pool)
        .await?))
    }

    /// One project.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn project(&self, id: i32) -> Result<Option<Project>, StoreError> {
        on_both!(self, read, |pool| Ok(sqlx::query_as(
            "select id, name, time_zone, version, created_at from project where id = $1"
        )
        .bind(id)
        .fetch_optional(pool)
        .await?))
    }

    /// Every write key, by project: what collectors need to know.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn write_keys(&self) -> Result<Vec<WriteKeyRow>, StoreError> {
        on_both!(self, read, |pool| Ok(sqlx::query_as(
            "select k.key, k.project_id, p.version from write_key k join project p on p.id = k.project_id
             order by k.project_id, k.created_at, k.key"
        )
        .fetch_all(pool)
        .await?))
    }

    /// The project that a write key names.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn write_key(&self, key: &str) -> Result<Option<WriteKeyRow>, StoreError> {
        on_both!(self, read, |pool| Ok(sqlx::query_as(
            "select k.key, k.project_id, p.version from write_key k join project p on p.id = k.project_id
             where k.key = $1"
        )
        .bind(key)
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
