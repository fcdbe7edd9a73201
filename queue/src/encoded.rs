//! An envelope in the form in which it is stored, made once.

use bytes::Bytes;
use tallymark_protocol::UnixMs;
use uuid::Uuid;

use crate::dead_letter::Head;
use crate::{ENTRY_VERSION, QueueError, QueuedEnvelope, Undecodable};

/// The largest encoded envelope. A body of the largest size grows when ids and defaults are written out;
/// what is larger than this was not made by a collector, and a reader that meets such a length meets damage.
pub(crate) const ENTRY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The longest reason kept with a dead letter; errors that quote their input can be long.
pub(crate) const REASON_BYTES_MAX: usize = 2_048;

/// An encoded envelope: JSON, and what a queue needs to know without reading it. Clones share the bytes.
#[derive(Clone, Debug)]
pub struct EncodedEnvelope {
    envelope_id: Uuid,
    received_at: UnixMs,
    events: u32,
    json: Bytes,
}

impl EncodedEnvelope {
    /// Encodes `envelope`.
    ///
    /// # Errors
    /// [`QueueError::Corrupt`] when it is too large to be an envelope of a collector.
    pub fn encode(envelope: &QueuedEnvelope) -> Result<Self, QueueError> {
        let json = serde_json::to_vec(envelope).map_err(|error| QueueError::Corrupt {
            detail: format!("cannot encode the envelope: {error}"),
        })?;
        if json.len() > ENTRY_BYTES_MAX {
            let detail =
                format!("the envelope has {} bytes; at most {ENTRY_BYTES_MAX} are queued", json.len());
            return Err(QueueError::Corrupt { detail });
        }
        Ok(Self {
            envelope_id: envelope.envelope_id,
            received_at: envelope.received_at,
            events: u32::try_from(envelope.events.len()).unwrap_or(u32::MAX),
            json: Bytes::from(json),
        })
    }

    /// An entry as it was stored once, of whatever version.
    pub(crate) fn from_stored(json: Bytes) -> Self {
        let Head { envelope_id, received_at, events, .. } = Head::read(&json);
        Self {
            envelope_id: envelope_id.unwrap_or_default(),
            received_at: received_at.unwrap_or(UnixMs(0)),
            events: u32::try_from(events.len()).unwrap_or(u32::MAX),
            json,
        }
    }

    /// The envelope's id.
    #[must_use]
    pub const fn envelope_id(&self) -> Uuid {
        self.envelope_id
    }

    /// The collector's time.
    #[must_use]
    pub const fn received_at(&self) -> UnixMs {
        self.received_at
    }

    /// How many accepted events it holds.
    #[must_use]
    pub const fn events(&self) -> u32 {
        self.events
    }

    /// The entry as it is stored.
    #[must_use]
    pub const fn json(&self) -> &Bytes {
        &self.json
    }
}

/// Reads an entry as it was stored by this version or an earlier one.
pub(crate) fn decode(bytes: Bytes) -> Result<QueuedEnvelope, Undecodable> {
    // A panic here would take the neighbours in the batch along, at every delivery.
    let read = std::panic::catch_unwind(|| serde_json::from_slice::<QueuedEnvelope>(&bytes));
    let read = read.unwrap_or_else(|_| Err(serde::de::Error::custom("reading it panicked")));
    match read {
        Ok(envelope) if envelope.v <= ENTRY_VERSION => Ok(envelope),
        Ok(envelope) => {
            let error = format!("it has the form {}; this version reads up to {ENTRY_VERSION}", envelope.v);
            Err(Undecodable { bytes, error })
        }
        Err(error) => Err(Undecodable { bytes, error: error.to_string() }),
    }
}
