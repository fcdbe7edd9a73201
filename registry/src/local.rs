//! The registry of a single process: a copy of what a lookup function says, refreshed behind the requests.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use tallymark_protocol::WriteKey;
use tallymark_protocol::settings::ProjectSettings;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::kept::{KeptSnapshot, Projects};
use crate::lookups::{LOOKUP_TIMEOUT, Lookups};
use crate::{Registry, RegistryError};

/// How often known keys are looked up again. A change takes effect within this and one lookup.
pub const REFRESH_EVERY: Duration = Duration::from_secs(3);

/// A key that nobody used for this long is forgotten, so that refreshing costs what is in use.
const FORGET_AFTER: Duration = Duration::from_secs(3600);

type Error = Box<dyn std::error::Error + Send + Sync>;
type Answer = Result<Option<ProjectSettings>, Error>;
type Lookup = Box<dyn Fn(String) -> Pin<Box<dyn Future<Output = Answer> + Send>> + Send + Sync>;

/// What one process knows of the projects in its store.
pub struct LocalRegistry {
    copies: Arc<Copies>,
    tasks: TaskTracker,
    /// Ends the refreshing when the registry is dropped.
    shutdown: DropGuard,
}

struct Copies {
    lookup: Lookup,
    lookups: Lookups,
    /// Never held across an await; written only when something was looked up.
    known: RwLock<HashMap<String, Known>>,
    kept: Option<Arc<KeptSnapshot>>,
    /// Whether what is kept is what is known.
    is_kept: AtomicBool,
    started_at: Instant,
}

struct Known {
    project: Arc<ProjectSettings>,
    /// Seconds after `started_at`. Atomic, so that using a key takes no write lock.
    used_secs: AtomicU64,
}

impl LocalRegistry {
    /// A registry over `lookup`, which asks the store for the project of a write key. What it learns is kept in the file
    /// `kept_in`, and known at the next start before the store has answered. Must be called within a Tokio runtime: a task
    /// refreshes what is known until the registry is closed or dropped.
    pub fn new<F, Fut>(kept_in: Option<PathBuf>, lookup: F) -> Self
    where
        F: Fn(String) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Answer> + Send + 'static,
    {
        let kept = kept_in.map(KeptSnapshot::new);
        let projects = kept.as_ref().and_then(KeptSnapshot::read).map(|(_, projects)| projects);
        let known = projects.unwrap_or_default().into_iter().map(|(write_key, project)| {
            let used_secs = AtomicU64::new(0);
            (write_key, Known { project, used_secs })
        });
        let copies = Arc::new(Copies {
            lookup: Box::new(move |write_key| Box::pin(lookup(write_key))),
            lookups: Lookups::new(),
            known: RwLock::new(known.collect()),
            kept: kept.map(Arc::new),
            is_kept: AtomicBool::new(true),
            started_at: Instant::now(),
        });
        let shutdown = CancellationToken::new();
        let tasks = TaskTracker::new();
        tasks.spawn(shutdown.clone().run_until_cancelled_owned(Arc::clone(&copies).keep_fresh()));
        tasks.close();
        Self { copies, tasks, shutdown: shutdown.drop_guard() }
    }

    /// Ends the refreshing and waits until it has ended.
    pub async fn close(self) {
        drop(self.shutdown);
        self.tasks.wait().await;
    }
}

#[async_trait]
impl Registry for LocalRegistry {
    async fn project_by_write_key(
        &self,
        write_key: WriteKey<'_>,
    ) -> Result<Option<Arc<ProjectSettings>>, RegistryError> {
        let write_key = write_key.as_str();
        if let Some(project) = self.copies.known(write_key) {
            return Ok(Some(project));
        }
        if self.copies.lookups.is_surely_unknown(write_key) {
            return Ok(None);
        }
        let lookup = (self.copies.lookup)(write_key.to_owned());
        let answer = self.copies.lookups.in_turn(lookup).await.map_err(RegistryError::Unavailable)?;
        Ok(self.copies.learn(write_key, answer))
    }
}

impl Copies {
    fn known(&self, write_key: &str) -> Option<Arc<ProjectSettings>> {
        let known = self.known.read().expect("nobody panics while holding the copies");
        let known = known.get(write_key)?;
        known.used_secs.store(self.started_at.elapsed().as_secs(), Ordering::Relaxed);
        Some(Arc::clone(&known.project))
    }

