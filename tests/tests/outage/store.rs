//! A store that is away for a while.

use std::sync::Arc;
use std::time::Duration;

use tallymark_processor::{Processor, ProcessorConfig};
use tallymark_protocol::{Context, DAY_MS, Event, Place, UnixMs};
use tallymark_queue::{ENTRY_VERSION, EmbeddedConfig, EmbeddedQueue, Queue, QueuedEnvelope};
use tallymark_store::NewProject;
use tallymark_tests::databases::on_postgres;
use tallymark_tests::patience::until;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const NOW: UnixMs = UnixMs(1_763_622_000_000);

fn envelope(project_id: i32, occurred_at: UnixMs) -> QueuedEnvelope {
    let event = Event {
        id: Uuid::from_u128(1),
        key_at: occurred_at,
        name: "late".to_owned(),
        occurred_at,
        anonymous_id: None,
        user_id: None,
        session_id: None,
        tab_id: None,
        seq: None,
        url: None,
        title: None,
        referrer: None,
        category: None,
        event_source: None,
        props: None,
    };
    QueuedEnvelope {
        v: ENTRY_VERSION,
        envelope_id: Uuid::from_u128(2),
        project_id,
        received_at: NOW,
        received: 1,
        from_browser: false,
        user_agent: None,
        place: Place::default(),
        address: None,
        context: Context::default(),
        rejected: Vec::new(),
        events: vec![event],
    }
}

/// The day of an entry that waited long is made for its batch alone: asking once, while the store is away, is not
/// enough.
#[tokio::test(flavor = "multi_thread")]
async fn a_day_that_could_not_be_made_at_first_is_made_when_the_store_is_back() {
    on_postgres(async |test| {
        let project = NewProject {
            name: "Site".to_owned(),
            time_zone: "UTC".to_owned(),
            sketch_key: [1; 16],
            write_key: "wk_0123456789abcdefghijklmn".to_owned(),
            created_at: NOW,
        };
        let project_id = test.create_project(&project).await?;
        let folder = tempfile::tempdir()?;
        let queue: Arc<dyn Queue> = Arc::new(EmbeddedQueue::open(EmbeddedConfig::new(folder.path())).await?);
        let mut sql = test.sql().await?;
        sql.run("alter table event rename to event_away").await?;

        let shutdown = CancellationToken::new();
        let processor = Processor::new(
            test.store.clone(),
            Arc::clone(&queue),
            ProcessorConfig::default(),
            Arc::new(|| NOW),
        );
        let scenario = async {
            let _stops_the_processor = shutdown.clone().drop_guard(); // where the scenario fails, too
            queue.append(&envelope(project_id, UnixMs(NOW.0 - 40 * DAY_MS))).await?;
            until("it was read", async || Ok(queue.backlog().await?.pending == 1)).await?;
            // Long enough for a first try; a shorter time makes the test weaker, never red.
            tokio::time::sleep(Duration::from_millis(200)).await;
            sql.run("alter table event_away rename to event").await?;
            until("it was counted", async || Ok(queue.backlog().await?.entries == 0)).await?;
            anyhow::Ok(())
        };
        let ((), done) = tokio::join!(processor.run(shutdown.clone()), scenario);
        done?;
        assert_eq!(queue.backlog().await?.dead_letters, 0);
        assert_eq!(sql.number("select count(*) from event").await?, 1);
        queue.close().await;
        Ok(())
    })
    .await;
}
