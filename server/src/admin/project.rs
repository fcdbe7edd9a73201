//! `tallymark project …`

use anyhow::Context;
use serde::Serialize;
use tallymark_store::{NewProject, Store, StoreError};

use super::token::create_token;
use crate::backends::open_store;
use crate::config::{Options, ProjectCommand};
use crate::roles::publish_projects;
use crate::{clock, secrets};

/// A project as it was just created. The token is shown this once.
#[derive(Clone, Debug, Serialize, serde::Deserialize)]
pub(crate) struct CreatedProject {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) write_key: String,
    pub(crate) token: String,
}

/// Runs a `project` command.
pub(crate) async fn project(options: Options, command: ProjectCommand) -> anyhow::Result<()> {
    let store = open_store(&options).await?;
    match command {
        ProjectCommand::Create { name, timezone, json } => {
            let created = create_project(&store, &name, &timezone).await?;
            if let Err(error) = publish_projects(&options, &store).await {
                // The processor publishes within a second of any change, too.
                tracing::warn!(
                    error = format!("{error:#}"),
                    "could not tell the collectors; a processor will"
                );
            }
            print_created(&created, json)?;
        }
        ProjectCommand::List { json } => list(&store, json).await?,
    }
    store.close().await;
    Ok(())
}

/// Creates a project, its first write key and a read token beside it.
pub(crate) async fn create_project(
    store: &Store,
    name: &str,
    timezone: &str,
) -> anyhow::Result<CreatedProject> {
    let project = NewProject {
        name: name.to_owned(),
        time_zone: timezone.to_owned(),
        sketch_key: secrets::bytes()?,
        write_key: secrets::write_key()?,
        created_at: clock::now(),
    };
    let id = match store.create_project(&project).await {
        Err(StoreError::Corrupt { column: "time_zone", detail, .. }) => anyhow::bail!("--timezone: {detail}"),
        created => created.context("cannot create the project")?,
    };
    let token = create_token(store, &format!("made with project {name}"), Some(id)).await?;
    Ok(CreatedProject {
        id: id.to_string(),
        name: project.name,
        write_key: project.write_key,
        token: token.secret,
    })
}

fn print_created(created: &CreatedProject, json: bool) -> anyhow::Result<()> {
    if json {
        println!("{}", serde_json::to_string(created)?);
        return Ok(());
    }
    println!("Project     {} ({})", created.name, created.id);
    println!("Write key   {}   goes into the page; it can only send", created.write_key);
    println!("Read token  {}   keep it secret; it is shown this once", created.token);
    Ok(())
}

async fn list(store: &Store, json: bool) -> anyhow::Result<()> {
    #[derive(Serialize)]
    struct Listed {
        id: String,
        name: String,
        timezone: String,
        write_keys: Vec<String>,
    }
    let keys = store.write_keys().await?;
    let projects = store.projects().await?.into_iter().map(|project| Listed {
        id: project.id.to_string(),
        name: project.name,
        timezone: project.time_zone,
        write_keys: keys
            .iter()
            .filter(|key| key.project_id == project.id)
            .map(|key| key.key.clone())
            .collect(),
    });
    let projects: Vec<Listed> = projects.collect();
    if json {
        println!("{}", serde_json::to_string(&projects)?);
        return Ok(());
    }
    if projects.is_empty() {
        println!("There are no projects yet; make one with: tallymark project create NAME");
    }
    for project in projects {
        println!(
            "{:>6}  {}  {}  {}",
            project.id,
            project.name,
            project.timezone,
            project.write_keys.join(" ")
        );
    }
    Ok(())
}
