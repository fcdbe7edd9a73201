//! `tallymark dead-letter …`: envelopes that were set aside, because no try could count them.

use anyhow::Context;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tallymark_queue::{DeadLetter, DeadLetterId, NoDeadLetterId, Queue};

use super::access::Access;
use super::table::{Table, ago, time};
use crate::clock;
use crate::config::{DeadLetterCommand, Options};
use crate::out::say;

/// Dead letters of one answer of a server.
const PAGE: usize = 200;

/// Which part of the list.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Page {
    pub(super) after: Option<String>,
    pub(super) limit: usize,
}

/// A dead letter in a list.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Listed {
    pub(super) id: String,
    /// Unix milliseconds.
    pub(super) at: Option<i64>,
    pub(super) reason: String,
    pub(super) envelope_id: Option<String>,
    pub(super) project: Option<String>,
    /// Events in it, refused ones too.
    pub(super) events: Option<u32>,
}

/// A dead letter with what is in it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Shown {
    #[serde(flatten)]
    pub(super) listed: Listed,
    /// The entry; as text where it is no JSON.
    pub(super) envelope: Value,
}

/// Which to put back.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Replay {
    /// Empty: all.
    pub(super) ids: Vec<String>,
}

/// How many were put back.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Replayed {
    pub(super) replayed: usize,
}

impl From<&DeadLetter> for Listed {
    fn from(letter: &DeadLetter) -> Self {
        Self {
            id: letter.id.to_string(),
            at: letter.at.map(|at| at.0),
            reason: letter.reason.clone(),
            envelope_id: letter.envelope_id.map(|id| id.to_string()),
            project: letter.project_id.map(|id| id.to_string()),
            events: letter.received,
        }
    }
}

fn parse(id: &str) -> anyhow::Result<DeadLetterId> {
    id.parse()
        .map_err(|error: NoDeadLetterId| anyhow::anyhow!("{id:?}: {error}; see: tallymark dead-letter list"))
}

pub(super) async fn list(queue: &dyn Queue, page: &Page) -> anyhow::Result<Vec<Listed>> {
    let after = page.after.as_deref().map(parse).transpose()?;
    let letters = queue.dead_letters(after, page.limit.min(PAGE)).await?;
    Ok(letters.iter().map(Listed::from).collect())
}

pub(super) async fn show(queue: &dyn Queue, id: &str) -> anyhow::Result<Shown> {
    let letter = queue.find_dead_letter(parse(id)?).await?;
    let letter =
        letter.with_context(|| format!("there is no dead letter {id}; see: tallymark dead-letter list"))?;
    let envelope = serde_json::from_slice(&letter.bytes)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&letter.bytes).into_owned()));
    Ok(Shown { listed: Listed::from(&letter), envelope })
}

pub(super) async fn replay(queue: &dyn Queue, wanted: &Replay) -> anyhow::Result<Replayed> {
    if !wanted.ids.is_empty() {
        let ids = wanted.ids.iter().map(|id| parse(id)).collect::<anyhow::Result<Vec<_>>>()?;
        return Ok(Replayed { replayed: queue.replay(&ids).await? });
    }
    // What is there now: what fails again while this runs is set aside anew, behind it.
    let mut ids = Vec::new();
    let mut after = None;
    loop {
        let letters = queue.dead_letters(after, PAGE).await?;
        let Some(last) = letters.last() else { break };
        after = Some(last.id);
        ids.extend(letters.iter().map(|letter| letter.id));
    }
    let mut replayed = 0;
    for ids in ids.chunks(PAGE) {
        replayed += queue.replay(ids).await?;
    }
    Ok(Replayed { replayed })
}

/// Runs a `dead-letter` command.
pub(crate) async fn dead_letter(options: Options, command: DeadLetterCommand) -> anyhow::Result<()> {
    let access = Access::open(&options).await?;
    let done = run(&access, command).await;
    access.close().await;
    done
}

async fn run(access: &Access, command: DeadLetterCommand) -> anyhow::Result<()> {
    match command {
        DeadLetterCommand::List { limit, json } => {
            let letters = list_some(access, limit).await?;
            if json {
                say!("{}", serde_json::to_string(&letters)?);
            } else {
                print_list(&letters, limit);
            }
        }
        DeadLetterCommand::Show { id, json } => {
            let shown = match access {
                Access::Queue(queue, _) => show(&**queue, &id).await?,
                Access::Server(server) => server.get(&format!("/dead-letters/{}", path_of(&id)?)).await?,
            };
            let text =
                if json { serde_json::to_string(&shown)? } else { serde_json::to_string_pretty(&shown)? };
            say!("{text}");
        }
        DeadLetterCommand::Replay { ids, all, json } => {
            anyhow::ensure!(
                all == ids.is_empty(),
                "name the dead letters to replay, or give --all; see: tallymark dead-letter list"
            );
            let wanted = Replay { ids };
            let Replayed { replayed } = match access {
                Access::Queue(queue, _) => replay(&**queue, &wanted).await?,
                Access::Server(server) => server.post("/dead-letters/replay", &wanted).await?,
            };
            if json {
                say!("{}", serde_json::json!({ "replayed": replayed }));
            } else {
                say!("{replayed} put back into the queue. What fails again is set aside again.");
            }
            anyhow::ensure!(
                all || replayed == wanted.ids.len(),
                "{} of them are no dead letters (any more)",
                wanted.ids.len() - replayed
            );
        }
    }
    Ok(())
}

/// An id as a part of a path: checked, so that it can hold nothing else.
fn path_of(id: &str) -> anyhow::Result<String> {
    Ok(parse(id)?.to_string())
}

async fn list_some(access: &Access, limit: usize) -> anyhow::Result<Vec<Listed>> {
    let mut letters: Vec<Listed> = Vec::new();
    while letters.len() < limit {
        let page = Page {
            after: letters.last().map(|last| last.id.clone()),
            limit: (limit - letters.len()).min(PAGE),
        };
        let more: Vec<Listed> = match access {
            Access::Queue(queue, _) => list(&**queue, &page).await?,
            Access::Server(server) => {
                let after = page.after.as_deref().map_or(String::new(), |after| format!("&after={after}"));
                server.get(&format!("/dead-letters?limit={}{after}", page.limit)).await?
            }
        };
        if more.is_empty() {
            break;
        }
        letters.extend(more);
    }
    Ok(letters)
}

fn print_list(letters: &[Listed], limit: usize) {
    if letters.is_empty() {
        say!("There are no dead letters: every envelope could be counted.");
        return;
    }
    let now = clock::now();
    let mut table = Table::new(["ID", "SET ASIDE", "PROJECT", "EVENTS", "REASON"]);
    for letter in letters {
        let unknown = || "?".to_owned();
        let at = letter.at.map_or_else(unknown, |at| format!("{} ({})", time(at), ago(now.0 - at)));
        let events = letter.events.map_or_else(unknown, |events| events.to_string());
        table.row([
            letter.id.clone(),
            at,
            letter.project.clone().unwrap_or_else(unknown),
            events,
            letter.reason.clone(),
        ]);
    }
    say!("{}", table.to_string().trim_end());
    if letters.len() == limit {
        say!("There may be more: --limit");
    }
    say!("When the cause is gone: tallymark dead-letter replay --all");
}
