//! Appends: those that wait while a script is under way go out together in the next one.
//!
//! A lone append goes at once. Under load a script carries as many as came while Redis was busy with the last one, so
//! that round trips, and with `appendfsync always` syncs, are shared. Each append still gets an answer of its own.

use std::sync::{Arc, OnceLock};

use redis::{Cmd, RedisResult};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::calls::{Calls, to_queue_error};
use super::partitions::{Partition, Partitions};
use crate::{EncodedEnvelope, QueueError};

/// Envelopes in one script: a bound on how long Redis is held up, about a millisecond.
const SCRIPT_APPENDS_MAX: usize = 256;

/// Bytes after which a script takes no more, for the same reason.
const SCRIPT_BYTES_MAX: usize = 1024 * 1024;

/// Appends that wait for the next script; further ones wait for their turn to wait.
const WAITING_MAX: usize = 4 * SCRIPT_APPENDS_MAX;

/// What an argument costs beside its bytes, on the wire.
const ARGUMENT_BYTES: usize = 16;

/// An append on its way to Redis.
struct Append {
    envelope: EncodedEnvelope,
    reply: oneshot::Sender<Result<(), QueueError>>,
}

/// The way into all partitions that this process appends to.
pub(super) struct Appender {
    calls: Arc<Calls>,
    partitions: Arc<Partitions>,
    /// What may wait in one partition: an equal share.
    share_bytes_max: u64,
    /// Started with a partition's first append: a processor has none.
    writers: Box<[OnceLock<mpsc::Sender<Append>>]>,
    tasks: TaskTracker,
    closing: CancellationToken,
}

impl Appender {
    pub(super) fn new(calls: Arc<Calls>, partitions: Arc<Partitions>, backlog_bytes_max: u64) -> Self {
        let configured = partitions.configured();
        Self {
            calls,
            share_bytes_max: backlog_bytes_max / u64::from(configured),
            writers: (0..configured).map(|_| OnceLock::new()).collect(),
            partitions,
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
        }
    }

    /// Appends to the partition `number`. A dropped call appends the whole envelope or nothing.
    pub(super) async fn append(&self, number: usize, envelope: EncodedEnvelope) -> Result<(), QueueError> {
        let started_at = Instant::now();
        let (reply, answer) = oneshot::channel();
        let writer = self.writers[number].get_or_init(|| self.start(number));
        writer.send(Append { envelope, reply }).await.map_err(|_| QueueError::Closed)?;
        let answer = answer.await.unwrap_or(Err(QueueError::Closed));
        metrics::histogram!("tallymark_queue_append_seconds").record(started_at.elapsed().as_secs_f64());
        answer
    }

    /// What may wait in one partition.
    pub(super) const fn share_bytes_max(&self) -> u64 {
        self.share_bytes_max
    }

    /// Lets the appends under way end, and takes no more.
    pub(super) async fn close(&self) {
        self.closing.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn start(&self, number: usize) -> mpsc::Sender<Append> {
        let (sender, appends) = mpsc::channel(WAITING_MAX);
        let writer = Writer {
            calls: Arc::clone(&self.calls),
            partition: Arc::clone(&self.partitions.known()[number]),
            partitions: Arc::clone(&self.partitions),
            bytes_max: self.share_bytes_max,
            closing: self.closing.clone(),
        };
        self.tasks.spawn(writer.run(appends));
        sender
    }
}

/// The one task that appends to a partition.
struct Writer {
    calls: Arc<Calls>,
    partitions: Arc<Partitions>,
    partition: Arc<Partition>,
    bytes_max: u64,
    closing: CancellationToken,
}

impl Writer {
    /// Works until the queue is closed or dropped.
    async fn run(self, mut appends: mpsc::Receiver<Append>) {
        loop {
            let first = tokio::select! {
                biased;
                first = appends.recv() => first,
                () = self.closing.cancelled(), if !appends.is_closed() => {
                    appends.close(); // what waits already is still appended
                    continue;
                }
            };
            let Some(first) = first else { return };
            let batch = collect(first, &mut appends);
            if batch.is_empty() {
                continue;
            }
            let answer = self.send(&batch).await;
            self.reply(batch, &answer);
        }
    }

    /// Sends `batch` as one script. Answers which were refused.
    async fn send(&self, batch: &[Append]) -> RedisResult<Vec<usize>> {
        if self.partitions.configured() > 1 {
            // Before there is something in a partition that readers do not know of.
            self.partitions.all(&self.calls).await?;
        }
        let command = self.command(batch);
        self.calls.run_command(&self.calls.scripts.append, &command).await
    }

    fn command(&self, batch: &[Append]) -> Cmd {
        let arguments = 6 + 3 * batch.len();
        let bytes: usize = batch.iter().map(|append| append.envelope.json().len()).sum();
        let mut command = Cmd::with_capacity(arguments, bytes + arguments * ARGUMENT_BYTES);
        let keys = &self.partition.keys;
        command
            .arg("EVALSHA")
            .arg(self.calls.scripts.append.get_hash())
            .arg(2)
            .arg(&keys.stream)
            .arg(&keys.bytes);
        command.arg(self.bytes_max);
        for Append { envelope, .. } in batch {
            command.arg(envelope.events()).arg(envelope.received_at().0).arg(&envelope.json()[..]);
        }
        command
    }

    fn reply(&self, batch: Vec<Append>, answer: &RedisResult<Vec<usize>>) {
        metrics::histogram!("tallymark_queue_appends_per_script").record(batch.len() as f64);
        let refused = answer.as_deref().unwrap_or_default();
        for (number, append) in batch.into_iter().enumerate() {
            let answer = match answer {
                Err(error) => Err(to_queue_error("append", error.clone())),
                Ok(_) if refused.contains(&number) => Err(self.full()),
                Ok(_) => Ok(()),
            };
            let _ = append.reply.send(answer); // whoever asked may have gone
        }
    }

    fn full(&self) -> QueueError {
        let detail = format!("{} bytes may wait in a partition in Redis, and nearly do", self.bytes_max);
        QueueError::Full { detail }
    }
}

/// Gathers the appends that wait already, up to the bounds of a script. Whoever gave up has put the envelope elsewhere
/// by now, and is passed over.
fn collect(first: Append, appends: &mut mpsc::Receiver<Append>) -> Vec<Append> {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    let mut next = Some(first);
    while let Some(append) = next {
        if !append.reply.is_closed() {
            bytes += append.envelope.json().len();
            batch.push(append);
        }
        let has_room = batch.len() < SCRIPT_APPENDS_MAX && bytes < SCRIPT_BYTES_MAX;
        next = if has_room { appends.try_recv().ok() } else { None };
    }
    batch
}
