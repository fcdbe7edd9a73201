//! The queue in Redis Streams: any number of collectors and processors, on as many machines.
//!
//! One stream, one consumer group. Whatever belongs together is one script: the entry and the byte
//! counter, the ack and the deletion, the dead letter and the ack. Redis may go away and come back at any
//! time, empty even: connections, scripts and the group are made anew when they are found missing.

mod facts;
mod group;
mod link;
mod reader;
mod scripts;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, RedisError, RedisResult, ScriptInvocation};
use tallymark_protocol::UnixMs;

use self::link::Link;
use self::reader::{RawEntry, STEP_ENTRIES, deliver, stream_id};
use self::scripts::{Keys, Scripts};
use crate::encoded::REASON_BYTES_MAX;
use crate::{Backlog, BatchLimit, DeadLetter, Delivery, EncodedEnvelope, Handle, Queue, QueueError};

pub use self::facts::RedisFacts;

/// The one consumer group: every entry goes to one processor.
const GROUP: &str = "processors";

/// Acks in one script: a bound on how long Redis is held up.
const ACKS_MAX: usize = 500;

/// How a queue in Redis is reached.
#[derive(Clone)]
pub struct RedisConfig {
    /// `redis://[user:password@]host[:port][/db]`
    pub url: String,
    /// What all keys begin with.
    pub prefix: String,
    /// Bytes that may wait in the stream; then appends are refused.
    pub backlog_bytes_max: u64,
    /// How long an answer may take. Redis answers in under a millisecond; what takes far longer is gone,
    /// and its connection is replaced.
    pub response_timeout: Duration,
}

impl RedisConfig {
    /// The defaults, at `url`: a gibibyte of backlog, which is memory in Redis.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            prefix: "tallymark:".to_owned(),
            backlog_bytes_max: 1 << 30,
            response_timeout: Duration::from_secs(5),
        }
    }
}

/// The queue in Redis Streams. One value is one consumer of the group.
pub struct RedisQueue {
    link: Link,
    response_timeout: Duration,
    scripts: Scripts,
    keys: Keys,
    consumer: String,
    backlog_bytes_max: u64,
    /// Connections for waiting reads. A read takes one and gives it back; a dropped read closes it, so
    /// that Redis does not deliver to somebody who stopped listening.
    waiting: Mutex<Vec<MultiplexedConnection>>,
    /// Where the next reclaim goes on.
    reclaim_cursor: Mutex<String>,
    swept: AtomicBool,
    closed: AtomicBool,
}

impl RedisQueue {
    /// A queue at `config.url`. Connects when it is first used, so that a Redis that is away does not keep
    /// a process from starting; [`RedisQueue::facts`] asks at once.
    ///
    /// # Errors
    /// [`QueueError::Corrupt`] when the URL is none; [`QueueError::Unavailable`] without randomness.
    pub fn new(config: &RedisConfig) -> Result<Self, QueueError> {
        let client = redis::Client::open(config.url.as_str())
            .map_err(|error| QueueError::Corrupt { detail: format!("this is no URL of a Redis: {error}") })?;
        let consumer = getrandom::u64()
            .map_err(|error| QueueError::unavailable("name the consumer", std::io::Error::other(error)))?;
        Ok(Self {
            link: Link::new(client, config.response_timeout),
            response_timeout: config.response_timeout,
            scripts: Scripts::new(),
            keys: Keys::new(&config.prefix, 0),
            consumer: format!("{consumer:016x}"),
            backlog_bytes_max: config.backlog_bytes_max,
            waiting: Mutex::default(),
            reclaim_cursor: Mutex::new("0-0".to_owned()),
            swept: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        })
    }

    /// Asks the server what it is.
    ///
    /// # Errors
    /// [`QueueError::Unavailable`].
    pub async fn facts(&self) -> Result<RedisFacts, QueueError> {
        let unavailable = |error| to_queue_error("ask Redis what it is", error);
        let mut linked = self.link.get().await.map_err(unavailable)?;
        match redis::cmd("INFO").query_async::<String>(&mut linked.connection).await {
            Ok(info) => Ok(RedisFacts::from_info(&info)),
            Err(error) => {
                self.link.report(&linked, &error).await;
                Err(unavailable(error))
            }
        }
    }

    fn check_open(&self) -> Result<(), QueueError> {
        if self.closed.load(Ordering::Acquire) { Err(QueueError::Closed) } else { Ok(()) }
    }

    /// Runs a script. Tried again once over a new connection where the old one was found broken, and once
    /// after making the group where it is missing: every script here may run twice.
    async fn run<T: FromRedisValue>(
        &self,
        doing: &'static str,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, QueueError> {
        let mut retried = (false, false);
        loop {
            let error = match self.try_run(script).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if error.code() == Some("NOGROUP") && !retried.0 {
                retried.0 = true;
                self.make_group().await.map_err(|error| to_queue_error(doing, error))?;
            } else if error.is_connection_dropped() && !error.is_connection_refusal() && !retried.1 {
                retried.1 = true;
            } else {
                return Err(to_queue_error(doing, error));
            }
        }
    }

    async fn try_run<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> RedisResult<T> {
        let mut linked = self.link.get().await?;
        let answer = script.invoke_async(&mut linked.connection).await;
        if let Err(error) = &answer {
            self.link.report(&linked, error).await;
        }
        answer
    }
}

