//! From a body's bytes to its events: decompressed, then decoded, on a worker where that is quick and beside it where
//! it is not.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tallymark_protocol::{Arrival, Decoded, EnvelopeError, UnixMs};

use crate::Collector;
use crate::budget::{Exhausted, Held};
use crate::decompress::{Coding, DecompressError, decompress};
use crate::envelope_id::uuid_v7;
use crate::refusal::Refusal;

/// Bodies up to this size are decoded on the spot, in well under a millisecond.
const DECODE_INLINE_BYTES_MAX: usize = 64 * 1024;

/// Compressed bodies up to this size are decompressed on the spot: even one that was made to harm becomes no larger than
/// a worker makes in a millisecond.
const DECOMPRESS_INLINE_BYTES_MAX: usize = 8 * 1024;

/// How long a large body may wait for its turn.
const TURN_TIMEOUT: Duration = Duration::from_secs(10);

impl Collector {
    /// The events of a body that is compressed as its headers or its first bytes say. What it becomes is added to `held`.
    ///
    /// # Errors
    /// What is wrong with the body, or [`Refusal::Busy`].
    pub(crate) async fn unpack(
        &self,
        body: Bytes,
        declared: Option<Coding>,
        held: &mut Held,
        received_at: UnixMs,
    ) -> Result<Decoded, Refusal> {
        let body = match declared.or_else(|| Coding::of_first_bytes(&body)) {
            None => body,
            Some(coding) => {
                let is_small = body.len() <= DECOMPRESS_INLINE_BYTES_MAX;
                let decompress = move || decompress(coding, &body).map_err(unreadable);
                let body = if is_small { decompress()? } else { self.beside(decompress).await? };
                held.add(body.len()).map_err(|Exhausted| self.busy())?;
                Bytes::from(body)
            }
        };
        if body.len() <= DECODE_INLINE_BYTES_MAX {
            decode(&body, received_at)
        } else {
            self.beside(move || decode(&body, received_at)).await
        }
    }

    /// Does `work` on a thread that may be blocked, when it is its turn: each holds the memory of a decoder.
    async fn beside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let turn = Arc::clone(self.turns()).acquire_owned();
        let turn = tokio::time::timeout(TURN_TIMEOUT, turn).await.map_err(|_| self.busy())?;
        let done = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        // Neither decoder panics; if one did, this body could never work.
        done.await.unwrap_or_else(|_| {
            Err(Refusal::MalformedBody { detail: "the body cannot be decoded".to_owned() })
        })
    }
}

/// Reads the events of a body as it is without compression.
pub(crate) fn decode(body: &[u8], received_at: UnixMs) -> Result<Decoded, Refusal> {
    let arrival = Arrival { received_at, fresh_id: &mut || uuid_v7(received_at) };
    tallymark_protocol::decode(body, arrival).map_err(|error| match error {
        EnvelopeError::Malformed(_) => Refusal::MalformedBody { detail: error.to_string() },
        EnvelopeError::TooManyEvents { received } => Refusal::TooManyEvents { received },
    })
}

fn unreadable(error: DecompressError) -> Refusal {
    match error {
        DecompressError::Corrupt { .. } => Refusal::MalformedBody { detail: error.to_string() },
        DecompressError::TooLarge => Refusal::DecompressedTooLarge,
        DecompressError::RatioTooHigh => Refusal::RatioTooHigh,
    }
}
