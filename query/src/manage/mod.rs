//! The management API: projects and their settings, over the same store functions as the command line.
//!
//! Reading a project's settings takes a token that reads the project, changing them one of the role admin. A change
//! is answered once the store has it, and collectors have been told. What each path takes and answers is in
//! `docs/management-api.md`.

mod body;
mod event_sources;
mod origins;
mod projects;
mod properties;
mod scope;
mod shapes;
mod shields;
mod tokens;
mod write_keys;

use async_trait::async_trait;
use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, put};
use serde::Serialize;
use uuid::Uuid;

use crate::problem::{Kind, Problem};
use crate::routes::QueryApi;

pub use shapes::{
    ShownEventSource, ShownProject, ShownProperty, ShownShield, ShownToken, ShownWriteKey, rfc3339,
};

/// What stands in the way of a secret or an id.
pub type SecretError = Box<dyn std::error::Error + Send + Sync>;

/// What managing needs beside the store: randomness, and a way to tell collectors.
#[async_trait]
pub trait Management: Send + Sync {
    /// A new write key.
    ///
    /// # Errors
    /// Where the system gives no random bytes, as of all of these.
    fn write_key(&self) -> Result<String, SecretError>;
    /// A new secret token.
    ///
    /// # Errors
    /// Where the system gives no random bytes.
    fn token(&self) -> Result<String, SecretError>;
    /// A new random id.
    ///
    /// # Errors
    /// Where the system gives no random bytes.
    fn id(&self) -> Result<Uuid, SecretError>;
    /// A new key for a project's sketches.
    ///
    /// # Errors
    /// Where the system gives no random bytes.
    fn sketch_key(&self) -> Result<[u8; 16], SecretError>;
    /// Tells collectors what the store says now. What stands in the way is logged: a processor tells them, too.
    async fn publish(&self);
}

/// The routes, under `/api/v1/projects` and `/api/v1/tokens`.
pub(crate) fn router() -> Router<QueryApi> {
    let project = "/api/v1/projects/{id}";
    let of = |rest: &str| format!("{project}{rest}");
    Router::new()
        .route("/api/v1/projects", only("GET, POST", get(projects::list).post(projects::create)))
        .route(project, only("GET, PATCH", get(projects::show).patch(projects::change)))
        .route(&of("/write-keys"), only("GET, POST", get(write_keys::list).post(write_keys::create)))
        .route(&of("/write-keys/{key}"), only("DELETE", delete(write_keys::revoke)))
        .route(
            &of("/origins"),
            only("GET, PUT, POST", get(origins::list).put(origins::replace).post(origins::add)),
        )
        .route(&of("/origins/{origin}"), only("DELETE", delete(origins::remove)))
        .route(&of("/event-sources"), only("GET", get(event_sources::list)))
        .route(&of("/event-sources/{name}"), only("PUT", put(event_sources::switch)))
        .route(&of("/shields"), only("GET, POST", get(shields::list).post(shields::add)))
        .route(&of("/shields/{shield}"), only("DELETE", delete(shields::remove)))
        .route(&of("/properties"), only("GET, POST", get(properties::list).post(properties::declare)))
        .route(&of("/properties/{event}/{property}"), only("DELETE", delete(properties::remove)))
        .route("/api/v1/tokens", only("GET, POST", get(tokens::list).post(tokens::create)))
        .route("/api/v1/tokens/{token}", only("DELETE", delete(tokens::revoke)))
}

/// Says which methods a path has to those that use another.
fn only(allow: &'static str, methods: MethodRouter<QueryApi>) -> MethodRouter<QueryApi> {
    methods.fallback(move || async move {
        Problem::new(Kind::Method, format!("this path is asked with {allow}"))
            .allow(allow)
            .hint("what each path takes is in docs/management-api.md")
    })
}

/// What was made, or was there already.
fn made(is_new: bool, shown: &impl Serialize) -> Response {
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    let body = serde_json::to_string(shown).expect("texts, numbers and lists are JSON");
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// What is not among the project's.
fn not_found(what: &str, hint: &str) -> Problem {
    Problem::new(Kind::NotFound, format!("there is no {what}")).hint(hint)
}

fn secret_failed(error: &SecretError) -> Problem {
    tracing::error!(%error, "could not make a secret");
    Problem::new(Kind::Internal, "no secret could be made, for a reason that is in the server's log")
}
