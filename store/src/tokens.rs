//! Secret tokens: who may read. Only their hashes are stored.

use sha2::{Digest, Sha256};
use sqlx::Row;
use tallymark_protocol::UnixMs;
use uuid::Uuid;

use crate::columns::Ms;
use crate::rows::from_rows;
use crate::{Store, StoreError, on_both};

/// A read token, without the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiToken {
    /// Its public id: what `token revoke` takes.
    pub id: Uuid,
    /// The project that it reads; `None`: every project.
    pub project_id: Option<i32>,
    /// Shown to people.
    pub name: String,
    /// When it was created.
    pub created_at: UnixMs,
    /// When it was revoked.
    pub revoked_at: Option<UnixMs>,
}

from_rows!(ApiToken, |row| Ok(ApiToken {
    id: row.try_get("id")?,
    project_id: row.try_get("project_id")?,
    name: row.try_get("name")?,
    created_at: row.try_get::<Ms, _>("created_at")?.0,
    revoked_at: row.try_get::<Option<Ms>, _>("revoked_at")?.map(|at| at.0),
}));

impl ApiToken {
    /// Whether it may read this project.
    #[must_use]
    pub fn reads(&self, project_id: i32) -> bool {
        self.revoked_at.is_none() && self.project_id.is_none_or(|own| own == project_id)
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
                "insert into api_token (id, project_id, name, hash, created_at) values ($1, $2, $3, $4, $5)",
            )
            .bind(token.id)
            .bind(token.project_id)
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
            "select id, project_id, name, created_at, revoked_at from api_token where hash = $1"
        )
        .bind(hash(secret))
        .fetch_optional(pool)
        .await?))
    }

    /// Every token, oldest first.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn tokens(&self) -> Result<Vec<ApiToken>, StoreError> {
        on_both!(self, read, |pool| Ok(sqlx::query_as(
            "select id, project_id, name, created_at, revoked_at from api_token order by created_at, id"
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
