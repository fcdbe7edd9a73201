//! Errors as clients see them: `application/problem+json` (RFC 9457) that says what to change.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tallymark_store::{ReadError, SettingError, StoreError};

/// Why a request is not answered.
#[derive(Debug)]
pub(crate) struct Problem {
    kind: Kind,
    detail: String,
    hint: Option<String>,
    allow: &'static str,
}

/// What kind of problem: its last part of `type`, its status and its title.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Body,
    Metric,
    Dimension,
    Filter,
    DateRange,
    TimeZone,
    Order,
    Pagination,
    TooManyBuckets,
    TooManyGroups,
    TooSlow,
    Token,
    Project,
    NoProject,
    Role,
    Setting,
    NotFound,
    Method,
    Unavailable,
    Internal,
}

/// Seconds after which a store that was away is asked again.
const RETRY_AFTER_SECS: &str = "2";

impl Kind {
    const fn words(self) -> (StatusCode, &'static str, &'static str) {
        const BAD: StatusCode = StatusCode::BAD_REQUEST;
        const TOO_MUCH: StatusCode = StatusCode::UNPROCESSABLE_ENTITY;
        match self {
            Self::Body => (BAD, "body", "The body cannot be used"),
            Self::Metric => (BAD, "metric", "Unknown or repeated metric"),
            Self::Dimension => (BAD, "dimension", "Unknown or repeated dimension"),
            Self::Filter => (BAD, "filter", "A filter cannot be used"),
            Self::DateRange => (BAD, "date-range", "The date range cannot be used"),
            Self::TimeZone => (BAD, "time-zone", "Unknown time zone"),
            Self::Order => (BAD, "order", "The order cannot be used"),
            Self::Pagination => (BAD, "pagination", "The page cannot be given"),
            Self::TooManyBuckets => (TOO_MUCH, "too-many-buckets", "The time buckets are too many"),
            Self::TooManyGroups => (TOO_MUCH, "too-many-groups", "The answer would be too large"),
            Self::TooSlow => (TOO_MUCH, "too-slow", "The query takes too long"),
            Self::Token => (StatusCode::UNAUTHORIZED, "token", "No valid token"),
            Self::Project => (StatusCode::FORBIDDEN, "project", "The token does not read this project"),
            Self::NoProject => (StatusCode::NOT_FOUND, "no-project", "No such project"),
            Self::Role => (StatusCode::FORBIDDEN, "role", "The token only reads"),
            Self::Setting => (BAD, "setting", "A setting cannot be so"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not-found", "It is not there"),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "method", "Not a method of this path"),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "The store is away"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something is broken here"),
        }
    }

    const fn header(self) -> Option<(HeaderName, HeaderValue)> {
        match self {
            Self::Token => Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            Self::Unavailable => Some((header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECS))),
            _ => None,
        }
    }
}

impl Problem {
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), hint: None, allow: "" }
    }

    /// Names the methods that the path has.
    pub(crate) fn allow(mut self, methods: &'static str) -> Self {
        self.allow = methods;
        self
    }

    /// Adds what to do about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    #[cfg(test)]
    pub(crate) fn text(&self) -> String {
        format!("{:?}: {} {}", self.kind, self.detail, self.hint.as_deref().unwrap_or_default())
    }
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, name, title) = self.kind.words();
        let body = Body {
            r#type: format!("urn:tallymark:problem:{name}"),
            title,
            status: status.as_u16(),
            detail: &self.detail,
            hint: self.hint.as_deref(),
        };
        let body = serde_json::to_string(&body).expect("texts and a number are JSON");
        let content_type = [(header::CONTENT_TYPE, "application/problem+json")];
        let mut response = (status, content_type, body).into_response();
        if let Some((name, value)) = self.kind.header() {
            response.headers_mut().insert(name, value);
        }
        if !self.allow.is_empty() {
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(self.allow));
        }
        response
    }
}

impl From<SettingError> for Problem {
    fn from(error: SettingError) -> Self {
        Self::new(Kind::Setting, error.to_string())
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let error = match error {
            StoreError::Setting(error) => return error.into(),
            error => error,
        };
        match &error {
            StoreError::UnknownProject(id) => no_project(*id),
            StoreError::Conflict(_) | StoreError::Unavailable(_) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the store did not answer a query");
                Self::new(Kind::Unavailable, "the database cannot be reached at the moment")
                    .hint("try again in some seconds")
            }
            _ => {
                tracing::error!(error = &error as &dyn std::error::Error, "a query failed");
                Self::new(Kind::Internal, "the query failed for a reason that is in the server's log")
            }
        }
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::TooManyGroups(_) => Self::new(Kind::TooManyGroups, error.to_string())
                .hint("ask for a wider time interval or a shorter range, fewer dimensions, or add a filter"),
            ReadError::TooSlow(_) => Self::new(Kind::TooSlow, error.to_string())
                .hint("ask for a shorter range, or only for what rollups hold: see docs/query-api.md"),
            ReadError::Store(error) => error.into(),
        }
    }
}

pub(crate) fn no_project(id: i32) -> Problem {
    Problem::new(Kind::NoProject, format!("there is no project {id}"))
}
