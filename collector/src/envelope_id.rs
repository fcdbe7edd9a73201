//! Ids made here: of envelopes, and of events that came without one.

use tallymark_protocol::UnixMs;
use uuid::{Builder, Uuid};

/// A `UUIDv7` of `now`. Its random part makes it unlike every other.
pub(crate) fn uuid_v7(now: UnixMs) -> Uuid {
    let mut random = [0; 10];
    getrandom::fill(&mut random).expect("an operating system that has started gives random bytes");
    let millis = u64::try_from(now.0).unwrap_or(0);
    Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_holds_its_time_and_is_like_no_other() {
        let now = UnixMs(1_763_622_005_123);
        let id = uuid_v7(now);
        assert_eq!(id.get_version_num(), 7);
        assert_eq!(tallymark_protocol::time_in_v7(id), Some(now));
        assert_ne!(id, uuid_v7(now));
    }
}
