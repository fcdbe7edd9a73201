//! `tallymark event-source …`

use tallymark_query::ShownEventSource;
use tallymark_store::{EventSource, Store};

use super::{known, on_store, print_one, print_rows, publish_or_say, said};
use crate::clock;
use crate::config::{EventSourceCommand, EventSourceName, Options};

/// Runs an `event-source` command.
pub(crate) async fn event_source(options: Options, command: EventSourceCommand) -> anyhow::Result<()> {
    on_store(&options, async |store| match command {
        EventSourceCommand::List { project, json } => {
            known(store, project).await?;
            let sources: Vec<ShownEventSource> =
                store.event_sources(project).await?.into_iter().map(Into::into).collect();
            print_rows(&sources, json, "All event sources are on.", line)
        }
        EventSourceCommand::On(which) => switch(&options, store, which, State::On).await,
        EventSourceCommand::Off(which) => switch(&options, store, which, State::Off).await,
    })
    .await
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    On,
    Off,
}

async fn switch(
    options: &Options,
    store: &Store,
    which: EventSourceName,
    state: State,
) -> anyhow::Result<()> {
    let wanted = EventSource { name: which.name, is_on: state == State::On, created_at: clock::now() };
    let (source, _) = store.set_event_source(which.project, &wanted).await.map_err(said)?;
    publish_or_say(options, store).await;
    let shown = ShownEventSource::from(source);
    print_one(&shown, which.json, || line(&shown))
}

fn line(source: &ShownEventSource) -> String {
    format!("{}  {}", if source.is_on { "on " } else { "off" }, source.name)
}
