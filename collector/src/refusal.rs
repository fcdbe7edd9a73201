//! Every way in which a request is refused: the status decides what a tracker does, the body tells a person.

use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tallymark_protocol::limits::{BODY_BYTES_MAX, ENVELOPE_EVENTS_MAX};

/// Why a request was refused as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No write key anywhere.
    MissingWriteKey,
    /// No project has this write key.
    UnknownWriteKey,
    /// Not an envelope; the detail says where.
    MalformedBody { detail: String },
    /// Bytes that cannot be JSON.
    UnsupportedContentType,
    /// Compressed in a way that is not read.
    UnsupportedContentEncoding,
    /// More than [`BODY_BYTES_MAX`].
    BodyTooLarge,
    /// More than [`ENVELOPE_EVENTS_MAX`].
    TooManyEvents { received: usize },
    /// It did not arrive, or not in time.
    BodyIncomplete,
    /// Not POST.
    MethodNotAllowed,
    /// Whether the write key is known cannot be said now.
    RegistryUnavailable { retry_after: Duration },
    /// An event's visitor is to be counted without cookies, and this collector has no salt for it.
    CookielessUnavailable { retry_after: Duration },
    /// The backlog is at its bound.
    QueueFull { retry_after: Duration },
    /// The queue does not answer, or this collector is stopping.
    QueueUnavailable { retry_after: Duration },
}

#[derive(Serialize)]
struct Problem<'a> {
    error: &'static str,
    detail: &'a str,
    hint: &'static str,
}

/// Status, stable name, and what to do.
type Shape = (StatusCode, &'static str, &'static str);

impl Refusal {
    const fn shape(&self) -> Shape {
        match self {
            Self::MissingWriteKey => (
                StatusCode::UNAUTHORIZED,
                "missing_write_key",
                "add ?write_key=wk_… to the URL; `tallymark project list` shows a project's keys",
            ),
            Self::UnknownWriteKey => (
                StatusCode::UNAUTHORIZED,
                "unknown_write_key",
                "copy the key from the project's script tag, or from `tallymark project list`",
            ),
            Self::MalformedBody { .. } => (
                StatusCode::BAD_REQUEST,
                "malformed_body",
                "send one event, an array of events, or {\"events\": [...]} as JSON in UTF-8",
            ),
            Self::UnsupportedContentType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_content_type",
                "send JSON, as application/json or text/plain",
            ),
            Self::UnsupportedContentEncoding => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_content_encoding",
                "send the body uncompressed",
            ),
            Self::BodyTooLarge => {
                (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "split the events over several requests")
            }
            Self::TooManyEvents { .. } => {
                (StatusCode::PAYLOAD_TOO_LARGE, "too_many_events", "split the events over several requests")
            }
            Self::BodyIncomplete => {
                (StatusCode::REQUEST_TIMEOUT, "body_incomplete", "send the request again")
            }
            Self::MethodNotAllowed => {
                (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "send events by POST")
            }
            Self::RegistryUnavailable { .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, "registry_unavailable", RETRY_LATER)
            }
            Self::CookielessUnavailable { .. } => (
                StatusCode::SERVICE_UNAVAILABLE,
                "cookieless_unavailable",
                "the server's operator gives all collectors the same --secret-file, by which they share the salt of the \
                 day; or send an anonymous_id",
            ),
            Self::QueueFull { .. } => (StatusCode::SERVICE_UNAVAILABLE, "queue_full", RETRY_LATER),
            Self::QueueUnavailable { .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, "queue_unavailable", RETRY_LATER)
            }
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::MissingWriteKey => "the request names no project: it carries no write key".to_owned(),
            Self::UnknownWriteKey => "no project has this write key".to_owned(),
            Self::MalformedBody { detail } => detail.clone(),
            Self::UnsupportedContentType => "a body of this Content-Type cannot be JSON".to_owned(),
            Self::UnsupportedContentEncoding => "a body of this Content-Encoding cannot be read".to_owned(),
            Self::BodyTooLarge => format!("the body has more than {BODY_BYTES_MAX} bytes"),
            Self::TooManyEvents { received } => {
                format!("the envelope has {received} events; at most {ENVELOPE_EVENTS_MAX} are taken")
            }
            Self::BodyIncomplete => "the body did not arrive whole, or not in time".to_owned(),
            Self::MethodNotAllowed => "this path takes POST".to_owned(),
            Self::RegistryUnavailable { .. } => "the write key cannot be checked at the moment".to_owned(),
            Self::CookielessUnavailable { .. } => {
                "an event without anonymous_id and user_id cannot be counted at the moment: this collector does not \
                 have the salt of the day"
                    .to_owned()
            }
            Self::QueueFull { .. } => {
                "more events wait to be processed than may; none of these is taken".to_owned()
            }
            Self::QueueUnavailable { .. } => {
                "the events could not be written down; whether some were is settled when they come again"
                    .to_owned()
            }
        }
    }

    const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RegistryUnavailable { retry_after }
            | Self::CookielessUnavailable { retry_after }
            | Self::QueueFull { retry_after }
            | Self::QueueUnavailable { retry_after } => Some(*retry_after),
            _ => None,
        }
    }
}

const RETRY_LATER: &str =
    "nothing is wrong with the request: send it again after Retry-After seconds, with the same event ids";

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, error, hint) = self.shape();
        let detail = self.detail();
        let mut response = (status, Json(Problem { error, detail: &detail, hint })).into_response();
        if let Some(retry_after) = self.retry_after() {
            response.headers_mut().insert(RETRY_AFTER, retry_after.as_secs().max(1).into());
        }
        response
    }
}
