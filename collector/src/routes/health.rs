//! `GET /health`: whether the process is alive. It asks nobody, so that a queue that is away does not get
//! the process restarted; whether it is ready is [`Collector::check`](crate::Collector::check)'s to say.

use axum::Json;
use serde::Serialize;

/// The answer.
#[derive(Serialize)]
pub struct Health {
    status: &'static str,
}

/// Answers 200 for as long as the process can answer at all. The server mounts it.
pub async fn health() -> Json<Health> {
    Json(Health { status: "alive" })
}
