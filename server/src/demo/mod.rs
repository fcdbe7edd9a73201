//! The demo: a project whose shop anybody can click through, with two weeks of visits behind it.

mod history;

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use anyhow::Context;
use tallymark_queue::Queue;
use tallymark_store::Store;

use crate::admin::{CreatedProject, create_project};
use crate::config::{Options, ProjectOptions, RoleOptions};
use crate::roles::publish_projects;
use crate::{clock, data_dir};

/// The demo's project, made when it is first asked for. Its token is kept beside the data, readable by the owner
/// alone, so that the next start can print it again.
pub(crate) async fn prepare(
    role: RoleOptions,
    options: &Options,
    store: &Store,
    queue: &dyn Queue,
) -> anyhow::Result<Option<CreatedProject>> {
    if !role.demo {
        return Ok(None);
    }
    store.migrate().await?;
    data_dir::ensure(&options.data_dir)?;
    let path = options.data_dir.join("demo.json");
    if let Some(known) = known(&path, store).await? {
        return Ok(Some(known));
    }
    let created = create_project(store, "Demo shop", &ProjectOptions::default()).await?;
    if options.redis_url.is_some() {
        publish_projects(options, store).await?;
    }
    let project_id = created.id.parse().context("a project's id is a number")?;
    let mut events = 0;
    for envelope in history::envelopes(project_id, clock::now()) {
        events += envelope.events.len();
        queue.append(&envelope).await.context("cannot queue the demo's history")?;
    }
    tracing::info!(events, "made a demo project with two weeks of visits");
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    file.write_all(&serde_json::to_vec(&created)?)?;
    Ok(Some(created))
}

async fn known(path: &PathBuf, store: &Store) -> anyhow::Result<Option<CreatedProject>> {
    let Ok(text) = std::fs::read_to_string(path) else { return Ok(None) };
    let Ok(created) = serde_json::from_str::<CreatedProject>(&text) else { return Ok(None) };
    // The file may be of another database.
    let (key, token) = (store.write_key(&created.write_key).await?, store.token(&created.token).await?);
    Ok((key.is_some() && token.is_some()).then_some(created))
}
