//! `/api/v1/projects` and `/api/v1/projects/{id}`.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use tallymark_store::{ApiToken, NewProject, PROJECT_SETTINGS, Project, ProjectChange, Role};

use super::body::{Body, Fields};
use super::scope::{Admin, Managing, Reading, check_every_project};
use super::{ShownProject, made, secret_failed};
use crate::auth;
use crate::problem::Problem;
use crate::routes::QueryApi;

#[derive(Serialize)]
pub(super) struct Listed {
    projects: Vec<ShownProject>,
}

/// A project as it was just created. The token is shown this once.
#[derive(Serialize)]
struct Created {
    #[serde(flatten)]
    project: ShownProject,
    write_key: String,
    token: String,
}

pub(super) async fn list(
    State(api): State<QueryApi>,
    headers: axum::http::HeaderMap,
) -> Result<Json<Listed>, Problem> {
    let token = auth::bearer(&api.store, &headers).await?;
    let mut origins = api.store.all_origins().await?;
    let projects = api.store.projects().await?.into_iter().filter(|project| token.reads(project.id));
    let shown = projects.map(|project| {
        let origins = origins.remove(&project.id).unwrap_or_default();
        ShownProject::new(project, &origins)
    });
    Ok(Json(Listed { projects: shown.collect() }))
}

pub(super) async fn show(
    State(api): State<QueryApi>,
    Reading { project }: Reading,
) -> Result<Json<ShownProject>, Problem> {
    shown(&api, project).await.map(Json)
}

pub(super) async fn create(
    State(api): State<QueryApi>,
    Admin(token): Admin,
    body: Body,
) -> Result<Response, Problem> {
    check_every_project(&token)?;
    let fields = body.fields(&PROJECT_SETTINGS)?;
    let settings = change_of(&fields)?;
    let name = fields.required_text("name")?.trim().to_owned();
    let secret = api.management.token().map_err(|error| secret_failed(&error))?;
    let new = NewProject {
        time_zone: fields.text("timezone")?.unwrap_or("UTC").to_owned(),
        sketch_key: api.management.sketch_key().map_err(|error| secret_failed(&error))?,
        write_key: api.management.write_key().map_err(|error| secret_failed(&error))?,
        created_at: (api.now)(),
        name,
    };
    let read_token = ApiToken {
        id: api.management.id().map_err(|error| secret_failed(&error))?,
        project_id: None,
        role: Role::Read,
        name: format!("made with project {}", new.name),
        created_at: new.created_at,
        revoked_at: None,
    };
    let id = api.store.create_project_with(&new, &settings).await?;
    api.store.create_token(&ApiToken { project_id: Some(id), ..read_token }, &secret).await?;
    api.management.publish().await;
    tracing::info!(project.id = id, token.id = %token.id, "created a project");
    let project = api.store.project(id).await?.ok_or_else(|| crate::problem::no_project(id))?;
    let project = shown(&api, project).await?;
    Ok(made(true, &Created { project, write_key: new.write_key, token: secret }))
}

pub(super) async fn change(
    State(api): State<QueryApi>,
    Managing { project, token }: Managing,
    body: Body,
) -> Result<Json<ShownProject>, Problem> {
    let change = change_of(&body.fields(&PROJECT_SETTINGS)?)?;
    let outcome = api.store.change_project(project.id, &change).await?;
    let mut project = outcome.project;
    if !outcome.changed.is_empty() {
        if outcome.changed.contains(&"quota_per_month") {
            api.store.refresh_quotas((api.now)()).await?;
            project = api.store.project(project.id).await?.unwrap_or(project);
        }
        api.management.publish().await;
        let changed = outcome.changed.join(", ");
        tracing::info!(project.id = project.id, token.id = %token.id, changed, "changed a project");
    }
    shown(&api, project).await.map(Json)
}

async fn shown(api: &QueryApi, project: Project) -> Result<ShownProject, Problem> {
    let origins = api.store.origins(project.id).await?;
    Ok(ShownProject::new(project, &origins))
}

/// The settings that a body names.
fn change_of(fields: &Fields) -> Result<ProjectChange, Problem> {
    let mut change = ProjectChange::default();
    if let Some(name) = fields.text("name")? {
        change.name(name)?;
    }
    if let Some(zone) = fields.text("timezone")? {
        change.time_zone(zone)?;
    }
    if let Some(origins) = fields.texts("origins")? {
        change.origins(&origins)?;
    }
    if let Some(minutes) = fields.whole("session_timeout_minutes")? {
        change.session_timeout_minutes(minutes)?;
    }
    if let Some(days) = fields.whole("retention_days")? {
        change.retention_days(days)?;
    }
    if let Some(days) = fields.whole("hourly_retention_days")? {
        change.hourly_retention_days(days)?;
    }
    if let Some(days) = fields.whole("daily_retention_days")? {
        change.daily_retention_days(days)?;
    }
    if let Some(limit) = fields.limit("rate_limit_per_minute")? {
        change.rate_limit_per_minute(limit)?;
    }
    if let Some(limit) = fields.limit("address_rate_limit_per_minute")? {
        change.address_rate_limit_per_minute(limit)?;
    }
    if let Some(quota) = fields.limit("quota_per_month")? {
        change.quota_per_month(quota)?;
    }
    if let Some(keep) = fields.flag("keep_addresses")? {
        change.keep_addresses(keep);
    }
    Ok(change)
}
