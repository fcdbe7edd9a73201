//! `/api/v1/projects/{id}/shields`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use tallymark_store::{ShieldRow, check_shield};

use super::body::Body;
use super::scope::{Managing, Reading, Segments};
use super::{ShownShield, made, not_found, secret_failed};
use crate::problem::Problem;
use crate::routes::QueryApi;

#[derive(Serialize)]
pub(super) struct Listed {
    shields: Vec<ShownShield>,
}

pub(super) async fn list(
    State(api): State<QueryApi>,
    Reading { project }: Reading,
) -> Result<Json<Listed>, Problem> {
    let shields = api.store.shields(project.id).await?;
    Ok(Json(Listed { shields: shields.into_iter().map(Into::into).collect() }))
}

pub(super) async fn add(
    State(api): State<QueryApi>,
    Managing { project, token }: Managing,
    body: Body,
) -> Result<Response, Problem> {
    let fields = body.fields(&["kind", "pattern"])?;
    let new = ShieldRow {
        shield: check_shield(fields.required_text("kind")?, fields.required_text("pattern")?)?,
        id: api.management.id().map_err(|error| secret_failed(&error))?,
        created_at: (api.now)(),
    };
    let (row, is_new) = api.store.add_shield(project.id, &new).await?;
    if is_new {
        api.management.publish().await;
        // Not the pattern: it may be somebody's address.
        let kind = row.shield.kind().as_str();
        tracing::info!(project.id = project.id, token.id = %token.id, shield.id = %row.id, kind, "added a shield");
    }
    Ok(made(is_new, &ShownShield::from(row)))
}

pub(super) async fn remove(
    State(api): State<QueryApi>,
    Managing { project, token }: Managing,
    segments: Segments,
) -> Result<StatusCode, Problem> {
    let removed = match segments.get("shield").parse() {
        Ok(id) => api.store.remove_shield(project.id, id).await?,
        Err(_) => false,
    };
    if !removed {
        return Err(not_found("such shield of this project", "GET the list of its shields"));
    }
    api.management.publish().await;
    let id = segments.get("shield");
    tracing::info!(project.id = project.id, token.id = %token.id, shield.id = id, "removed a shield");
    Ok(StatusCode::NO_CONTENT)
}
