//! The queue in Redis Streams: any number of collectors and processors, on as many machines.
//!
//! One stream a partition, one consumer group. Whatever belongs together is one script: the entries and the byte
//! counter, the ack and the deletion, the dead letter and the ack. Redis may go away and come back at any
//! time, empty even: connections, scripts and groups are made anew when they are found missing.

mod append;
mod calls;
mod dead;
mod facts;
mod group;
mod partitions;
mod reader;
mod scripts;
mod wait;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tallymark_protocol::UnixMs;
use tallymark_redis_link::LinkConfig;

use self::append::Appender;
use self::calls::Calls;
use self::partitions::Partitions;
use self::reader::stream_id;
use self::wait::Waiting;
use crate::{
    Backlog, BatchLimit, DEAD_LETTERS_BYTES_MAX, DeadLetter, DeadLetterId, Delivery, EncodedEnvelope, Handle,
    Queue, QueueError,
};

pub use self::facts::{AppendFsync, Durability, RedisFacts};
pub use self::partitions::PARTITIONS_MAX;

/// The one consumer group: every entry goes to one processor.
const GROUP: &str = "processors";

/// Acks in one script: a bound on how long Redis is held up.
const ACKS_MAX: usize = 500;

/// How a queue in Redis is reached, and how much it may hold.
#[derive(Clone, Debug)]
pub struct RedisConfig {
    /// Where it is.
    pub link: LinkConfig,
    /// What all keys begin with.
    pub prefix: String,
    /// Streams that appends are spread over, at most [`PARTITIONS_MAX`]: so that a Redis Cluster spreads them over its
    /// nodes. Whoever was told fewer reads them all the same, and for ever.
    pub partitions: u16,
    /// Bytes that may wait, shared out evenly among the partitions; then appends are refused.
    pub backlog_bytes_max: u64,
    /// Bytes of dead letters that are kept; beyond it entries that cannot be processed stay pending.
    pub dead_letters_bytes_max: u64,
}

impl RedisConfig {
    /// The defaults, at `url`: one partition and a gibibyte of backlog, which is memory in Redis.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self::at(LinkConfig::new(url))
    }

    /// The defaults, reached by `link`.
    #[must_use]
    pub fn at(link: LinkConfig) -> Self {
        Self {
            link,
            prefix: "tallymark:".to_owned(),
            partitions: 1,
            backlog_bytes_max: 1 << 30,
            dead_letters_bytes_max: DEAD_LETTERS_BYTES_MAX,
        }
    }
}

/// The queue in Redis Streams. One value is one consumer of the group.
pub struct RedisQueue {
    calls: Arc<Calls>,
    partitions: Arc<Partitions>,
    appender: Appender,
    /// The partition that the next append goes to.
    append_turn: AtomicUsize,
    /// The partition that the next read begins with.
    read_turn: AtomicUsize,
    waiting: Waiting,
    consumer: String,
    dead_letters_bytes_max: u64,
    swept: AtomicBool,
    closed: AtomicBool,
}

impl RedisQueue {
    /// A queue at `config.link`. Connects when it is first used, so that a Redis that is away does not keep
    /// a process from starting; [`RedisQueue::facts`] asks at once.
    ///
    /// # Errors
    /// [`QueueError::Corrupt`] when the URL is none or a file is missing; [`QueueError::Unavailable`] without randomness.
    pub fn new(config: &RedisConfig) -> Result<Self, QueueError> {
        let calls = Calls::new(config.link.clone())
            .map_err(|error| QueueError::Corrupt { detail: format!("this is no way to a Redis: {error}") })?;
        let consumer = getrandom::u64()
            .map_err(|error| QueueError::unavailable("name the consumer", std::io::Error::other(error)))?;
        let calls = Arc::new(calls);
        let partitions = Arc::new(Partitions::new(&config.prefix, config.partitions));
        Ok(Self {
            appender: Appender::new(Arc::clone(&calls), Arc::clone(&partitions), config.backlog_bytes_max),
            calls,
            partitions,
            append_turn: AtomicUsize::new(0),
            read_turn: AtomicUsize::new(0),
            waiting: Waiting::default(),
            consumer: format!("{consumer:016x}"),
            dead_letters_bytes_max: config.dead_letters_bytes_max,
            swept: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        })
    }