    fn learn(&self, write_key: &str, answer: Option<ProjectSettings>) -> Option<Arc<ProjectSettings>> {
        let mut known = self.known.write().expect("nobody panics while holding the copies");
        let Some(project) = answer.map(Arc::new) else {
            if known.remove(write_key).is_some() {
                self.is_kept.store(false, Ordering::Relaxed);
            }
            self.lookups.remember_unknown(write_key);
            return None;
        };
        match known.get_mut(write_key) {
            Some(known) if known.project == project => {}
            Some(known) => {
                known.project = Arc::clone(&project);
                self.is_kept.store(false, Ordering::Relaxed);
            }
            None => {
                let used_secs = self.started_at.elapsed().as_secs().into();
                known.insert(write_key.to_owned(), Known { project: Arc::clone(&project), used_secs });
                self.is_kept.store(false, Ordering::Relaxed);
            }
        }
        Some(project)
    }

    /// Looks known keys up again, for ever. While the store is away, what is known stays.
    async fn keep_fresh(self: Arc<Self>) {
        let (mut is_well, mut is_disk_well) = (true, true);
        loop {
            // At once for what was kept: it may be old.
            let refreshed = self.refresh().await;
            match &refreshed {
                Err(error) if is_well => {
                    let source = error.source().map(ToString::to_string).unwrap_or_default();
                    tracing::warn!(%error, source, "cannot look projects up; going on with what is known")
                }
                Ok(()) if !is_well => tracing::info!("projects can be looked up again"),
                _ => {}
            }
            is_well = refreshed.is_ok();
            let kept = self.keep().await;
            if let Err(error) = &kept
                && is_disk_well
            {
                tracing::warn!(%error, "cannot keep projects' settings for the next start");
            }
            is_disk_well = kept.is_ok();
            tokio::time::sleep(REFRESH_EVERY).await;
        }
    }

    /// Keeps what is known for the next start, where that changed.
    async fn keep(&self) -> io::Result<()> {
        let Some(file) = self.kept.as_ref().filter(|_| !self.is_kept.swap(true, Ordering::Relaxed)) else {
            return Ok(());
        };
        let projects: Projects = {
            let known = self.known.read().expect("nobody panics while holding the copies");
            known.iter().map(|(write_key, known)| (write_key.clone(), Arc::clone(&known.project))).collect()
        };
        let file = Arc::clone(file);
        let kept = tokio::task::spawn_blocking(move || file.write(None, &projects)).await;
        let kept = kept.map_err(io::Error::other).flatten();
        self.is_kept.fetch_and(kept.is_ok(), Ordering::Relaxed);
        kept
    }

