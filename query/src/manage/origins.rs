//! `/api/v1/projects/{id}/origins`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use tallymark_protocol::settings::OriginPattern;
use tallymark_store::ProjectChange;

use super::body::{Body, missing};
use super::scope::{Managing, Reading, Segments};
use super::{made, not_found};
use crate::problem::Problem;
use crate::routes::QueryApi;

#[derive(Serialize)]
pub(super) struct Listed {
    origins: Vec<String>,
}

pub(super) async fn list(
    State(api): State<QueryApi>,
    Reading { project }: Reading,
) -> Result<Json<Listed>, Problem> {
    listed(&api, project.id).await.map(Json)
}

pub(super) async fn replace(
    State(api): State<QueryApi>,
    Managing { project, token }: Managing,
    body: Body,
) -> Result<Json<Listed>, Problem> {
    let fields = body.fields(&["origins"])?;
    let mut change = ProjectChange::default();
    change.origins(&fields.texts("origins")?.ok_or_else(|| missing("origins"))?)?;
    if !api.store.change_project(project.id, &change).await?.changed.is_empty() {
        api.management.publish().await;
        tracing::info!(project.id = project.id, token.id = %token.id, changed = "origins", "changed a project");
    }
    listed(&api, project.id).await.map(Json)
}

pub(super) async fn add(
    State(api): State<QueryApi>,
    Managing { project, token }: Managing,
    body: Body,
) -> Result<Response, Problem> {
    let fields = body.fields(&["origin"])?;
    let origin = fields.required_text("origin")?;
    let is_new = api.store.add_origin(project.id, origin).await?;
    if is_new {
        api.management.publish().await;
        tracing::info!(project.id = project.id, token.id = %token.id, origin, "added an origin");
    }
    Ok(made(is_new, &listed(&api, project.id).await?))
}

pub(super) async fn remove(
    State(api): State<QueryApi>,
    Managing { project, token }: Managing,
    segments: Segments,
) -> Result<StatusCode, Problem> {
    let origin = segments.get("origin");
    if !api.store.remove_origin(project.id, origin).await? {
        return Err(not_found("such origin of this project", "GET the list of its origins"));
    }
    api.management.publish().await;
    tracing::info!(project.id = project.id, token.id = %token.id, origin, "removed an origin");
    Ok(StatusCode::NO_CONTENT)
}

async fn listed(api: &QueryApi, project_id: i32) -> Result<Listed, Problem> {
    let origins = api.store.origins(project_id).await?;
    Ok(Listed { origins: origins.iter().map(OriginPattern::to_string).collect() })
}
