//! The registry of many collectors: a snapshot in Redis, which each of them holds in memory.
//!
//! A publisher writes the whole snapshot at once, under a version. Collectors look at the version each
//! second and read the snapshot again when it moved. A collector that Redis cannot be reached from goes on
//! with what it has.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use redis::{FromRedisValue, Pipeline, RedisResult, Script};
use tallymark_protocol::WriteKey;
use tallymark_protocol::settings::ProjectSettings;
use tallymark_redis_link::Link;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::kept::{KeptSnapshot, Projects};
use crate::lookups::Lookups;
use crate::{RedisConfig, Registry, RegistryError, no_redis, unavailable};

/// How often a collector looks whether the snapshot moved.
pub const POLL_EVERY: Duration = Duration::from_secs(1);

/// Replaces the snapshot, unless a later one of the same store is there.
/// KEYS: projects, version. ARGV: store, number, then write key and settings of each project.
const PUBLISH: &str = r"
local store, number = string.match(redis.call('GET', KEYS[2]) or '', '^(.*)/(%d+)$')
if store == ARGV[1] and tonumber(number) > tonumber(ARGV[2]) then
  return tonumber(number)
end
redis.call('DEL', KEYS[1])
for i = 3, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
end
redis.call('SET', KEYS[2], ARGV[1] .. '/' .. ARGV[2])
return tonumber(ARGV[2])
";

/// Which state of which store a snapshot is. Numbers of one store can be compared; another store's snapshot
/// replaces it, since its write keys and projects mean something else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The store's own id.
    pub store: Uuid,
    /// Moves up with every change of its projects.
    pub number: i64,
}

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let (store, number) = text.split_once('/')?;
        Some(Self { store: store.parse().ok()?, number: number.parse().ok()? })
    }
}

/// What became of a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// Collectors read it within [`POLL_EVERY`].
    Replaced,
    /// A later snapshot is there, and stays.
    Outdated {
        /// Its version.
        current: i64,
    },
}

/// What all processes share about projects, through Redis.
pub struct RedisRegistry {
    shared: Arc<Shared>,
    tasks: TaskTracker,
    /// Ends the polling when the registry is dropped.
    shutdown: DropGuard,
}

struct Shared {
    link: Link,
    projects_key: String,
    version_key: String,
    publish: Script,
    /// Never held across an await.
    snapshot: RwLock<Snapshot>,
    lookups: Lookups,
    kept: Option<Arc<KeptSnapshot>>,
}

#[derive(Clone, Default)]
struct Snapshot {
    version: Option<String>,
    projects: Projects,
}

impl RedisRegistry {
    /// A registry in the Redis of `config`. The snapshot is kept in the file `kept_in`, and known at the next start
    /// before Redis has answered. Connects in the background; must be called within a Tokio runtime, where a task polls
    /// the version until the registry is closed or dropped.
    ///
    /// # Errors
    /// [`RegistryError::NoRedis`] when `config` leads to no Redis, or a file that it names cannot be used.
    pub fn new(config: RedisConfig, kept_in: Option<PathBuf>) -> Result<Self, RegistryError> {
        let kept = kept_in.map(KeptSnapshot::new);
        let snapshot = kept.as_ref().and_then(KeptSnapshot::read);
        let snapshot = snapshot.map(|(version, projects)| Snapshot { version, projects });
        let shared = Arc::new(Shared {
            projects_key: config.key("projects"),
            version_key: config.key("version"),
            link: Link::new(config.link).map_err(no_redis)?,
            publish: Script::new(PUBLISH),
            snapshot: RwLock::new(snapshot.unwrap_or_default()),
            lookups: Lookups::new(),
            kept: kept.map(Arc::new),
        });
        let shutdown = CancellationToken::new();
        let tasks = TaskTracker::new();
        tasks.spawn(shutdown.clone().run_until_cancelled_owned(Arc::clone(&shared).poll()));
        tasks.close();
        Ok(Self { shared, tasks, shutdown: shutdown.drop_guard() })
    }

    /// Replaces what is shared by `projects`, as they are at `version`, in one step. `version` moves with
    /// every change: collectors look at nothing else. Publishing the same twice is harmless; an older version never
    /// replaces a later one of the same store, so that two publishers cannot undo each other.
    ///
    /// # Errors
    /// [`RegistryError::Unavailable`]: it may or may not be published; publishing again is right.
    pub async fn publish(
        &self,
        projects: &[(String, ProjectSettings)],
        version: &Version,
    ) -> Result<Published, RegistryError> {
        let mut script = self.shared.publish.prepare_invoke();
        script.key(&self.shared.projects_key).key(&self.shared.version_key);
        script.arg(version.store.to_string()).arg(version.number);
        for (write_key, settings) in projects {
            script.arg(write_key).arg(serde_json::to_string(settings).map_err(unavailable)?);
        }
        let script = &script;
        let call = |mut connection| async move { script.invoke_async(&mut connection).await };
        let current: i64 = self.shared.link.call(call).await.map_err(unavailable)?;
        Ok(if current == version.number { Published::Replaced } else { Published::Outdated { current } })
    }

    /// The version that is published now; `None` when nothing is, as in a Redis that lost its memory.
    /// A publisher compares it with the store's.
    ///
    /// # Errors
    /// [`RegistryError::Unavailable`].
    pub async fn published_version(&self) -> Result<Option<Version>, RegistryError> {
        let text = self.shared.published_version().await.map_err(unavailable)?;
        Ok(text.as_deref().and_then(Version::parse))
    }

