//! `tallymark project …`

use anyhow::Context;
use serde::Serialize;
use serde_json::Value;
use tallymark_query::ShownProject;
use tallymark_store::{NewProject, Project, ProjectChange, Role, SettingError, Store, StoreError};

use super::token::create_token;
use super::{on_store, print_one, print_rows, publish_or_say, said};
use crate::config::{Options, ProjectCommand, ProjectOptions};
use crate::{clock, secrets};

/// A project as it was just created. The token is shown this once.
#[derive(Clone, Debug, Serialize, serde::Deserialize)]
pub(crate) struct CreatedProject {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) write_key: String,
    pub(crate) token: String,
}

/// A project with the write keys that work.
#[derive(Serialize)]
struct Listed {
    #[serde(flatten)]
    project: ShownProject,
    write_keys: Vec<String>,
}

/// Runs a `project` command.
pub(crate) async fn project(options: Options, command: ProjectCommand) -> anyhow::Result<()> {
    on_store(&options, async |store| match command {
        ProjectCommand::Create { name, settings, json } => {
            let created = create_project(store, &name, &settings).await?;
            publish_or_say(&options, store).await;
            print_one(&created, json, || in_words(&created))
        }
        ProjectCommand::List { json } => list(store, json).await,
        ProjectCommand::Show { id, json } => {
            let project = store.project(id).await?.ok_or(StoreError::UnknownProject(id)).map_err(said)?;
            show(store, project, json).await
        }
        ProjectCommand::Set { id, name, settings, json } => {
            let change = change_of(name.as_deref(), &settings).map_err(option)?;
            anyhow::ensure!(!change.is_empty(), "name what to set; see: tallymark project set --help");
            store.change_project(id, &change).await.map_err(said)?;
            if settings.quota_per_month.is_some() {
                store.refresh_quotas(clock::now()).await?;
            }
            publish_or_say(&options, store).await;
            let project = store.project(id).await?.ok_or(StoreError::UnknownProject(id)).map_err(said)?;
            show(store, project, json).await
        }
    })
    .await
}

/// Creates a project, its first write key and a read token beside it.
pub(crate) async fn create_project(
    store: &Store,
    name: &str,
    settings: &ProjectOptions,
) -> anyhow::Result<CreatedProject> {
    let change = change_of(Some(name), settings).map_err(option)?;
    let project = NewProject {
        name: name.trim().to_owned(),
        time_zone: settings.timezone.clone().unwrap_or_else(|| "UTC".to_owned()),
        sketch_key: secrets::bytes()?,
        write_key: secrets::write_key()?,
        created_at: clock::now(),
    };
    let id = store.create_project_with(&project, &change).await.context("cannot create the project")?;
    let name = format!("made with project {}", project.name);
    let token = create_token(store, &name, Some(id), Role::Read).await?;
    Ok(CreatedProject {
        id: id.to_string(),
        name: project.name,
        write_key: project.write_key,
        token: token.secret,
    })
}

fn change_of(name: Option<&str>, settings: &ProjectOptions) -> Result<ProjectChange, SettingError> {
    let mut change = ProjectChange::default();
    name.map(|name| change.name(name)).transpose()?;
    settings.timezone.as_deref().map(|zone| change.time_zone(zone)).transpose()?;
    if !settings.origins.is_empty() {
        change.origins(&settings.origins)?;
    }
    settings.session_timeout_minutes.map(|minutes| change.session_timeout_minutes(minutes)).transpose()?;
    settings.retention_days.map(|days| change.retention_days(days)).transpose()?;
    settings.hourly_retention_days.map(|days| change.hourly_retention_days(days)).transpose()?;
    settings.daily_retention_days.map(|days| change.daily_retention_days(days)).transpose()?;
    settings.rate_limit_per_minute.map(|limit| change.rate_limit_per_minute(limit.0)).transpose()?;
    settings
        .address_rate_limit_per_minute
        .map(|limit| change.address_rate_limit_per_minute(limit.0))
        .transpose()?;
    settings.quota_per_month.map(|limit| change.quota_per_month(limit.0)).transpose()?;
    if let Some(keep) = settings.keep_addresses {
        change.keep_addresses(keep);
    }
    Ok(change)
}

/// A setting's mistake, by the name of its option.
fn option(error: SettingError) -> anyhow::Error {
    let option = match error.setting {
        "origins" => "origin".to_owned(),
        setting => setting.replace('_', "-"),
    };
    anyhow::anyhow!("--{option}: {}", error.detail)
}

fn in_words(created: &CreatedProject) -> String {
    format!(
        "Project     {} ({})\n\
         Write key   {}   goes into the page; it can only send\n\
         Read token  {}   keep it secret; it is shown this once",
        created.name, created.id, created.write_key, created.token
    )
}

async fn list(store: &Store, json: bool) -> anyhow::Result<()> {
    let mut origins = store.all_origins().await?;
    let keys = store.write_keys().await?;
    let listed = store.projects().await?.into_iter().map(|project| {
        let own = keys.iter().filter(|(_, settings)| settings.project_id == project.id);
        let write_keys = own.map(|(key, _)| key.clone()).collect();
        let origins = origins.remove(&project.id).unwrap_or_default();
        Listed { project: ShownProject::new(project, &origins), write_keys }
    });
    let listed: Vec<Listed> = listed.collect();
    let nothing = "There are no projects yet; make one with: tallymark project create NAME";
    print_rows(&listed, json, nothing, |Listed { project, write_keys }| {
        format!("{:>6}  {}  {}  {}", project.id, project.name, project.timezone, write_keys.join(" "))
    })
}

async fn show(store: &Store, project: Project, json: bool) -> anyhow::Result<()> {
    let keys = store.write_keys_of(project.id).await?.into_iter().filter(|key| key.revoked_at.is_none());
    let write_keys = keys.map(|key| key.key).collect();
    let origins = store.origins(project.id).await?;
    let shown = Listed { project: ShownProject::new(project, &origins), write_keys };
    let fields = serde_json::to_value(&shown)?;
    print_one(&shown, json, || lines(&fields))
}

/// What a person looks for first.
const FIRST: [&str; 5] = ["id", "name", "write_keys", "origins", "timezone"];

/// Each field of an object in a line.
fn lines(fields: &Value) -> String {
    let text = |name: &str, value: &Value| match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(values) if values.is_empty() && name == "origins" => "any".to_owned(),
        Value::Array(values) => {
            values.iter().map(|value| value.as_str().unwrap_or_default()).collect::<Vec<_>>().join(" ")
        }
        other => other.to_string(),
    };
    let mut fields: Vec<(&String, &Value)> = fields.as_object().into_iter().flatten().collect();
    fields.sort_by_key(|(name, _)| FIRST.iter().position(|first| first == name).unwrap_or(FIRST.len()));
    fields
        .into_iter()
        .map(|(name, value)| format!("{name:<30} {}", text(name, value)))
        .collect::<Vec<_>>()
        .join("\n")
}
