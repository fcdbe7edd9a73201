//! `/api/v1/projects/{id}/event-sources`.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use tallymark_store::EventSource;

use super::ShownEventSource;
use super::body::Body;
use super::scope::{Managing, Reading, Segments};
use crate::problem::Problem;
use crate::routes::QueryApi;

#[derive(Serialize)]
pub(super) struct Listed {
    event_sources: Vec<ShownEventSource>,
}

pub(super) async fn list(
    State(api): State<QueryApi>,
    Reading { project }: Reading,
) -> Result<Json<Listed>, Problem> {
    let sources = api.store.event_sources(project.id).await?;
    Ok(Json(Listed { event_sources: sources.into_iter().map(Into::into).collect() }))
}

pub(super) async fn switch(
    State(api): State<QueryApi>,
    Managing { project, token }: Managing,
    segments: Segments,
    body: Body,
) -> Result<Json<ShownEventSource>, Problem> {
    let is_on = body.fields(&["is_on"])?.required_flag("is_on")?;
    let wanted = EventSource { name: segments.get("name").to_owned(), is_on, created_at: (api.now)() };
    let (source, is_news) = api.store.set_event_source(project.id, &wanted).await?;
    if is_news {
        api.management.publish().await;
        tracing::info!(
            project.id = project.id, token.id = %token.id, event_source = source.name, is_on,
            "switched an event source"
        );
    }
    Ok(Json(source.into()))
}
