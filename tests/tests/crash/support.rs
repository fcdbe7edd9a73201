//! What the crash tests share.

use std::sync::Arc;
use std::time::Duration;

use tallymark_processor::{Processor, ProcessorConfig};
use tallymark_protocol::UnixMs;
use tallymark_queue::{Queue, RedisConfig, RedisQueue};
use tallymark_store::Store;
use tallymark_tests::patience::until;
use tallymark_tests::world::{Shape, World};
use tokio_util::sync::CancellationToken;

/// A world of now, for a server that looks at the clock.
pub(crate) fn world_of_now(seed: u64) -> World {
    let now_ms = jiff::Timestamp::now().as_millisecond();
    World::generate(
        seed,
        &Shape { now_ms, projects: 1, visitors: 40, wrong_clocks: false, located: false, ..Shape::default() },
    )
}

#[expect(clippy::disallowed_methods, reason = "tests are told where their Redis is by the environment")]
pub(crate) fn redis_url() -> String {
    std::env::var("TALLYMARK_TEST_REDIS_URL").expect(
        "TALLYMARK_TEST_REDIS_URL is not set: run `cargo xtask test`, which starts a Redis for the tests",
    )
}

/// Keys of a test's own in Redis.
pub(crate) struct Keys {
    pub(crate) prefix: String,
}

impl Keys {
    pub(crate) fn new() -> Self {
        let number = getrandom::u64().expect("randomness");
        Self { prefix: format!("tallymark-test:{number:016x}:") }
    }

    pub(crate) fn queue(&self) -> anyhow::Result<Arc<dyn Queue>> {
        let config = RedisConfig { prefix: self.prefix.clone(), ..RedisConfig::new(redis_url()) };
        Ok(Arc::new(RedisQueue::new(&config)?))
    }

    /// Takes the keys away again.
    pub(crate) async fn remove(&self) -> anyhow::Result<()> {
        let mut connection = redis::Client::open(redis_url())?.get_multiplexed_async_connection().await?;
        let keys: Vec<String> =
            redis::cmd("KEYS").arg(format!("{}*", self.prefix)).query_async(&mut connection).await?;
        if !keys.is_empty() {
            redis::cmd("DEL").arg(keys).exec_async(&mut connection).await?;
        }
        Ok(())
    }
}

/// Processes what is left in the queue, entries of dead consumers too, without waiting a minute for them.
pub(crate) async fn drain(store: &Store, queue: &Arc<dyn Queue>) -> anyhow::Result<()> {
    let config = ProcessorConfig {
        linger: Duration::from_millis(50),
        reclaim_idle: Duration::from_millis(200),
        ..ProcessorConfig::default()
    };
    let now = Arc::new(|| UnixMs(jiff::Timestamp::now().as_millisecond()));
    let processor = Processor::new(store.clone(), Arc::clone(queue), config, now);
    let shutdown = CancellationToken::new();
    let empty = async {
        let _stops_the_processor = shutdown.clone().drop_guard(); // where it is waited in vain, too
        until("the queue is empty", async || Ok(queue.backlog().await?.entries == 0)).await?;
        anyhow::Ok(())
    };
    let ((), empty) = tokio::join!(processor.run(shutdown.clone()), empty);
    empty?;
    anyhow::ensure!(queue.backlog().await?.dead_letters == 0, "entries were set aside");
    Ok(())
}