    async fn refresh(&self) -> Result<(), Error> {
        let now_secs = self.started_at.elapsed().as_secs();
        let in_use: Vec<String> = {
            let mut known = self.known.write().expect("nobody panics while holding the copies");
            known.retain(|_, known| {
                let used_secs = known.used_secs.load(Ordering::Relaxed);
                now_secs.saturating_sub(used_secs) < FORGET_AFTER.as_secs()
            });
            known.keys().cloned().collect()
        };
        let mut outcome = Ok(());
        for write_key in in_use {
            // A store that does not answer is asked again later; a project that cannot be read is no reason
            // to leave the others stale.
            match tokio::time::timeout(LOOKUP_TIMEOUT, (self.lookup)(write_key.clone())).await? {
                Ok(answer) => drop(self.learn(&write_key, answer)),
                Err(error) => outcome = Err(error),
            }
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::UNKNOWN_FOR;

    const KEY: &str = "wk_0123456789abcdefghijklmn";
    const OTHER: &str = "wk_nmlkjihgfedcba9876543210";

    /// A store that can be changed, be away, and counts how often it was asked.
    #[derive(Default)]
    struct Store {
        projects: HashMap<String, ProjectSettings>,
        is_away: bool,
        asked: usize,
    }

    fn registry_over(store: &Arc<Mutex<Store>>) -> LocalRegistry {
        registry_kept_in(None, store)
    }

    fn registry_kept_in(kept_in: Option<PathBuf>, store: &Arc<Mutex<Store>>) -> LocalRegistry {
        let store = Arc::clone(store);
        LocalRegistry::new(kept_in, move |write_key| {
            let mut store = store.lock().unwrap();
            store.asked += 1;
            let answer = if store.is_away {
                Err("the store is away".into())
            } else {
                Ok(store.projects.get(&write_key).cloned())
            };
            async move { answer }
        })
    }

    fn store_with(version: i64) -> Arc<Mutex<Store>> {
        let projects = HashMap::from([(KEY.to_owned(), ProjectSettings::new(7, version))]);
        Arc::new(Mutex::new(Store { projects, ..Store::default() }))
    }

    async fn version_of(registry: &LocalRegistry, key: &str) -> Result<Option<i64>, RegistryError> {
        let project = registry.project_by_write_key(WriteKey::parse(key).unwrap()).await?;
        Ok(project.map(|project| project.version))
    }

    #[tokio::test(start_paused = true)]
    async fn a_known_key_does_not_ask_the_store() {
        let store = store_with(1);
        let registry = registry_over(&store);
        for _ in 0..100 {
            assert_eq!(version_of(&registry, KEY).await.unwrap(), Some(1));
        }
        assert_eq!(store.lock().unwrap().asked, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_takes_effect_within_five_seconds() {
        let store = store_with(1);
        let registry = registry_over(&store);
        assert_eq!(version_of(&registry, KEY).await.unwrap(), Some(1));
        store.lock().unwrap().projects.get_mut(KEY).unwrap().version = 2;
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(version_of(&registry, KEY).await.unwrap(), Some(2));
        store.lock().unwrap().projects.clear();
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(version_of(&registry, KEY).await.unwrap(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn an_unknown_key_is_asked_for_again_after_two_seconds() {
        let store = store_with(1);
        let registry = registry_over(&store);
        assert_eq!(version_of(&registry, OTHER).await.unwrap(), None);
        assert_eq!(version_of(&registry, OTHER).await.unwrap(), None);
        assert_eq!(store.lock().unwrap().asked, 1);
        store.lock().unwrap().projects.insert(OTHER.to_owned(), ProjectSettings::new(8, 5));
        tokio::time::advance(UNKNOWN_FOR).await;
        assert_eq!(version_of(&registry, OTHER).await.unwrap(), Some(5));
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_is_away_leaves_known_keys_and_makes_others_an_error() {
        let store = store_with(1);
        let registry = registry_over(&store);
        assert_eq!(version_of(&registry, KEY).await.unwrap(), Some(1));
        store.lock().unwrap().is_away = true;
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(version_of(&registry, KEY).await.unwrap(), Some(1));
        assert!(version_of(&registry, OTHER).await.is_err(), "not knowing is not the same as no");
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_that_nobody_uses_is_forgotten() {
        let store = store_with(1);
        let registry = registry_over(&store);
        assert_eq!(version_of(&registry, KEY).await.unwrap(), Some(1));
        tokio::time::sleep(FORGET_AFTER + REFRESH_EVERY * 2).await;
        let asked = store.lock().unwrap().asked;
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(store.lock().unwrap().asked, asked);
        registry.close().await;
    }
    #[tokio::test(start_paused = true)]
    async fn what_was_known_is_known_at_the_next_start_while_the_store_is_away() {
        let directory = tempfile::tempdir().unwrap();
        let (store, file) = (store_with(1), directory.path().join("registry"));
        let before = registry_kept_in(Some(file.clone()), &store);
        assert_eq!(version_of(&before, KEY).await.unwrap(), Some(1));
        tokio::time::sleep(REFRESH_EVERY * 2).await;
        before.close().await;
        store.lock().unwrap().is_away = true;
        let after = registry_kept_in(Some(file.clone()), &store);
        assert_eq!(version_of(&after, KEY).await.unwrap(), Some(1));
        assert!(version_of(&after, OTHER).await.is_err());
        // What went while nobody looked goes as soon as the store says so.
        *store.lock().unwrap() = Store::default();
        tokio::time::sleep(REFRESH_EVERY * 2).await;
        assert_eq!(version_of(&after, KEY).await.unwrap(), None);
        after.close().await;
        store.lock().unwrap().is_away = true;
        assert!(version_of(&registry_kept_in(Some(file), &store), KEY).await.is_err(), "and from the file");
    }
}
