//! What can become of an event: a closed list. Nothing leaves the path without a name from it.

/// What became of a received event. Received = accepted + duplicate + every discard, at all times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// Stored and counted.
    Accepted,
    /// An event with this id is stored already.
    Duplicate,
    /// Not counted, for a reason that the site's owner can look up.
    Discarded(DiscardReason),
}

/// Why an event was not counted. The names are metric labels, log fields and API strings: they stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DiscardReason {
    /// Not an object, or a field of the wrong type.
    MalformedEvent,
    /// No `name`.
    NameMissing,
    /// Longer than [`NAME_BYTES_MAX`](crate::limits::NAME_BYTES_MAX).
    NameTooLong,
    /// A client's id longer than [`ID_BYTES_MAX`](crate::limits::ID_BYTES_MAX).
    IdTooLong,
    /// A category or event source longer than [`LABEL_BYTES_MAX`](crate::limits::LABEL_BYTES_MAX).
    LabelTooLong,
    /// Properties that are not a JSON object, or hold a number or text that JSON has no meaning for.
    PropsInvalid,
    /// Larger than [`PROPS_BYTES_MAX`](crate::limits::PROPS_BYTES_MAX).
    PropsTooLarge,
    /// Nested deeper than [`PROPS_DEPTH_MAX`](crate::limits::PROPS_DEPTH_MAX).
    PropsTooDeep,
    /// Its day is further back than events are accepted, or was pruned already.
    TooLate,
    /// Its day lies in the future, or before there were clocks worth believing.
    ClockOutOfRange,
    /// The project has used its quota of events for this month.
    QuotaExceeded,
    /// Its event source is switched off.
    EventSourceOff,
    /// The project's owner keeps this address out.
    ShieldedAddress,
    /// The project's owner keeps this host out.
    ShieldedHostname,
    /// The project's owner keeps this path out.
    ShieldedPath,
    /// The project's owner keeps this user agent out.
    ShieldedUserAgent,
}

impl DiscardReason {
    /// Every reason, in the order of declaration.
    pub const ALL: [Self; 16] = [
        Self::MalformedEvent,
        Self::NameMissing,
        Self::NameTooLong,
        Self::IdTooLong,
        Self::LabelTooLong,
        Self::PropsInvalid,
        Self::PropsTooLarge,
        Self::PropsTooDeep,
        Self::TooLate,
        Self::ClockOutOfRange,
        Self::QuotaExceeded,
        Self::EventSourceOff,
        Self::ShieldedAddress,
        Self::ShieldedHostname,
        Self::ShieldedPath,
        Self::ShieldedUserAgent,
    ];

    /// The stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MalformedEvent => "malformed_event",
            Self::NameMissing => "name_missing",
            Self::NameTooLong => "name_too_long",
            Self::IdTooLong => "id_too_long",
            Self::LabelTooLong => "label_too_long",
            Self::PropsInvalid => "props_invalid",
            Self::PropsTooLarge => "props_too_large",
            Self::PropsTooDeep => "props_too_deep",
            Self::TooLate => "too_late",
            Self::ClockOutOfRange => "clock_out_of_range",
            Self::QuotaExceeded => "quota_exceeded",
            Self::EventSourceOff => "event_source_off",
            Self::ShieldedAddress => "shielded_address",
            Self::ShieldedHostname => "shielded_hostname",
            Self::ShieldedPath => "shielded_path",
            Self::ShieldedUserAgent => "shielded_user_agent",
        }
    }

    /// The reason of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name)
    }
}

impl Outcome {
    /// The stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::Discarded(reason) => reason.as_str(),
        }
    }
}

#[cfg(feature = "decode")]
impl serde::Serialize for DiscardReason {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(feature = "decode")]
impl<'de> serde::Deserialize<'de> for DiscardReason {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = <std::borrow::Cow<'_, str>>::deserialize(deserializer)?;
        Self::from_name(&name)
            .ok_or_else(|| serde::de::Error::custom(format!("unknown discard reason {name:?}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_found_by_its_name() {
        for reason in DiscardReason::ALL {
            assert_eq!(DiscardReason::from_name(reason.as_str()), Some(reason));
        }
    }
}
