//! What comes out, up to the bound.

use tallymark_protocol::limits::{COMPRESSION_FREE_BYTES, COMPRESSION_RATIO_MAX, DECOMPRESSED_BYTES_MAX};

use super::DecompressError;

/// Bytes made room for at first, as a multiple of what came: events seldom compress better.
const FIRST_GUESS: usize = 8;

/// Room is made in steps of at least this.
const STEP_BYTES: usize = 4 * 1024;

/// Bytes that have come out so far. They may pass the bound by what one step of a decoder makes, and no further.
pub(super) struct Output {
    bytes: Vec<u8>,
    bytes_max: usize,
}

impl Output {
    /// For a body that came with `compressed` bytes.
    pub(super) fn of(compressed: usize) -> Self {
        let by_ratio = compressed.saturating_mul(COMPRESSION_RATIO_MAX).max(COMPRESSION_FREE_BYTES);
        let bytes_max = by_ratio.min(DECOMPRESSED_BYTES_MAX);
        let first = compressed.saturating_mul(FIRST_GUESS).clamp(STEP_BYTES, bytes_max + 1);
        Self { bytes: Vec::with_capacity(first), bytes_max }
    }

    /// The bytes, with room for at least one more.
    ///
    /// # Errors
    /// When they are more than may be.
    pub(super) fn with_room(&mut self) -> Result<&mut Vec<u8>, DecompressError> {
        self.check()?;
        if self.bytes.len() == self.bytes.capacity() {
            let left = self.bytes_max + 1 - self.bytes.len();
            self.bytes.reserve_exact(self.bytes.len().max(STEP_BYTES).min(left));
        }
        Ok(&mut self.bytes)
    }

    /// How many bytes have come out.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Adds `more`.
    ///
    /// # Errors
    /// When they are more than may be.
    pub(super) fn extend(&mut self, more: &[u8]) -> Result<(), DecompressError> {
        self.bytes.extend_from_slice(more);
        self.check()
    }

    /// # Errors
    /// When the bytes are more than may be.
    pub(super) fn check(&self) -> Result<(), DecompressError> {
        if self.bytes.len() <= self.bytes_max {
            Ok(())
        } else if self.bytes_max == DECOMPRESSED_BYTES_MAX {
            Err(DecompressError::TooLarge)
        } else {
            Err(DecompressError::RatioTooHigh)
        }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}
