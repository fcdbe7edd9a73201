//! `tallymark token …`

use anyhow::Context;
use serde::Serialize;
use tallymark_query::ShownToken;
use tallymark_store::{ApiToken, Role, Store, check_name};

use super::{known, on_store, print_one, print_rows};
use crate::config::{Options, TokenCommand};
use crate::{clock, secrets};

/// A token as it was just created.
#[derive(Serialize)]
pub(super) struct CreatedToken {
    #[serde(flatten)]
    shown: ShownToken,
    #[serde(rename = "token")]
    pub(super) secret: String,
}

/// Creates a token.
pub(super) async fn create_token(
    store: &Store,
    name: &str,
    project_id: Option<i32>,
    role: Role,
) -> anyhow::Result<CreatedToken> {
    let secret = secrets::token()?;
    let token = ApiToken {
        id: secrets::id()?,
        project_id,
        role,
        name: name.to_owned(),
        created_at: clock::now(),
        revoked_at: None,
    };
    store.create_token(&token, &secret).await.context("cannot create the token")?;
    Ok(CreatedToken { shown: token.into(), secret })
}

/// Runs a `token` command.
pub(crate) async fn token(options: Options, command: TokenCommand) -> anyhow::Result<()> {
    on_store(&options, async |store| match command {
        TokenCommand::Create { name, project, admin, json } => {
            if let Some(id) = project {
                known(store, id).await?;
            }
            let role = if admin { Role::Admin } else { Role::Read };
            let created = create_token(store, &check_name("NAME", &name)?, project, role).await?;
            let what = if admin { "Admin token" } else { "Read token " };
            print_one(&created, json, || {
                format!("{what}  {}   keep it secret; it is shown this once", created.secret)
            })
        }
        TokenCommand::List { json } => {
            let tokens: Vec<ShownToken> = store.tokens().await?.into_iter().map(Into::into).collect();
            print_rows(&tokens, json, "There are no tokens.", |token| {
                let project =
                    token.project.as_ref().map_or("every project".to_owned(), |id| format!("project {id}"));
                let state =
                    token.revoked_at.as_ref().map_or("works".to_owned(), |at| format!("revoked {at}"));
                format!("{}  {:<5}  {project}  {state}  {}", token.id, token.role, token.name)
            })
        }
        TokenCommand::Revoke { id, json } => {
            let revoked = store.revoke_token(id, clock::now()).await?;
            anyhow::ensure!(revoked, "there is no token {id} that still works; see: tallymark token list");
            print_one(&serde_json::json!({ "revoked": true }), json, || "Revoked.".to_owned())
        }
    })
    .await
}