#[async_trait]
impl Queue for RedisQueue {
    async fn append_encoded(&self, envelope: &EncodedEnvelope) -> Result<(), QueueError> {
        self.check_open()?;
        let mut script = self.scripts.append.prepare_invoke();
        script.key(&self.keys.stream).key(&self.keys.bytes);
        script.arg(self.backlog_bytes_max).arg(envelope.events()).arg(envelope.received_at().0);
        script.arg(&envelope.json()[..]);
        let appended: bool = self.run("append", &script).await?;
        if appended {
            return Ok(());
        }
        let detail = format!("{} bytes may wait in Redis, and nearly do", self.backlog_bytes_max);
        Err(QueueError::Full { detail })
    }

    async fn read(&self, limit: BatchLimit, linger: Duration) -> Result<Vec<Delivery>, QueueError> {
        self.check_open()?;
        let mut entries = self.take_new(limit).await?;
        if entries.is_empty() && !linger.is_zero() {
            entries.extend(self.wait_for_one(linger).await?);
            if !entries.is_empty() && limit.entries_max > 1 {
                let more = BatchLimit { entries_max: limit.entries_max - 1, ..limit };
                // What came is worth delivering, whatever happens to the rest.
                entries.extend(self.take_new(more).await.unwrap_or_default());
            }
        }
        deliver(self.keys.partition, entries).await
    }

    async fn ack(&self, handles: &[Handle]) -> Result<(), QueueError> {
        for handles in handles.chunks(ACKS_MAX) {
            let mut script = self.scripts.ack.prepare_invoke();
            script.key(&self.keys.stream).key(&self.keys.bytes).arg(GROUP);
            for handle in handles {
                script.arg(stream_id(*handle)).arg(handle.bytes);
            }
            let _freed_bytes: u64 = self.run("ack", &script).await?;
        }
        Ok(())
    }

    async fn reclaim(&self, limit: BatchLimit, idle: Duration) -> Result<Vec<Delivery>, QueueError> {
        self.check_open()?;
        let cursor = self.reclaim_cursor.lock().expect("nobody panics while holding the cursor").clone();
        let mut script = self.scripts.reclaim.prepare_invoke();
        script.key(&self.keys.stream).arg(GROUP).arg(&self.consumer);
        script.arg(u64::try_from(idle.as_millis()).unwrap_or(u64::MAX));
        script.arg(limit.entries_max).arg(limit.events_max).arg(limit.bytes_max).arg(STEP_ENTRIES);
        script.arg(cursor);
        let (cursor, entries): (String, Vec<RawEntry>) = self.run("reclaim", &script).await?;
        *self.reclaim_cursor.lock().expect("nobody panics while holding the cursor") = cursor;
        if !self.swept.swap(true, Ordering::Relaxed)
            && let Err(error) = self.sweep().await
        {
            tracing::warn!(%error, "cannot remove consumers that are gone; they are only untidy");
        }
        deliver(self.keys.partition, entries).await
    }

    async fn dead_letter(&self, handle: Handle, reason: &str) -> Result<(), QueueError> {
        let mut script = self.scripts.dead_letter.prepare_invoke();
        script.key(&self.keys.stream).key(&self.keys.bytes).key(&self.keys.dead).arg(GROUP);
        script.arg(stream_id(handle)).arg(handle.bytes);
        script.arg(&reason[..reason.floor_char_boundary(REASON_BYTES_MAX)]);
        let _set_aside: bool = self.run("set an entry aside", &script).await?;
        Ok(())
    }

    async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>, QueueError> {
        let mut script = self.scripts.dead_letters.prepare_invoke();
        script.key(&self.keys.dead).arg(limit);
        let found: Vec<(String, String, Bytes)> = self.run("read the dead letters", &script).await?;
        let partition = self.keys.partition;
        let letters = found.into_iter().map(|(id, reason, bytes)| DeadLetter {
            id: format!("{partition}:{id}"),
            reason,
            bytes,
        });
        Ok(letters.collect())
    }

    async fn backlog(&self) -> Result<Backlog, QueueError> {
        let mut script = self.scripts.backlog.prepare_invoke();
        script.key(&self.keys.stream).key(&self.keys.bytes).key(&self.keys.dead).arg(GROUP);
        let (entries, bytes, pending, dead_letters, oldest): (u64, u64, u64, u64, String) =
            self.run("count the backlog", &script).await?;
        let oldest_received_at = oldest.parse().ok().map(UnixMs);
        Ok(Backlog { entries, bytes, pending, dead_letters, oldest_received_at })
    }

    async fn close(&self) {
        if self.closed.swap(true, Ordering::AcqRel) {
            return;
        }
        self.waiting.lock().expect("nobody panics while holding the connections").clear();
        if let Err(error) = self.leave(&self.consumer).await {
            tracing::warn!(%error, "cannot leave the consumer group; another process removes this consumer later");
        }
        self.link.close().await;
    }
}

fn to_queue_error(doing: &'static str, error: RedisError) -> QueueError {
    if error.code() == Some("OOM") {
        return QueueError::Full { detail: "Redis is at its maxmemory".to_owned() };
    }
    QueueError::unavailable(doing, error)
}
