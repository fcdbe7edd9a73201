//! The salts that collectors share through Redis, where they are only ever sealed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redis::{Cmd, FromRedisValue, RedisError, RedisResult};
use tallymark_redis_link::Link;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::alive::Alive;
use super::{LOOK_EVERY, Now, Salt, Salts, Secret};
use crate::{RedisConfig, RegistryError, no_redis};

/// Salts on which all collectors agree that have the same secret.
///
/// Whoever is first makes a salt: the others take what Redis holds. While Redis is away, what is known stays; a Redis
/// that lost its memory is given back what a collector still knows.
pub struct RedisSalts {
    shared: Arc<Shared>,
    tasks: TaskTracker,
    /// Ends the looking when the salts are dropped.
    shutdown: DropGuard,
}

struct Shared {
    alive: Alive,
    secret: Secret,
    link: Link,
    config: RedisConfig,
    is_well: AtomicBool,
    is_readable: AtomicBool,
}

/// What Redis held.
enum Found {
    /// Salts, or nothing.
    Readable,
    /// Something that does not open under our secret.
    Unreadable { day: i32 },
}

impl RedisSalts {
    /// The salts in the Redis of `config`, sealed under `secret`. Connects in the background; must be called within a
    /// Tokio runtime, where a task makes, fetches and destroys salts until they are closed or dropped.
    ///
    /// # Errors
    /// [`RegistryError::NoRedis`] when `config` leads to no Redis, or a file that it names cannot be used.
    pub fn new(config: RedisConfig, secret: Secret, now: Now) -> Result<Self, RegistryError> {
        let shared = Arc::new(Shared {
            alive: Alive::new(now),
            secret,
            link: Link::new(config.link.clone()).map_err(no_redis)?,
            config,
            is_well: AtomicBool::new(true),
            is_readable: AtomicBool::new(true),
        });
        let (shutdown, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(shutdown.clone().run_until_cancelled_owned(Arc::clone(&shared).look_for_ever()));
        tasks.close();
        Ok(Self { shared, tasks, shutdown: shutdown.drop_guard() })
    }

    /// Ends the looking and waits until it has ended.
    pub async fn close(self) {
        drop(self.shutdown);
        self.tasks.wait().await;
    }
}

impl Salts for RedisSalts {
    fn salt(&self, day: i32) -> Option<Salt> {
        self.shared.alive.salt(day)
    }
}

impl Shared {
    async fn look_for_ever(self: Arc<Self>) {
        loop {
            // Whatever Redis does: what is to be dead is destroyed.
            self.alive.forget_dead();
            let looked = self.look().await;
            self.say(&looked);
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Takes what Redis holds, and puts there what it lacks: what is known here, or a new salt for today and tomorrow.
    /// None is made for a day that is over.
    async fn look(&self) -> RedisResult<Found> {
        let today = self.alive.today();
        let days = [today.saturating_sub(1), today, today.saturating_add(1)];
        let alive = days.into_iter().filter(|day| self.alive.lives_for(*day).is_some());
        let days: Vec<i32> = alive.collect();
        let keys: Vec<String> = days.iter().map(|day| self.key(*day)).collect();
        let sealed: Vec<Option<Vec<u8>>> = self.query(redis::cmd("MGET").arg(&keys)).await?;
        let mut all = Found::Readable;
        for (day, sealed) in days.into_iter().zip(sealed) {
            let found = match (sealed, self.alive.salt(day)) {
                (Some(sealed), _) => self.take(day, &sealed),
                (None, Some(salt)) => self.offer(day, salt).await?,
                (None, None) if day >= today => {
                    self.offer(day, Salt::random().map_err(no_randomness)?).await?
                }
                (None, None) => Found::Readable,
            };
            if let Found::Unreadable { .. } = found {
                all = found;
            }
        }
        Ok(all)
    }

    /// Puts a salt into Redis, unless another is there by now: then takes that.
    async fn offer(&self, day: i32, salt: Salt) -> RedisResult<Found> {
        let Some(lives_for) = self.alive.lives_for(day) else { return Ok(Found::Readable) };
        let sealed = self.secret.seal(day, &salt).map_err(no_randomness)?;
        let mut set = redis::cmd("SET");
        set.arg(self.key(day)).arg(sealed).arg("NX").arg("GET");
        set.arg("PX").arg(u64::try_from(lives_for.as_millis()).unwrap_or(u64::MAX));
        let other: Option<Vec<u8>> = self.query(&set).await?;
        Ok(match other {
            Some(other) => self.take(day, &other),
            None => {
                self.alive.learn(day, salt);
                Found::Readable
            }
        })
    }

    /// Takes what Redis holds for `day`.
    fn take(&self, day: i32, sealed: &[u8]) -> Found {
        let Some(salt) = self.secret.open(day, sealed) else { return Found::Unreadable { day } };
        let is_another = self.alive.salt(day).is_some_and(|known| known != salt);
        self.alive.learn(day, salt);
        if is_another {
            tracing::warn!(
                day,
                "Redis holds another salt for this day than before; its visitors count again"
            );
        }
        Found::Readable
    }

    /// Says what is wrong when it begins, and when it has ended.
    fn say(&self, looked: &RedisResult<Found>) {
        let was_well = self.is_well.swap(looked.is_ok(), Ordering::Relaxed);
        let todays_is_known = self.alive.salt(self.alive.today()).is_some();
        let found = match looked {
            Ok(found) => found,
            Err(error) if was_well => {
                return tracing::warn!(
                    %error,
                    todays_is_known,
                    "cannot share the salts of cookieless visitors; going on with those that are known"
                );
            }
            Err(_) => return, // said already
        };
        if !was_well {
            tracing::info!(todays_is_known, "the salts of cookieless visitors are shared again");
        }
        let is_readable = matches!(found, Found::Readable);
        let was_readable = self.is_readable.swap(is_readable, Ordering::Relaxed);
        match found {
            Found::Unreadable { day } if was_readable => tracing::error!(
                key = self.key(*day),
                todays_is_known,
                "a salt in Redis was not sealed under this collector's secret: give all collectors the same \
                 --secret-file and, after a change of it, delete the key. Until then cookieless events of that day are \
                 refused with 503"
            ),
            Found::Readable if !was_readable => {
                tracing::info!("the salts of cookieless visitors in Redis can be read");
            }
            _ => {}
        }
    }

    async fn query<T: FromRedisValue>(&self, command: &Cmd) -> RedisResult<T> {
        self.link.call(|mut connection| async move { command.query_async(&mut connection).await }).await
    }

    fn key(&self, day: i32) -> String {
        self.config.key(&format!("salt:{day}"))
    }
}

fn no_randomness(error: getrandom::Error) -> RedisError {
    std::io::Error::other(error).into()
}
