//! What is shown of projects and their settings, by this API and by the command line's `--json`.

use serde::Serialize;
use tallymark_protocol::UnixMs;
use tallymark_protocol::settings::OriginPattern;
use tallymark_store::{ApiToken, DeclaredProperty, EventSource, Project, ShieldRow, WriteKeyRow};
use uuid::Uuid;

/// An instant as JSON shows it: RFC 3339, in UTC.
#[must_use]
pub fn rfc3339(at: UnixMs) -> String {
    jiff::Timestamp::from_millisecond(at.0).map_or_else(|_| at.0.to_string(), |at| at.to_string())
}

/// A project and its settings.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the names are those of the settings, which docs/management-api.md explains")]
pub struct ShownProject {
    pub id: String,
    pub name: String,
    pub timezone: String,
    pub origins: Vec<String>,
    pub session_timeout_minutes: i32,
    pub retention_days: i32,
    pub hourly_retention_days: i32,
    pub daily_retention_days: i32,
    pub rate_limit_per_minute: Option<i32>,
    pub address_rate_limit_per_minute: Option<i32>,
    pub quota_per_month: Option<i64>,
    pub quota_exceeded_until: Option<String>,
    pub keep_addresses: bool,
    pub version: i64,
    pub created_at: String,
}

impl ShownProject {
    /// A project with its origins.
    #[must_use]
    pub fn new(project: Project, origins: &[OriginPattern]) -> Self {
        Self {
            id: project.id.to_string(),
            name: project.name,
            timezone: project.time_zone,
            origins: origins.iter().map(ToString::to_string).collect(),
            session_timeout_minutes: project.session_timeout_minutes,
            retention_days: project.retention_days,
            hourly_retention_days: project.hourly_retention_days,
            daily_retention_days: project.daily_retention_days,
            rate_limit_per_minute: project.rate_limit_per_minute,
            address_rate_limit_per_minute: project.address_rate_limit_per_minute,
            quota_per_month: project.quota_per_month,
            quota_exceeded_until: project.quota_exceeded_until.map(rfc3339),
            keep_addresses: project.keep_addresses,
            version: project.version,
            created_at: rfc3339(project.created_at),
        }
    }
}

/// A write key.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "docs/management-api.md")]
pub struct ShownWriteKey {
    pub key: String,
    pub name: String,
    pub created_at: String,
    pub revoked_at: Option<String>,
}

impl From<WriteKeyRow> for ShownWriteKey {
    fn from(row: WriteKeyRow) -> Self {
        Self {
            key: row.key,
            name: row.name,
            created_at: rfc3339(row.created_at),
            revoked_at: row.revoked_at.map(rfc3339),
        }
    }
}

/// An event source.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "docs/management-api.md")]
pub struct ShownEventSource {
    pub name: String,
    pub is_on: bool,
    pub created_at: String,
}

impl From<EventSource> for ShownEventSource {
    fn from(row: EventSource) -> Self {
        Self { name: row.name, is_on: row.is_on, created_at: rfc3339(row.created_at) }
    }
}

/// A shield.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "docs/management-api.md")]
pub struct ShownShield {
    pub id: Uuid,
    pub kind: &'static str,
    pub pattern: String,
    pub created_at: String,
}

impl From<ShieldRow> for ShownShield {
    fn from(row: ShieldRow) -> Self {
        Self {
            id: row.id,
            kind: row.shield.kind().as_str(),
            pattern: row.shield.pattern().to_owned(),
            created_at: rfc3339(row.created_at),
        }
    }
}

/// A declared property.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "docs/management-api.md")]
pub struct ShownProperty {
    pub event: String,
    pub property: String,
    pub kind: &'static str,
    pub declared_at: String,
}

impl From<DeclaredProperty> for ShownProperty {
    fn from(row: DeclaredProperty) -> Self {
        Self {
            event: row.event_name,
            property: row.property,
            kind: row.kind.as_str(),
            declared_at: rfc3339(row.declared_at),
        }
    }
}

/// A secret token, without the secret.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "docs/management-api.md")]
pub struct ShownToken {
    pub id: Uuid,
    pub name: String,
    /// `None`: every project.
    pub project: Option<String>,
    pub role: &'static str,
    pub created_at: String,
    pub revoked_at: Option<String>,
}

impl From<ApiToken> for ShownToken {
    fn from(token: ApiToken) -> Self {
        Self {
            id: token.id,
            name: token.name,
            project: token.project_id.map(|id| id.to_string()),
            role: token.role.as_str(),
            created_at: rfc3339(token.created_at),
            revoked_at: token.revoked_at.map(rfc3339),
        }
    }
}