    /// Ends the polling and waits until it has ended.
    pub async fn close(self) {
        drop(self.shutdown);
        self.tasks.wait().await;
    }
}

#[async_trait]
impl Registry for RedisRegistry {
    async fn project_by_write_key(
        &self,
        write_key: WriteKey<'_>,
    ) -> Result<Option<Arc<ProjectSettings>>, RegistryError> {
        if let Some(project) = self.shared.snapshot().projects.get(write_key.as_str()) {
            return Ok(Some(Arc::clone(project)));
        }
        if self.shared.lookups.is_surely_unknown(write_key.as_str()) {
            return Ok(None);
        }
        let lookup = async { self.shared.look_up(write_key.as_str()).await.map_err(Into::into) };
        self.shared.lookups.in_turn(lookup).await.map_err(|error| match error.downcast::<RegistryError>() {
            Ok(error) => *error,
            Err(error) => RegistryError::Unavailable(error),
        })
    }
}

impl Shared {
    fn snapshot(&self) -> std::sync::RwLockReadGuard<'_, Snapshot> {
        self.snapshot.read().expect("nobody panics while holding the snapshot")
    }

    async fn published_version(&self) -> RedisResult<Option<String>> {
        let mut get = redis::cmd("GET");
        get.arg(&self.version_key);
        let get = &get;
        self.link.call(|mut connection| async move { get.query_async(&mut connection).await }).await
    }

    async fn query_all<T: FromRedisValue>(&self, pipeline: &Pipeline) -> RedisResult<T> {
        self.link.call(|mut connection| async move { pipeline.query_async(&mut connection).await }).await
    }

    /// Asks Redis for a key that is not in the snapshot: it may be newer than the snapshot is.
    async fn look_up(&self, write_key: &str) -> Result<Option<Arc<ProjectSettings>>, RegistryError> {
        let mut pipeline = redis::pipe();
        pipeline.atomic().cmd("GET").arg(&self.version_key);
        pipeline.cmd("HGET").arg(&self.projects_key).arg(write_key);
        let (version, settings): (Option<String>, Option<String>) =
            self.query_all(&pipeline).await.map_err(unavailable)?;
        if version.is_none() {
            return Err(RegistryError::NotPublished);
        }
        let Some(settings) = settings else {
            self.lookups.remember_unknown(write_key);
            return Ok(None);
        };
        let project: ProjectSettings = serde_json::from_str(&settings).map_err(unavailable)?;
        let project = Arc::new(project);
        let mut snapshot = self.snapshot.write().expect("nobody panics while holding the snapshot");
        // Not into another snapshot, which may have dropped this key; the poll brings the one that has it.
        if snapshot.version.is_none() || version == snapshot.version {
            snapshot.projects.insert(write_key.to_owned(), Arc::clone(&project));
        }
        Ok(Some(project))
    }

    async fn poll(self: Arc<Self>) {
        let (mut is_well, mut is_disk_well) = (true, true);
        let mut kept_version = self.snapshot().version.clone();
        loop {
            let polled = self.refresh().await;
            match &polled {
                Err(error) if is_well => {
                    tracing::warn!(%error, "cannot read projects from Redis; going on with what is known");
                }
                Ok(()) if !is_well => tracing::info!("projects can be read from Redis again"),
                _ => {}
            }
            is_well = polled.is_ok();
            let kept = self.keep(&mut kept_version).await;
            if let Err(error) = &kept
                && is_disk_well
            {
                tracing::warn!(%error, "cannot keep projects' settings for the next start");
            }
            is_disk_well = kept.is_ok();
            tokio::time::sleep(POLL_EVERY).await;
        }
    }

    /// Keeps the snapshot for the next start, where it is not the one that is kept.
    async fn keep(&self, kept_version: &mut Option<String>) -> io::Result<()> {
        let Some(file) = &self.kept else { return Ok(()) };
        if self.snapshot().version == *kept_version {
            return Ok(());
        }
        let (file, snapshot) = (Arc::clone(file), self.snapshot().clone());
        let version = snapshot.version.clone();
        let write = move || file.write(snapshot.version.as_deref(), &snapshot.projects);
        tokio::task::spawn_blocking(write).await.map_err(io::Error::other).flatten()?;
        *kept_version = version;
        Ok(())
    }

    /// Reads the snapshot when its version moved. A Redis without one has lost its memory: what is known
    /// here stays until somebody publishes again.
    async fn refresh(&self) -> RedisResult<()> {
        let version = self.published_version().await?;
        if version.is_none() || version == self.snapshot().version {
            return Ok(());
        }
        let mut pipeline = redis::pipe();
        pipeline.atomic().cmd("GET").arg(&self.version_key);
        pipeline.cmd("HGETALL").arg(&self.projects_key);
        let (version, settings): (Option<String>, HashMap<String, String>) =
            self.query_all(&pipeline).await?;
        if version.is_none() {
            return Ok(());
        }
        let projects = settings.into_iter().filter_map(|(write_key, settings)| {
            let project = serde_json::from_str(&settings)
                .inspect_err(|error| tracing::error!(%error, "a project's settings in Redis cannot be read"));
            Some((write_key, Arc::new(project.ok()?)))
        });
        let fresh = Snapshot { version, projects: projects.collect() };
        *self.snapshot.write().expect("nobody panics while holding the snapshot") = fresh;
        Ok(())
    }
}
