//! What a project's owner says about its traffic, as the registry shares it and collectors apply it.
//!
//! Patterns are checked where they come in, and valid ever after: the store, the management API and the
//! collectors mean the same by them.

mod network;
mod origin;
mod shield;

use serde::{Deserialize, Serialize};

use crate::{UnixMs, limits};

pub use network::Network;
pub use origin::OriginPattern;
pub use shield::{Shield, ShieldKind};

/// A pattern that means nothing; says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PatternError(pub(crate) String);

/// The settings of one project that matter where its events come in.
///
/// It crosses versions through Redis: a field that is added has a default, and none is ever renamed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectSettings {
    /// The project's key in the store.
    pub project_id: i32,
    /// Counts the changes of the project's settings.
    pub version: i64,
    /// Which pages may send. None: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub origins: Vec<OriginPattern>,
    /// Events that the project may send in a minute, over all collectors. `None`: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit_per_minute: Option<u32>,
    /// Events that one address may send to the project in a minute. `None`: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address_rate_limit_per_minute: Option<u32>,
    /// The project has used its quota: until then its events are `quota_exceeded`. Set and cleared by whoever
    /// watches the store, from what was really counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota_exceeded_until: Option<UnixMs>,
    /// How many days late an event may come: [`limits::LATE_DAYS_MAX`], or less where raw rows are kept for less.
    #[serde(default = "late_days_max")]
    pub late_days_max: i64,
    /// Event sources whose events are not taken.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub event_sources_off: Vec<String>,
    /// Traffic that is not to be counted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shields: Vec<Shield>,
    /// Whether addresses are stored with the events. Never, unless the owner says so.
    #[serde(default)]
    pub keep_addresses: bool,
}

fn late_days_max() -> i64 {
    limits::LATE_DAYS_MAX
}

impl ProjectSettings {
    /// A project as it is when nobody has set anything: any origin, no limits, nothing shielded.
    #[must_use]
    pub fn new(project_id: i32, version: i64) -> Self {
        Self {
            project_id,
            version,
            origins: Vec::new(),
            rate_limit_per_minute: None,
            address_rate_limit_per_minute: None,
            quota_exceeded_until: None,
            late_days_max: limits::LATE_DAYS_MAX,
            event_sources_off: Vec::new(),
            shields: Vec::new(),
            keep_addresses: false,
        }
    }

    /// Whether a page of `origin`, as the request's `Origin` header says it, may send. `null` (a sandboxed
    /// frame, a local file) may only where any origin may.
    #[must_use]
    pub fn allows_origin(&self, origin: &str) -> bool {
        self.origins.is_empty() || self.origins.iter().any(|pattern| pattern.matches(origin))
    }
}
