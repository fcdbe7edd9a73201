//! `/api/v1/projects/{id}/properties`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use tallymark_store::{DeclaredProperty, PropertyKind};

use super::body::Body;
use super::scope::{Managing, Reading, Segments};
use super::{ShownProperty, made, not_found};
use crate::problem::Problem;
use crate::routes::QueryApi;

#[derive(Serialize)]
pub(super) struct Listed {
    properties: Vec<ShownProperty>,
}

pub(super) async fn list(
    State(api): State<QueryApi>,
    Reading { project }: Reading,
) -> Result<Json<Listed>, Problem> {
    let properties = api.store.declared_properties(project.id).await?;
    Ok(Json(Listed { properties: properties.into_iter().map(Into::into).collect() }))
}

pub(super) async fn declare(
    State(api): State<QueryApi>,
    Managing { project, token }: Managing,
    body: Body,
) -> Result<Response, Problem> {
    let fields = body.fields(&["event", "property", "kind"])?;
    let kind = fields.text("kind")?.map_or(Ok(PropertyKind::Text), PropertyKind::parse)?;
    let (event, property) = (fields.required_text("event")?, fields.required_text("property")?);
    let new = DeclaredProperty::check(event, property, kind, (api.now)())?;
    let (row, is_new) = api.store.declare_property(project.id, &new).await?;
    if is_new {
        api.management.publish().await;
        tracing::info!(
            project.id = project.id, token.id = %token.id, event = row.event_name, property = row.property,
            "declared a property"
        );
    }
    Ok(made(is_new, &ShownProperty::from(row)))
}

pub(super) async fn remove(
    State(api): State<QueryApi>,
    Managing { project, token }: Managing,
    segments: Segments,
) -> Result<StatusCode, Problem> {
    let (event, property) = (segments.get("event"), segments.get("property"));
    if !api.store.remove_property(project.id, event, property).await? {
        return Err(not_found("such property of this project", "GET the list of its properties"));
    }
    api.management.publish().await;
    tracing::info!(project.id = project.id, token.id = %token.id, event, property, "removed a property");
    Ok(StatusCode::NO_CONTENT)
}
