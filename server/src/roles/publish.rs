//! Tells the collectors what the store says about projects. The store is the truth; Redis holds a copy.

use std::time::Duration;

use tallymark_registry::{Published, RedisRegistry, Version};
use tallymark_store::Store;
use tokio_util::sync::CancellationToken;

use crate::config::Options;

/// How often the store is asked whether a project changed.
const POLL_EVERY: Duration = Duration::from_secs(1);

/// Publishes at start, at every change, and again when Redis has lost its memory.
pub(crate) struct Publisher {
    registry: RedisRegistry,
    store: Store,
}

/// A publisher, where collectors read from Redis.
pub(crate) fn publisher(options: &Options, store: &Store) -> anyhow::Result<Option<Publisher>> {
    let Some(redis) = crate::backends::registry_redis(options) else { return Ok(None) };
    let registry = RedisRegistry::new(redis, None)?;
    Ok(Some(Publisher { registry, store: store.clone() }))
}

/// Publishes once, after a change, so that nobody waits for the next poll.
pub(crate) async fn publish_projects(options: &Options, store: &Store) -> anyhow::Result<()> {
    let Some(publisher) = publisher(options, store)? else { return Ok(()) };
    let published = publisher.publish().await;
    publisher.registry.close().await;
    published
}

impl Publisher {
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let (mut is_well, mut said) = (true, None);
        loop {
            match self.publish_if_changed(&mut said).await {
                Ok(()) => is_well = true,
                Err(error) if is_well => {
                    is_well = false;
                    tracing::warn!(error = format!("{error:#}"), "could not publish projects; trying again");
                }
                Err(_) => {} // said already
            }
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                () = tokio::time::sleep(POLL_EVERY) => {}
            }
        }
        self.registry.close().await;
    }

    /// Publishes where Redis does not hold what the store does. What stands in the way is said once, not each second.
    async fn publish_if_changed(&self, said: &mut Option<Version>) -> anyhow::Result<()> {
        // Redis first: what others publish in between is not later than what the store says after it.
        let published = self.registry.published_version().await?;
        let ours = self.version().await?;
        if published.as_ref() == Some(&ours) {
            return Ok(());
        }
        let is_news = published != *said;
        match &published {
            Some(theirs) if theirs.store != ours.store && is_news => tracing::warn!(
                "Redis held the projects of another database; they are replaced. Two databases over one Redis need a \
                 --redis-prefix each"
            ),
            Some(theirs) if theirs.store == ours.store && theirs.number > ours.number => {
                if is_news {
                    tracing::warn!(
                        "Redis holds later projects than the store does; where the database was restored from a \
                         backup, delete the registry's keys in Redis"
                    );
                }
                *said = published;
                return Ok(());
            }
            _ => {}
        }
        *said = published;
        self.publish().await
    }

    async fn version(&self) -> anyhow::Result<Version> {
        let (store, number) = self.store.projects_version().await?;
        Ok(Version { store, number })
    }

    async fn publish(&self) -> anyhow::Result<()> {
        // The version first: a change in between is published under the older one, and then once more.
        let version = self.version().await?;
        let projects = self.store.write_keys().await?;
        if let Published::Outdated { current } = self.registry.publish(&projects, &version).await? {
            tracing::warn!(
                version = version.number,
                current,
                "Redis holds later projects than the store does"
            );
        }
        Ok(())
    }
}
