//! `tallymark shield …`

use tallymark_query::ShownShield;
use tallymark_store::{ShieldRow, check_shield};

use super::{known, on_store, print_one, print_rows, publish_or_say, said};
use crate::config::{Options, ShieldCommand};
use crate::{clock, secrets};

/// Runs a `shield` command.
pub(crate) async fn shield(options: Options, command: ShieldCommand) -> anyhow::Result<()> {
    on_store(&options, async |store| match command {
        ShieldCommand::Add { project, kind, pattern, json } => {
            let shield = check_shield(&kind, &pattern)?;
            let new = ShieldRow { id: secrets::id()?, shield, created_at: clock::now() };
            let (row, _) = store.add_shield(project, &new).await.map_err(said)?;
            publish_or_say(&options, store).await;
            let shown = ShownShield::from(row);
            print_one(&shown, json, || line(&shown))
        }
        ShieldCommand::List { project, json } => {
            known(store, project).await?;
            let shields: Vec<ShownShield> =
                store.shields(project).await?.into_iter().map(Into::into).collect();
            print_rows(&shields, json, "The project has no shields.", line)
        }
        ShieldCommand::Remove { project, id, json } => {
            let removed = store.remove_shield(project, id).await.map_err(said)?;
            anyhow::ensure!(
                removed,
                "project {project} has no shield {id}; see: tallymark shield list {project}"
            );
            publish_or_say(&options, store).await;
            print_one(&serde_json::json!({ "removed": true }), json, || "Removed.".to_owned())
        }
    })
    .await
}

fn line(shield: &ShownShield) -> String {
    format!("{}  {:<10}  {}", shield.id, shield.kind, shield.pattern)
}