    fn check_open(&self) -> Result<(), QueueError> {
        if self.closed.load(Ordering::Acquire) { Err(QueueError::Closed) } else { Ok(()) }
    }
}

#[async_trait]
impl Queue for RedisQueue {
    async fn append_encoded(&self, envelope: &EncodedEnvelope) -> Result<(), QueueError> {
        self.check_open()?;
        let turn = self.append_turn.fetch_add(1, Ordering::Relaxed);
        let partitions = usize::from(self.partitions.configured());
        let mut answer = self.appender.append(turn % partitions, envelope.clone()).await;
        // One partition's share may be used up while others have room.
        for other in 1..partitions {
            if !matches!(answer, Err(QueueError::Full { .. })) {
                break;
            }
            answer = self.appender.append((turn + other) % partitions, envelope.clone()).await;
        }
        answer
    }

    async fn read(&self, limit: BatchLimit, linger: Duration) -> Result<Vec<Delivery>, QueueError> {
        self.check_open()?;
        self.take_new(limit, linger).await
    }

    async fn ack(&self, handles: &[Handle]) -> Result<(), QueueError> {
        let mut by_partition = BTreeMap::<u16, Vec<Handle>>::new();
        for handle in handles {
            by_partition.entry(handle.partition).or_default().push(*handle);
        }
        for (number, handles) in by_partition {
            let partition = self.partitions.of(number);
            for handles in handles.chunks(ACKS_MAX) {
                let keys = &partition.keys;
                let mut script = self.calls.scripts.ack.prepare_invoke();
                script.key(&keys.stream).key(&keys.bytes).key(&keys.tries).arg(GROUP);
                for handle in handles {
                    script.arg(stream_id(*handle)).arg(handle.bytes);
                }
                let _freed_bytes: u64 = self.calls.run("ack", keys, &script).await?;
            }
        }
        Ok(())
    }

    async fn reclaim(&self, limit: BatchLimit, idle: Duration) -> Result<Vec<Delivery>, QueueError> {
        self.check_open()?;
        let deliveries = self.take_over(limit, idle).await?;
        if !self.swept.swap(true, Ordering::Relaxed)
            && let Err(error) = self.sweep().await
        {
            tracing::warn!(%error, "cannot remove consumers that are gone; they are only untidy");
        }
        Ok(deliveries)
    }

    async fn begin_alone(&self, handle: Handle) -> Result<u32, QueueError> {
        self.count_alone(handle).await
    }

    async fn withdraw_alone(&self, handle: Handle) -> Result<(), QueueError> {
        self.uncount_alone(handle).await
    }

    async fn dead_letter(&self, handle: Handle, reason: &str, now: UnixMs) -> Result<(), QueueError> {
        self.bury(handle, reason, now).await
    }

    async fn dead_letters(
        &self,
        after: Option<DeadLetterId>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, QueueError> {
        self.list_dead(after, limit).await
    }

    async fn replay(&self, ids: &[DeadLetterId]) -> Result<usize, QueueError> {
        self.put_back(ids).await
    }

    async fn backlog(&self) -> Result<Backlog, QueueError> {
        self.count_backlog().await
    }

    async fn close(&self) {
        if self.closed.swap(true, Ordering::AcqRel) {
            return;
        }
        self.appender.close().await;
        self.waiting.clear();
        if let Err(error) = self.leave_all(&self.consumer).await {
            tracing::warn!(%error, "cannot leave the consumer group; another process removes this consumer later");
        }
        self.calls.link.close().await;
    }
}
