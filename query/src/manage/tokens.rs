//! `/api/v1/tokens`. A project's admin sees, makes and revokes that project's alone.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use tallymark_store::{ApiToken, Role, check_name};
use uuid::Uuid;

use super::body::Body;
use super::scope::{Admin, Segments, check_every_project};
use super::{ShownToken, made, not_found, secret_failed};
use crate::auth;
use crate::problem::{Problem, no_project};
use crate::routes::QueryApi;

#[derive(Serialize)]
pub(super) struct Listed {
    tokens: Vec<ShownToken>,
}

/// A token as it was just created. The secret is shown this once.
#[derive(Serialize)]
struct Created {
    #[serde(flatten)]
    shown: ShownToken,
    token: String,
}

pub(super) async fn list(State(api): State<QueryApi>, Admin(own): Admin) -> Result<Json<Listed>, Problem> {
    let tokens = api.store.tokens().await?;
    let tokens = tokens.into_iter().filter(|token| is_within(&own, token));
    Ok(Json(Listed { tokens: tokens.map(Into::into).collect() }))
}

pub(super) async fn create(
    State(api): State<QueryApi>,
    Admin(own): Admin,
    body: Body,
) -> Result<Response, Problem> {
    let fields = body.fields(&["name", "project", "role"])?;
    let project_id = fields.project_id("project")?;
    match project_id {
        Some(id) => {
            auth::check(&own, id)?;
            api.store.project(id).await?.ok_or_else(|| no_project(id))?;
        }
        None => check_every_project(&own)?,
    }
    let token = ApiToken {
        project_id,
        role: fields.text("role")?.map_or(Ok(Role::Read), Role::parse)?,
        name: check_name("name", fields.required_text("name")?)?,
        id: api.management.id().map_err(|error| secret_failed(&error))?,
        created_at: (api.now)(),
        revoked_at: None,
    };
    let secret = api.management.token().map_err(|error| secret_failed(&error))?;
    api.store.create_token(&token, &secret).await?;
    let role = token.role.as_str();
    tracing::info!(project.id = project_id, token.id = %own.id, made.id = %token.id, role, "created a token");
    Ok(made(true, &Created { shown: token.into(), token: secret }))
}

pub(super) async fn revoke(
    State(api): State<QueryApi>,
    Admin(own): Admin,
    segments: Segments,
) -> Result<StatusCode, Problem> {
    let absent = || not_found("such token that still works", "GET /api/v1/tokens lists them");
    let id: Uuid = segments.get("token").parse().map_err(|_| absent())?;
    let token = api.store.token_by_id(id).await?.filter(|token| is_within(&own, token));
    let token = token.ok_or_else(absent)?;
    if !api.store.revoke_token(id, (api.now)()).await? {
        return Err(absent());
    }
    tracing::info!(project.id = token.project_id, token.id = %own.id, revoked.id = %id, "revoked a token");
    Ok(StatusCode::NO_CONTENT)
}

/// Whether `own` may see and revoke `token`.
fn is_within(own: &ApiToken, token: &ApiToken) -> bool {
    own.project_id.is_none() || own.project_id == token.project_id
}
