//! The roles: which stages a process runs, and in which order they stop.

mod collect;
mod http;
mod process;
mod processing;
mod publish;
mod query;
mod quotas;
mod serve;

pub(crate) use collect::collect;
pub(crate) use process::process;
pub(crate) use publish::publish_projects;
pub(crate) use query::query;
pub(crate) use serve::serve;
