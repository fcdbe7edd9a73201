//! `/api/v1/projects/{id}/write-keys`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use tallymark_store::{WriteKeyRow, check_name};

use super::body::Body;
use super::scope::{Managing, Reading, Segments};
use super::{ShownWriteKey, made, not_found, secret_failed};
use crate::problem::Problem;
use crate::routes::QueryApi;

#[derive(Serialize)]
pub(super) struct Listed {
    write_keys: Vec<ShownWriteKey>,
}

pub(super) async fn list(
    State(api): State<QueryApi>,
    Reading { project }: Reading,
) -> Result<Json<Listed>, Problem> {
    let keys = api.store.write_keys_of(project.id).await?;
    Ok(Json(Listed { write_keys: keys.into_iter().map(Into::into).collect() }))
}

pub(super) async fn create(
    State(api): State<QueryApi>,
    Managing { project, token }: Managing,
    body: Body,
) -> Result<Response, Problem> {
    let fields = body.fields(&["name"])?;
    let name = fields.text("name")?.map(|name| check_name("name", name)).transpose()?;
    let row = WriteKeyRow {
        key: api.management.write_key().map_err(|error| secret_failed(&error))?,
        project_id: project.id,
        name: name.unwrap_or_default(),
        created_at: (api.now)(),
        revoked_at: None,
    };
    api.store.create_write_key(&row).await?;
    api.management.publish().await;
    tracing::info!(project.id = project.id, token.id = %token.id, name = row.name, "created a write key");
    Ok(made(true, &ShownWriteKey::from(row)))
}

pub(super) async fn revoke(
    State(api): State<QueryApi>,
    Managing { project, token }: Managing,
    segments: Segments,
) -> Result<StatusCode, Problem> {
    if !api.store.revoke_write_key(project.id, segments.get("key"), (api.now)()).await? {
        return Err(not_found(
            "such write key of this project that still works",
            "GET the list of its write keys",
        ));
    }
    api.management.publish().await;
    tracing::info!(project.id = project.id, token.id = %token.id, "revoked a write key");
    Ok(StatusCode::NO_CONTENT)
}
