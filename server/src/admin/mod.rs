//! Admin commands: the store's use-cases on the command line. They work beside a running server.

mod api;
mod event_source;
mod migrate;
mod project;
mod property;
mod shield;
mod token;
mod write_key;

use anyhow::Context;
use serde::Serialize;
use tallymark_store::{Store, StoreError};

use crate::backends::open_store;
use crate::config::Options;
use crate::out::say;
use crate::roles::publish_projects;

pub(crate) use api::api;
pub(crate) use event_source::event_source;
pub(crate) use migrate::migrate;
pub(crate) use project::{CreatedProject, create_project, project};
pub(crate) use property::property;
pub(crate) use shield::shield;
pub(crate) use token::token;
pub(crate) use write_key::write_key;

/// Tells collectors what the store says now. What stands in the way is no reason to fail: the change is made, and
/// processors tell of it, too.
async fn publish_or_say(options: &Options, store: &Store) {
    if let Err(error) = publish_projects(options, store).await {
        tracing::warn!(error = format!("{error:#}"), "could not tell the collectors; a processor will");
    }
}

/// Opens the store for one command, and closes it whatever became of that.
async fn on_store(
    options: &Options,
    command: impl AsyncFnOnce(&Store) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let store = open_store(options).await?;
    let outcome = command(&store).await;
    store.close().await;
    outcome
}

/// What a command's mistake is called on the command line.
fn said(error: StoreError) -> anyhow::Error {
    match error {
        StoreError::UnknownProject(id) => {
            anyhow::anyhow!("there is no project {id}; see: tallymark project list")
        }
        StoreError::Setting(error) => anyhow::anyhow!("{error}"),
        error => error.into(),
    }
}

/// Fails where there is no such project: a list of nothing would not say so.
async fn known(store: &Store, project_id: i32) -> anyhow::Result<()> {
    let project = store.project(project_id).await?;
    project
        .map(drop)
        .with_context(|| format!("there is no project {project_id}; see: tallymark project list"))
}

/// Prints rows as a JSON array, or each in a line.
fn print_rows<T: Serialize>(
    rows: &[T],
    json: bool,
    nothing: &str,
    line: impl Fn(&T) -> String,
) -> anyhow::Result<()> {
    if json {
        say!("{}", serde_json::to_string(rows)?);
    } else if rows.is_empty() {
        say!("{nothing}");
    } else {
        rows.iter().for_each(|row| say!("{}", line(row)));
    }
    Ok(())
}

/// Prints what came of a command as a JSON object, or in words.
fn print_one(shown: &impl Serialize, json: bool, words: impl FnOnce() -> String) -> anyhow::Result<()> {
    if json {
        say!("{}", serde_json::to_string(shown)?);
    } else {
        say!("{}", words());
    }
    Ok(())
}
