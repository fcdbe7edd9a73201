//! Ids: what makes two events the same event.

use uuid::Uuid;

use crate::UnixMs;

/// The instant inside a `UUIDv7`; `None` for every other version.
#[must_use]
pub fn time_in_v7(id: Uuid) -> Option<UnixMs> {
    if id.get_version_num() != 7 {
        return None;
    }
    let millis = id.as_u128() >> 80;
    i64::try_from(millis).ok().map(UnixMs)
}

/// A client's text as a UUID: itself where it is one, else a `UUIDv5` of it within `namespace`, the same
/// each time.
#[cfg(feature = "decode")]
#[must_use]
pub fn uuid_from_text(namespace: Uuid, text: &str) -> Uuid {
    Uuid::try_parse(text).unwrap_or_else(|_| Uuid::new_v5(&namespace, text.as_bytes()))
}

/// The id of an event that named itself `text`.
#[cfg(feature = "decode")]
#[must_use]
pub fn event_id(text: &str) -> Uuid {
    /// Namespace of events' ids that are no UUIDs; random, and never to change.
    const EVENTS: Uuid = Uuid::from_u128(0x5a0d_9a3e_52f1_4c08_9d6b_7c1e_0b8a_4e21);
    uuid_from_text(EVENTS, text)
}

#[cfg(all(test, feature = "decode"))]
mod tests {
    use super::*;

    #[test]
    fn only_version_seven_holds_a_time() {
        let v7 = Uuid::try_parse("0190163d-8694-739b-aea5-966c26f8ad91").expect("a v7");
        assert_eq!(time_in_v7(v7), Some(UnixMs(0x0190_163d_8694)));
        assert_eq!(time_in_v7(Uuid::from_u128(0)), None);
    }

    #[test]
    fn text_ids_are_stable_and_uuids_are_themselves() {
        let uuid = Uuid::from_u128(42);
        assert_eq!(event_id(&uuid.to_string()), uuid);
        assert_eq!(event_id("order-17"), event_id("order-17"));
        assert_ne!(event_id("order-17"), event_id("order-18"));
    }
}
