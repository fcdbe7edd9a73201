//! Every way in which a request is refused: the status decides what a tracker does, the body tells a person.

mod words;

use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
/// Why a request was refused as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No write key anywhere.
    MissingWriteKey,
    /// No project has this write key.
    UnknownWriteKey,
    /// Pages of this origin may not send to the project.
    OriginNotAllowed { project_id: i32, origin: String },
    /// More events than the project's limits allow.
    RateLimited { retry_after: Duration },
    /// Not an envelope; the detail says where.
    MalformedBody { detail: String },
    /// Bytes that cannot be JSON.
    UnsupportedContentType,
    /// Compressed in a way that is not read.
    UnsupportedContentEncoding,
    /// More than [`BODY_BYTES_MAX`](tallymark_protocol::limits::BODY_BYTES_MAX).
    BodyTooLarge,
    /// More than [`DECOMPRESSED_BYTES_MAX`](tallymark_protocol::limits::DECOMPRESSED_BYTES_MAX).
    DecompressedTooLarge,
    /// Grows by more than [`COMPRESSION_RATIO_MAX`](tallymark_protocol::limits::COMPRESSION_RATIO_MAX).
    RatioTooHigh,
    /// More than [`ENVELOPE_EVENTS_MAX`](tallymark_protocol::limits::ENVELOPE_EVENTS_MAX).
    TooManyEvents { received: usize },
    /// It did not arrive, or not in time.
    BodyIncomplete,
    /// Not the path's method.
    MethodNotAllowed { allowed: &'static str },
    /// Whether the write key is known cannot be said now.
    RegistryUnavailable { retry_after: Duration },
    /// An event's visitor is to be counted without cookies, and this collector has no salt for it.
    CookielessUnavailable { retry_after: Duration },
    /// No memory, or no turn, for another body.
    Busy { retry_after: Duration },
    /// The backlog is at its bound.
    QueueFull { retry_after: Duration },
    /// The queue does not answer, or this collector is stopping.
    QueueUnavailable { retry_after: Duration },
}

#[derive(Serialize)]
struct Problem<'a> {
    error: &'static str,
    detail: &'a str,
    hint: &'a str,
}

impl Refusal {
    /// Every stable name.
    pub(crate) const NAMES: [&str; 17] = [
        "missing_write_key",
        "unknown_write_key",
        "origin_not_allowed",
        "rate_limited",
        "malformed_body",
        "unsupported_content_type",
        "unsupported_content_encoding",
        "body_too_large",
        "ratio_too_high",
        "too_many_events",
        "body_incomplete",
        "method_not_allowed",
        "registry_unavailable",
        "cookieless_unavailable",
        "busy",
        "queue_full",
        "queue_unavailable",
    ];

    /// Its stable name.
    pub(crate) const fn name(&self) -> &'static str {
        self.status_and_name().1
    }

    const fn status_and_name(&self) -> (StatusCode, &'static str) {
        match self {
            Self::MissingWriteKey => (StatusCode::UNAUTHORIZED, "missing_write_key"),
            Self::UnknownWriteKey => (StatusCode::UNAUTHORIZED, "unknown_write_key"),
            Self::OriginNotAllowed { .. } => (StatusCode::FORBIDDEN, "origin_not_allowed"),
            Self::RateLimited { .. } => (StatusCode::TOO_MANY_REQUESTS, "rate_limited"),
            Self::MalformedBody { .. } => (StatusCode::BAD_REQUEST, "malformed_body"),
            Self::UnsupportedContentType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_content_type"),
            Self::UnsupportedContentEncoding => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_content_encoding")
            }
            Self::BodyTooLarge | Self::DecompressedTooLarge => {
                (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large")
            }
            Self::RatioTooHigh => (StatusCode::PAYLOAD_TOO_LARGE, "ratio_too_high"),
            Self::TooManyEvents { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "too_many_events"),
            Self::BodyIncomplete => (StatusCode::REQUEST_TIMEOUT, "body_incomplete"),
            Self::MethodNotAllowed { .. } => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::RegistryUnavailable { .. } => (StatusCode::SERVICE_UNAVAILABLE, "registry_unavailable"),
            Self::CookielessUnavailable { .. } => (StatusCode::SERVICE_UNAVAILABLE, "cookieless_unavailable"),
            Self::Busy { .. } => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            Self::QueueFull { .. } => (StatusCode::SERVICE_UNAVAILABLE, "queue_full"),
            Self::QueueUnavailable { .. } => (StatusCode::SERVICE_UNAVAILABLE, "queue_unavailable"),
        }
    }

    const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after }
            | Self::RegistryUnavailable { retry_after }
            | Self::Busy { retry_after }
            | Self::CookielessUnavailable { retry_after }
            | Self::QueueFull { retry_after }
            | Self::QueueUnavailable { retry_after } => Some(*retry_after),
            _ => None,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, error) = self.status_and_name();
        let (detail, hint) = (self.detail(), self.hint());
        let mut response = (status, Json(Problem { error, detail: &detail, hint: &hint })).into_response();
        if let Some(retry_after) = self.retry_after() {
            let seconds = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
            response.headers_mut().insert(RETRY_AFTER, seconds.max(1).into());
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_known_to_the_counters() {
        let retry_after = Duration::ZERO;
        let all = [
            Refusal::MissingWriteKey,
            Refusal::UnknownWriteKey,
            Refusal::OriginNotAllowed { project_id: 7, origin: String::new() },
            Refusal::RateLimited { retry_after },
            Refusal::MalformedBody { detail: String::new() },
            Refusal::UnsupportedContentType,
            Refusal::UnsupportedContentEncoding,
            Refusal::BodyTooLarge,
            Refusal::DecompressedTooLarge,
            Refusal::RatioTooHigh,
            Refusal::TooManyEvents { received: 0 },
            Refusal::BodyIncomplete,
            Refusal::MethodNotAllowed { allowed: "" },
            Refusal::RegistryUnavailable { retry_after },
            Refusal::CookielessUnavailable { retry_after },
            Refusal::Busy { retry_after },
            Refusal::QueueFull { retry_after },
            Refusal::QueueUnavailable { retry_after },
        ];
        for refusal in all {
            assert!(Refusal::NAMES.contains(&refusal.name()), "{refusal:?}");
        }
    }

    #[test]
    fn retry_after_is_rounded_up_to_whole_seconds() {
        for (millis, seconds) in [(0, "1"), (1, "1"), (1_000, "1"), (1_001, "2"), (59_999, "60")] {
            let refusal = Refusal::RateLimited { retry_after: Duration::from_millis(millis) };
            assert_eq!(refusal.into_response().headers()[RETRY_AFTER], seconds, "{millis}");
        }
    }
}
