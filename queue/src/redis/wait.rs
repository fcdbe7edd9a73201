//! Waiting until there is something to read in any partition.
//!
//! Each partition has a connection on which a plain XREAD blocks, behind the last entry that was delivered. It takes
//! nothing: an entry that arrives in two partitions at once, or for a reader that has stopped listening, would otherwise
//! be pending with nobody until it is reclaimed. What an answer is about is then taken as always.

use std::sync::Mutex;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, select_all};
use redis::aio::MultiplexedConnection;
use redis::{RedisError, RedisResult};
use tokio::time::{Instant, timeout, timeout_at};

use super::RedisQueue;
use super::calls::to_queue_error;
use super::reader::Empty;
use crate::QueueError;

/// How long an XREAD blocks before it is sent anew.
const BLOCK: Duration = Duration::from_secs(5);

/// An XREAD under way. It goes on when its reader got something elsewhere, for the next one that waits.
struct Waiter {
    partition: u16,
    /// Of the link: when the shared connection was replaced, a waiter's may lead to a server that takes no writes.
    generation: u64,
    answer: BoxFuture<'static, RedisResult<MultiplexedConnection>>,
}

/// Connections for waiting.
#[derive(Default)]
pub(super) struct Waiting {
    under_way: Mutex<Vec<Waiter>>,
    idle: Mutex<Vec<(u64, MultiplexedConnection)>>,
}

impl Waiting {
    /// Closes the connections.
    pub(super) fn clear(&self) {
        self.under_way.lock().expect("nobody panics while holding the waiters").clear();
        self.idle.lock().expect("nobody panics while holding the connections").clear();
    }

    fn take(&self, partition: u16, generation: u64) -> Option<Waiter> {
        let mut under_way = self.under_way.lock().expect("nobody panics while holding the waiters");
        under_way.retain(|waiter| waiter.generation == generation);
        let found = under_way.iter().position(|waiter| waiter.partition == partition)?;
        Some(under_way.swap_remove(found))
    }

    fn take_idle(&self, generation: u64) -> Option<MultiplexedConnection> {
        let mut idle = self.idle.lock().expect("nobody panics while holding the connections");
        idle.retain(|(of, _)| *of == generation);
        idle.pop().map(|(_, connection)| connection)
    }
}

impl RedisQueue {
    /// Waits until there may be something in one of `empty`. `false` when there was nothing `until` then.
    pub(super) async fn wait_for_any(&self, empty: &[Empty], until: Instant) -> Result<bool, QueueError> {
        let unavailable = |error| to_queue_error("wait for entries", error);
        let generation = self.calls.link.generation();
        let mut waiters = Vec::with_capacity(empty.len());
        for empty in empty {
            waiters.push(match self.waiting.take(empty.partition.keys.partition, generation) {
                Some(waiter) => waiter,
                None => self.start_waiting(empty, generation).await.map_err(unavailable)?,
            });
        }
        let any = select_all(waiters.iter_mut().map(|waiter| &mut waiter.answer));
        let answered = timeout_at(until, any).await.map(|(answer, number, _)| (answer, number));
        let answer = match answered {
            Ok((answer, number)) => {
                waiters.swap_remove(number);
                answer.map(|connection| (true, Some(connection)))
            }
            Err(_) => Ok((false, None)),
        };
        // After an error the others are dropped, too: what befell one connection has befallen them.
        let (is_there, connection) = answer.map_err(unavailable)?;
        self.waiting.under_way.lock().expect("nobody panics while holding the waiters").extend(waiters);
        if let Some(connection) = connection {
            let mut idle = self.waiting.idle.lock().expect("nobody panics while holding the connections");
            idle.push((generation, connection));
        }
        Ok(is_there)
    }

    async fn start_waiting(&self, empty: &Empty, generation: u64) -> RedisResult<Waiter> {
        let mut connection = match self.waiting.take_idle(generation) {
            Some(connection) => connection,
            None => self.calls.link.own().await?,
        };
        let keys = &empty.partition.keys;
        let mut command = redis::cmd("XREAD");
        command.arg("COUNT").arg(1).arg("BLOCK").arg(u64::try_from(BLOCK.as_millis()).unwrap_or(u64::MAX));
        command.arg("STREAMS").arg(&keys.stream).arg(&empty.behind);
        let answer_within = BLOCK + self.calls.link.response_timeout();
        let answer = async move {
            let answer = command.query_async::<redis::Value>(&mut connection);
            match timeout(answer_within, answer).await {
                Ok(answer) => answer.map(|_| connection),
                Err(elapsed) => Err(RedisError::from(std::io::Error::from(elapsed))),
            }
        };
        Ok(Waiter { partition: keys.partition, generation, answer: answer.boxed() })
    }
}
