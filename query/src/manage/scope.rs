//! Who asks about what: the token, and the project that the path names.

use std::collections::HashMap;

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use tallymark_store::{ApiToken, Project, Role};

use crate::auth;
use crate::problem::{Kind, Problem, no_project};
use crate::routes::QueryApi;

/// A project whose settings the token may read.
pub(crate) struct Reading {
    pub(crate) project: Project,
}

/// A project whose settings the token may change.
pub(crate) struct Managing {
    pub(crate) project: Project,
    pub(crate) token: ApiToken,
}

/// A token of the role admin.
pub(crate) struct Admin(pub(crate) ApiToken);

/// Parts of the path by name, as text.
pub(crate) struct Segments(HashMap<String, String>);

impl Segments {
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Segments {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let segments = Path::from_request_parts(parts, state).await;
        segments
            .map(|Path(segments)| Self(segments))
            .map_err(|error| Problem::new(Kind::NotFound, error.body_text()).hint("encode the path as UTF-8"))
    }
}

impl FromRequestParts<QueryApi> for Reading {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &QueryApi) -> Result<Self, Problem> {
        let token = auth::bearer(&api.store, &parts.headers).await?;
        let id = project_id(parts, api).await?;
        auth::check(&token, id)?;
        Ok(Self { project: api.store.project(id).await?.ok_or_else(|| no_project(id))? })
    }
}

impl FromRequestParts<QueryApi> for Managing {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &QueryApi) -> Result<Self, Problem> {
        let token = auth::bearer(&api.store, &parts.headers).await?;
        let id = project_id(parts, api).await?;
        auth::check(&token, id)?;
        check_role(&token)?;
        Ok(Self { project: api.store.project(id).await?.ok_or_else(|| no_project(id))?, token })
    }
}

impl FromRequestParts<QueryApi> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &QueryApi) -> Result<Self, Problem> {
        let token = auth::bearer(&api.store, &parts.headers).await?;
        check_role(&token)?;
        Ok(Self(token))
    }
}

async fn project_id(parts: &mut Parts, api: &QueryApi) -> Result<i32, Problem> {
    let segments = Segments::from_request_parts(parts, api).await?;
    let written = segments.get("id");
    written.parse().map_err(|_| {
        Problem::new(Kind::NoProject, format!("there is no project {written:?}"))
            .hint("projects are named by their id, which GET /api/v1/projects lists")
    })
}

fn check_role(token: &ApiToken) -> Result<(), Problem> {
    match token.role {
        Role::Admin => Ok(()),
        Role::Read => Err(Problem::new(Kind::Role, "this token reads, and changes nothing")
            .hint("use one that `tallymark token create NAME --admin` showed")),
    }
}

/// Refuses what only a token of all projects may do.
pub(crate) fn check_every_project(token: &ApiToken) -> Result<(), Problem> {
    match token.project_id {
        None => Ok(()),
        Some(own) => {
            let detail = format!("this token is for project {own} alone");
            Err(Problem::new(Kind::Project, detail).hint("use an admin token without a project"))
        }
    }
}
