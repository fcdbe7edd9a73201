//! Daily salts: what an address is hashed under before it is dropped. When a salt is gone, nobody can tell
//! any more which hash was whose, not even with the addresses at hand.
//!
//! A salt belongs to a UTC day. It is made the day before, so that it is at hand when the day begins, and lives
//! [`LIVES_ON`] beyond the day's end, for events that arrive late; then it is destroyed in memory, in the file and in
//! Redis.

mod alive;
mod local;
mod redis;
mod secret;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tallymark_protocol::UnixMs;
use zeroize::Zeroize;

pub use self::alive::LIVES_ON;
pub use self::local::LocalSalts;
pub use self::redis::RedisSalts;
pub use self::secret::{SECRET_BYTES_MAX, SECRET_BYTES_MIN, Secret, SecretError};

/// How often is looked which salts are due: to be made, to be shared, to be destroyed.
pub const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What time it is.
pub type Now = Arc<dyn Fn() -> UnixMs + Send + Sync>;

/// Random bytes that live for one UTC day and two hours.
#[derive(Clone, PartialEq, Eq)]
pub struct Salt(pub [u8; 32]);

impl Salt {
    fn random() -> Result<Self, getrandom::Error> {
        let mut salt = Self([0; 32]);
        getrandom::fill(&mut salt.0)?;
        Ok(salt)
    }
}

/// Nothing that is forgotten stays in memory.
impl Drop for Salt {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt(***)")
    }
}

/// The salts that are alive.
pub trait Salts: Send + Sync + 'static {
    /// The salt of a UTC day (days since 1970-01-01): the same in every collector. `None` where it is not known
    /// (yet), or is destroyed. Answers from memory.
    fn salt(&self, day: i32) -> Option<Salt>;
}

/// No salts at all: whoever needs one is refused.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSalts;

impl Salts for NoSalts {
    fn salt(&self, _day: i32) -> Option<Salt> {
        None
    }
}
