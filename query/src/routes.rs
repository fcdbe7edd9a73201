//! The endpoints.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::HeaderMap;
use axum::routing::post;
use axum::{Json, Router};
use tallymark_protocol::UnixMs;
use tallymark_store::Store;

use crate::answer::{Answer, answer};
use crate::auth;
use crate::manage::{self, Management};
use crate::problem::{Kind, Problem, no_project};
use crate::request::Query;

/// A body: room for filters with a thousand pages.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// What the endpoints need. Cheap to clone.
#[derive(Clone)]
pub struct QueryApi {
    /// Read from; tokens and projects too.
    pub store: Store,
    /// What time it is: relative date ranges end with it.
    pub now: Arc<dyn Fn() -> UnixMs + Send + Sync>,
    /// What changes of settings need beside the store.
    pub management: Arc<dyn Management>,
}

impl fmt::Debug for QueryApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueryApi").field("store", &self.store).finish_non_exhaustive()
    }
}

/// The routes of the read API and of the management API, under `/api/v1/`.
pub fn router(api: QueryApi) -> Router {
    Router::new()
        .route("/api/v1/query", post(query).fallback(wrong_method))
        .merge(manage::router())
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(api)
}

async fn query(
    State(api): State<QueryApi>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Answer>, Problem> {
    let started = Instant::now();
    let token = auth::bearer(&api.store, &headers).await?;
    let body = body.map_err(|error| {
        Problem::new(Kind::Body, error.body_text())
            .hint(format!("a query has at most {BODY_BYTES_MAX} bytes: name fewer values"))
    })?;
    let query = Query::parse(&body)?;
    let project_id = query.project_id;
    auth::check(&token, project_id)?;
    let project = api.store.project(project_id).await?.ok_or_else(|| no_project(project_id))?;
    let answer = answer(&api.store, &project, query, (api.now)()).await?;
    let took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::debug!(project.id = project_id, took_ms, "answered a query");
    Ok(Json(answer))
}

async fn wrong_method() -> Problem {
    Problem::new(Kind::Method, "a query is sent with POST, as JSON").allow("POST").hint(
        "curl -X POST -H 'Authorization: Bearer sk_…' -d '{\"project\": \"1\", \"metrics\": [\"visitors\"], \
         \"date_range\": \"7d\"}' https://HOST/api/v1/query",
    )
}
