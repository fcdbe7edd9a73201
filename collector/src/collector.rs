//! What all requests share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::Serialize;
use tallymark_protocol::settings::ProjectSettings;
use tallymark_protocol::{Event, UnixMs, WriteKey};
use tallymark_queue::{Queue, QueueError, QueuedEnvelope};
use tallymark_registry::{RateTokens, Registry, Salts};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::budget::{Budget, Held};
use crate::fullness::Fullness;
use crate::measures::Measures;
use crate::outliving::Outliving;
use crate::refusal::Refusal;
use crate::visitor::{self, NoSalt, Occasion};
use crate::{Clock, CollectorConfig, Places};

/// How long a readiness check may take: whoever asks has a timeout of a few seconds of their own.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// Large bodies that are unpacked at once: they share the machine with everything else, and each takes a decoder's
/// window, up to 16 MiB, while it is unpacked.
const TURNS: usize = 2;

/// A collector. Clones are the same one.
#[derive(Clone)]
pub struct Collector(Arc<Shared>);

/// What a collector works with.
#[derive(Clone)]
pub struct Surroundings {
    /// Where envelopes go.
    pub queue: Arc<dyn Queue>,
    /// What is known about projects.
    pub registry: Arc<dyn Registry>,
    /// Rate limits.
    pub tokens: Arc<dyn RateTokens>,
    /// What addresses are hashed under.
    pub salts: Arc<dyn Salts>,
    /// What knows the places of addresses.
    pub places: Arc<Places>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

struct Shared {
    config: CollectorConfig,
    surroundings: Surroundings,
    measures: Measures,
    /// What bodies may take in memory.
    budget: Budget,
    /// Large bodies that are unpacked at once.
    turns: Arc<Semaphore>,
    /// What addresses are hashed under while no salt is known.
    own_address_key: [u8; 16],
    /// Appends that have begun.
    appends: TaskTracker,
    queue_is_well: AtomicBool,
    fullness: Fullness,
    registry_is_well: AtomicBool,
    salts_are_well: AtomicBool,
}

/// What a readiness check found, for `/ready`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was asked.
    pub name: &'static str,
    /// Whether capture can work with it.
    pub is_ready: bool,
    /// More, for a person.
    pub detail: String,
}

impl Collector {
    /// A collector that works as `config` says, with what is around it.
    #[must_use]
    pub fn new(config: CollectorConfig, surroundings: Surroundings) -> Self {
        let well = || AtomicBool::new(true);
        let mut own_address_key = [0; 16];
        getrandom::fill(&mut own_address_key)
            .expect("an operating system that has started gives random bytes");
        Self(Arc::new(Shared {
            measures: Measures::new(),
            budget: Budget::new(config.bodies_bytes_max),
            turns: Arc::new(Semaphore::new(TURNS)),
            own_address_key,
            config,
            surroundings,
            appends: TaskTracker::new(),
            queue_is_well: well(),
            fullness: Fullness::default(),
            registry_is_well: well(),
            salts_are_well: well(),
        }))
    }

    /// Waits until every append that has begun has ended. Call it after the server has stopped accepting.
    pub async fn drain(&self) {
        self.0.appends.close();
        self.0.appends.wait().await;
    }

    /// Whether envelopes can be appended, and what waits in the queue.
    pub async fn check(&self) -> Check {
        let not_ready = |detail: String| Check { name: "queue", is_ready: false, detail };
        if self.0.appends.is_closed() {
            return not_ready("draining".to_owned());
        }
        let queue = &self.0.surroundings.queue;
        // While the queue is away, what counts is whether the spool takes envelopes.
        let away = |detail: String| match queue.spool() {
            Some(spool) => {
                let detail =
                    format!("{detail}; {} envelopes are spooled, {} bytes", spool.entries, spool.bytes);
                Check { name: "queue", is_ready: spool.has_room(), detail }
            }
            None => not_ready(detail),
        };
        if queue.spool().is_some_and(|spool| spool.is_away) {
            return away("it is away".to_owned());
        }
        let backlog = match tokio::time::timeout(CHECK_TIMEOUT, queue.backlog()).await {
            Ok(Ok(backlog)) => backlog,
            Ok(Err(error)) => return away(error.to_string()),
            Err(_) => return away(format!("no answer within {} s", CHECK_TIMEOUT.as_secs())),
        };
        if self.0.fullness.holds_at(backlog.bytes) {
            return not_ready(format!("full: {} envelopes wait, {} bytes", backlog.entries, backlog.bytes));
        }
        Check { name: "queue", is_ready: true, detail: format!("{} envelopes wait", backlog.entries) }
    }

    pub(crate) fn now(&self) -> UnixMs {
        self.0.surroundings.clock.now()
    }

    pub(crate) fn config(&self) -> &CollectorConfig {
        &self.0.config
    }

