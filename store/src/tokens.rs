//! Secret tokens: who may read, and who may change settings. Only their hashes are stored.

use sha2::{Digest, Sha256};
use sqlx::Row;
use tallymark_protocol::UnixMs;
use uuid::Uuid;

use crate::columns::Ms;
use crate::projects::SettingError;
use crate::rows::from_rows;
use crate::{Store, StoreError, on_both};

/// What a token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Reads numbers and settings.
    Read,
    /// Changes settings, too.
    Admin,
}

impl Role {
    /// The stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Admin => "admin",
        }
    }

    /// The role of this name.
    ///
    /// # Errors
    /// [`SettingError`] with the names that there are.
    pub fn parse(name: &str) -> Result<Self, SettingError> {
        match name {
            "read" => Ok(Self::Read),
            "admin" => Ok(Self::Admin),
            _ => Err(SettingError::new("role", format!("{name:?} is no role; write read or admin"))),
        }
    }
}

/// A token, without the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiToken {
    /// Its public id: what `token revoke` takes.
    pub id: Uuid,
    /// The project that it is for; `None`: every project.
    pub project_id: Option<i32>,
    /// What it is good for.
    pub role: Role,
    /// Shown to people.
    pub name: String,
    /// When it was created.
    pub created_at: UnixMs,
    /// When it was revoked.
    pub revoked_at: Option<UnixMs>,
}

from_rows!(ApiToken, |row| {
    let role: String = row.try_get("role")?;
    Ok(ApiToken {
        id: row.try_get("id")?,
        project_id: row.try_get("project_id")?,
        role: Role::parse(&role).map_err(|error| sqlx::Error::ColumnDecode {
            index: "api_token.role".to_owned(),
            source: error.into(),
        })?,
        name: row.try_get("name")?,
        created_at: row.try_get::<Ms, _>("created_at")?.0,
        revoked_at: row.try_get::<Option<Ms>, _>("revoked_at")?.map(|at| at.0),
    })
});

impl ApiToken {
    /// Whether it may read this project.
    #[must_use]
    pub fn reads(&self, project_id: i32) -> bool {
        self.revoked_at.is_none() && self.project_id.is_none_or(|own| own == project_id)
    }

    /// Whether it may change this project's settings.
    #[must_use]
    pub fn manages(&self, project_id: i32) -> bool {
        self.role == Role::Admin && self.reads(project_id)
    }
}

fn hash(secret: &str) -> Vec<u8> {
    Sha256::digest(secret.as_bytes()).to_vec()
}

impl Store {
    /// Stores a token under the hash of its `secret`.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn create_token(&self, token: &ApiToken, secret: &str) -> Result<(), StoreError> {
        on_both!(self, write, |pool| {
            sqlx::query(
                "insert into api_token (id, project_id, role, name, hash, created_at) values ($1, $2, $3, $4, $5, $6)",
            )
            .bind(token.id)
            .bind(token.project_id)
            .bind(token.role.as_str())
            .bind(&token.name)
            .bind(hash(secret))
            .bind(Ms(token.created_at))
            .execute(pool)
            .await?;
            Ok(())
        })
    }

    /// The token of a secret, revoked or not.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn token(&self, secret: &str) -> Result<Option<ApiToken>, StoreError> {
        on_both!(self, read, |pool| Ok(sqlx::query_as(
            "select id, project_id, role, name, created_at, revoked_at from api_token where hash = $1"
        )
        .bind(hash(secret))
        .fetch_optional(pool)
        .await?))
    }

    /// The token of an id, revoked or not.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn token_by_id(&self, id: Uuid) -> Result<Option<ApiToken>, StoreError> {
        on_both!(self, read, |pool| Ok(sqlx::query_as(
            "select id, project_id, role, name, created_at, revoked_at from api_token where id = $1"
        )
        .bind(id)
        .fetch_optional(pool)
        .await?))
    }

    /// Every token, oldest first.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn tokens(&self) -> Result<Vec<ApiToken>, StoreError> {
        on_both!(self, read, |pool| Ok(sqlx::query_as(
            "select id, project_id, role, name, created_at, revoked_at from api_token order by created_at, id"
        )
        .fetch_all(pool)
        .await?))
    }

    /// Revokes a token; false where there is none of that id, or it was revoked before.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn revoke_token(&self, id: Uuid, now: UnixMs) -> Result<bool, StoreError> {
        on_both!(self, write, |pool| {
            let done =
                sqlx::query("update api_token set revoked_at = $2 where id = $1 and revoked_at is null")
                    .bind(id)
                    .bind(Ms(now))
                    .execute(pool)
                    .await?;
            Ok(done.rows_affected() > 0)
        })
    }
}
