//! `tallymark token …`

use anyhow::Context;
use serde::Serialize;
use tallymark_store::{ApiToken, Store};

use crate::backends::open_store;
use crate::config::{Options, TokenCommand};
use crate::{clock, secrets};

/// A token as it was just created.
pub(super) struct CreatedToken {
    pub(super) token: ApiToken,
    pub(super) secret: String,
}

/// Creates a token.
pub(super) async fn create_token(
    store: &Store,
    name: &str,
    project_id: Option<i32>,
) -> anyhow::Result<CreatedToken> {
    let secret = secrets::token()?;
    let token = ApiToken {
        id: secrets::id()?,
        project_id,
        name: name.to_owned(),
        created_at: clock::now(),
        revoked_at: None,
    };
    store.create_token(&token, &secret).await.context("cannot create the token")?;
    Ok(CreatedToken { token, secret })
}

/// Runs a `token` command.
pub(crate) async fn token(options: Options, command: TokenCommand) -> anyhow::Result<()> {
    let store = open_store(&options).await?;
    match command {
        TokenCommand::Create { name, project, json } => {
            if let Some(id) = project {
                anyhow::ensure!(
                    store.project(id).await?.is_some(),
                    "there is no project {id}; see: tallymark project list"
                );
            }
            print_created(&create_token(&store, &name, project).await?, json)?;
        }
        TokenCommand::List { json } => list(&store, json).await?,
        TokenCommand::Revoke { id } => {
            let revoked = store.revoke_token(id, clock::now()).await?;
            anyhow::ensure!(revoked, "there is no token {id} that still works; see: tallymark token list");
            println!("Revoked.");
        }
    }
    store.close().await;
    Ok(())
}

fn print_created(created: &CreatedToken, json: bool) -> anyhow::Result<()> {
    if json {
        let CreatedToken { token, secret } = created;
        let project = token.project_id.map(|id| id.to_string());
        let printed =
            serde_json::json!({ "id": token.id, "name": token.name, "project": project, "token": secret });
        println!("{printed}");
    } else {
        println!("Read token  {}   keep it secret; it is shown this once", created.secret);
    }
    Ok(())
}

async fn list(store: &Store, json: bool) -> anyhow::Result<()> {
    #[derive(Serialize)]
    struct Listed {
        id: uuid::Uuid,
        name: String,
        project: Option<String>,
        revoked: bool,
    }
    let tokens = store.tokens().await?.into_iter().map(|token| Listed {
        id: token.id,
        name: token.name,
        project: token.project_id.map(|id| id.to_string()),
        revoked: token.revoked_at.is_some(),
    });
    let tokens: Vec<Listed> = tokens.collect();
    if json {
        println!("{}", serde_json::to_string(&tokens)?);
        return Ok(());
    }
    for token in tokens {
        let project = token.project.map_or("every project".to_owned(), |id| format!("project {id}"));
        let state = if token.revoked { "revoked" } else { "works" };
        println!("{}  {project}  {state}  {}", token.id, token.name);
    }
    Ok(())
}