    pub(crate) fn surroundings(&self) -> &Surroundings {
        &self.0.surroundings
    }

    pub(crate) fn measures(&self) -> &Measures {
        &self.0.measures
    }

    pub(crate) fn turns(&self) -> &Arc<Semaphore> {
        &self.0.turns
    }

    pub(crate) fn own_address_key(&self) -> [u8; 16] {
        self.0.own_address_key
    }

    /// A share of the memory for bodies.
    pub(crate) fn held(&self) -> Held {
        self.0.budget.share()
    }

    /// What is answered when there is no memory, or no turn, for a body.
    pub(crate) fn busy(&self) -> Refusal {
        Refusal::Busy { retry_after: self.0.config.retry_after }
    }

    /// The project of a write key as a client sent it.
    pub(crate) async fn project(&self, write_key: &str) -> Result<Arc<ProjectSettings>, Refusal> {
        let write_key = WriteKey::parse(write_key).ok_or(Refusal::UnknownWriteKey)?;
        match self.0.surroundings.registry.project_by_write_key(write_key).await {
            Ok(project) => {
                note(&self.0.registry_is_well, || tracing::info!("write keys can be checked again"));
                project.ok_or(Refusal::UnknownWriteKey)
            }
            Err(error) => {
                if self.0.registry_is_well.swap(false, Ordering::Relaxed) {
                    tracing::error!(%error, source = source(&error), "cannot check write keys; answering 503");
                }
                Err(Refusal::RegistryUnavailable { retry_after: self.0.config.retry_after })
            }
        }
    }

    pub(crate) fn places(&self) -> &Places {
        &self.0.surroundings.places
    }

    /// Names the visitors of `events` that have no name.
    pub(crate) fn name_visitors(&self, occasion: &Occasion<'_>, events: &mut [Event]) -> Result<(), Refusal> {
        match visitor::name(&*self.0.surroundings.salts, occasion, events) {
            Ok(named) => {
                if named {
                    note(&self.0.salts_are_well, || {
                        tracing::info!("visitors can be counted without cookies again")
                    });
                }
                Ok(())
            }
            Err(NoSalt) => {
                if self.0.salts_are_well.swap(false, Ordering::Relaxed) {
                    tracing::error!(
                        "this collector has no salt for today: visitors cannot be counted without cookies; answering 503"
                    );
                }
                Err(Refusal::CookielessUnavailable { retry_after: self.0.config.retry_after })
            }
        }
    }

    /// Appends an envelope and returns once the queue has it durably. What it takes in memory is `held` until then.
    ///
    /// A client that hangs up ends its request, not the append: it either happens whole, and the events count once
    /// when they are sent again, or it fails for a reason that is ours to see.
    pub(crate) async fn append(&self, envelope: QueuedEnvelope, held: Held) -> Result<(), Refusal> {
        let queue = Arc::clone(&self.0.surroundings.queue);
        let append = Outliving::new(&self.0.appends, async move {
            let _held = held;
            queue.append(&envelope).await
        });
        let retry_after = self.0.config.retry_after;
        let error = match tokio::time::timeout(self.0.config.append_timeout, append).await {
            Ok(Ok(())) => {
                self.0.fullness.end();
                note(&self.0.queue_is_well, || tracing::info!("the queue takes envelopes again"));
                return Ok(());
            }
            Ok(Err(error)) => error,
            Err(elapsed) => unavailable(elapsed),
        };
        // Of a spool that is full while the queue is away, the queue's backlog says nothing.
        let is_away = self.0.surroundings.queue.spool().is_some_and(|spool| spool.is_away);
        if matches!(error, QueueError::Full { .. }) && !is_away {
            self.0.fullness.begin();
        }
        if self.0.queue_is_well.swap(false, Ordering::Relaxed) {
            tracing::error!(%error, source = source(&error), "the queue takes no envelopes; answering 503");
        }
        Err(match error {
            QueueError::Full { .. } => Refusal::QueueFull { retry_after },
            // Too large once encoded: half of it may fit, the same again never will.
            QueueError::Corrupt { .. } => Refusal::BodyTooLarge,
            QueueError::Unavailable { .. } | QueueError::Closed => Refusal::QueueUnavailable { retry_after },
        })
    }
}

/// Says once that something works again: a line for each request would bury the one that matters.
fn note(is_well: &AtomicBool, say: impl FnOnce()) {
    if !is_well.load(Ordering::Relaxed) && !is_well.swap(true, Ordering::Relaxed) {
        say();
    }
}

fn unavailable(source: impl std::error::Error + Send + Sync + 'static) -> QueueError {
    QueueError::Unavailable { doing: "append", source: Box::new(source) }
}

fn source(error: &dyn std::error::Error) -> String {
    error.source().map(ToString::to_string).unwrap_or_default()
}
