//! Daily salts: what an address is hashed under before it is dropped. When a salt is gone, nobody can tell
//! any more which hash was whose, not even with the addresses at hand.

use std::fmt;

/// Random bytes that live for one UTC day and two hours.
#[derive(Clone, PartialEq, Eq)]
pub struct Salt(pub [u8; 32]);

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
