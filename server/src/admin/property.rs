//! `tallymark property …`

use tallymark_query::ShownProperty;
use tallymark_store::{DeclaredProperty, PropertyKind};

use super::{known, on_store, print_one, print_rows, publish_or_say, said};
use crate::clock;
use crate::config::{Options, PropertyCommand, ValueKind};

/// Runs a `property` command.
pub(crate) async fn property(options: Options, command: PropertyCommand) -> anyhow::Result<()> {
    on_store(&options, async |store| match command {
        PropertyCommand::Declare { project, property, kind, json } => {
            let kind = match kind {
                ValueKind::Text => PropertyKind::Text,
                ValueKind::Number => PropertyKind::Number,
            };
            let new = DeclaredProperty::check(&property.event, &property.property, kind, clock::now())?;
            let (row, _) = store.declare_property(project, &new).await.map_err(said)?;
            publish_or_say(&options, store).await;
            let shown = ShownProperty::from(row);
            print_one(&shown, json, || line(&shown))
        }
        PropertyCommand::List { project, json } => {
            known(store, project).await?;
            let properties: Vec<ShownProperty> =
                store.declared_properties(project).await?.into_iter().map(Into::into).collect();
            print_rows(&properties, json, "The project has no declared properties.", line)
        }
        PropertyCommand::Remove { project, property, json } => {
            let removed = store.remove_property(project, &property.event, &property.property);
            anyhow::ensure!(
                removed.await.map_err(said)?,
                "project {project} declares no such property; see: tallymark property list {project}"
            );
            publish_or_say(&options, store).await;
            print_one(&serde_json::json!({ "removed": true }), json, || "Removed.".to_owned())
        }
    })
    .await
}

fn line(property: &ShownProperty) -> String {
    format!("{}.{}  {}  since {}", property.event, property.property, property.kind, property.declared_at)
}
