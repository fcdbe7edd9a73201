//! Projects and their settings. Each change is one transaction that raises the project's version: whoever publishes
//! settings to collectors watches that.

mod capture;
mod change;
mod check;
mod event_source;
mod origin;
mod project;
mod property;
mod quota;
mod shield;
mod write_key;

pub(crate) use change::{Done, Hold};

pub use change::{PROJECT_SETTINGS, ProjectChange};
pub use check::{SettingError, check_name};
pub use event_source::EventSource;
pub use project::{ChangedProject, NewProject, Project};
pub use property::{DeclaredProperty, PropertyKind};
pub use shield::{ShieldRow, check_shield};
pub use write_key::WriteKeyRow;
