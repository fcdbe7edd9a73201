//! `tallymark write-key …`

use tallymark_query::ShownWriteKey;
use tallymark_store::{WriteKeyRow, check_name};

use super::{known, on_store, print_one, print_rows, publish_or_say, said};
use crate::config::{Options, WriteKeyCommand};
use crate::{clock, secrets};

/// Runs a `write-key` command.
pub(crate) async fn write_key(options: Options, command: WriteKeyCommand) -> anyhow::Result<()> {
    on_store(&options, async |store| match command {
        WriteKeyCommand::Create { project, name, json } => {
            let row = WriteKeyRow {
                key: secrets::write_key()?,
                project_id: project,
                name: name.map(|name| check_name("--name", &name)).transpose()?.unwrap_or_default(),
                created_at: clock::now(),
                revoked_at: None,
            };
            store.create_write_key(&row).await.map_err(said)?;
            publish_or_say(&options, store).await;
            let shown = ShownWriteKey::from(row);
            print_one(&shown, json, || format!("Write key   {}   goes into the page; it can only send", shown.key))
        }
        WriteKeyCommand::List { project, json } => {
            known(store, project).await?;
            let keys: Vec<ShownWriteKey> =
                store.write_keys_of(project).await?.into_iter().map(Into::into).collect();
            print_rows(&keys, json, "The project has no write keys.", |key| {
                let state = key.revoked_at.as_ref().map_or("works".to_owned(), |at| format!("revoked {at}"));
                format!("{}  {state}  {}", key.key, key.name)
            })
        }
        WriteKeyCommand::Revoke { project, key, json } => {
            let revoked = store.revoke_write_key(project, &key, clock::now()).await.map_err(said)?;
            anyhow::ensure!(
                revoked,
                "project {project} has no such write key that still works; see: tallymark write-key list {project}"
            );
            publish_or_say(&options, store).await;
            print_one(&serde_json::json!({ "revoked": true }), json, || "Revoked.".to_owned())
        }
    })
    .await
}
