//! What a collector needs to know of a project.

use serde::{Deserialize, Serialize};

/// The settings of one project that matter where its events come in.
///
/// It crosses versions through Redis: a field that is added has a default, and none is ever renamed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectSettings {
    /// The project's key in the store.
    pub project_id: i32,
    /// Counts the changes of the project's settings.
    pub version: i64,
}
