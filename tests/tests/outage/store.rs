//! A store that is away for a while.

use std::sync::Arc;
use std::time::Duration;

use tallymark_processor::{Processor, ProcessorConfig};
use tallymark_protocol::{DAY_MS, UnixMs};
use tallymark_queue::{EmbeddedConfig, EmbeddedQueue, Queue};
use tallymark_tests::databases::on_postgres;
use tallymark_tests::patience::until;
use tokio_util::sync::CancellationToken;

use crate::made::{envelope, project};

const NOW: UnixMs = UnixMs(1_763_622_000_000);

/// The day of an entry that waited long is made for its batch alone: asking once, while the store is away, is not
/// enough.
#[tokio::test(flavor = "multi_thread")]
async fn a_day_that_could_not_be_made_at_first_is_made_when_the_store_is_back() {
    on_postgres(async |test| {
        let project_id = project(&test).await?;
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
            let mut late = envelope(project_id, 1, "late", NOW);
            late.events[0].key_at = UnixMs(NOW.0 - 40 * DAY_MS);
            late.events[0].occurred_at = late.events[0].key_at;
            queue.append(&late).await?;
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
