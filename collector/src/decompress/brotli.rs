//! Brotli.

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};

use super::{Coding, DecompressError, Output};

/// What is made at once.
const PIECE_BYTES: usize = 16 * 1024;

/// Reads the stream that `body` is. Windows larger than the format's 16 MiB are refused; a window grows with what is
/// really in it.
pub(super) fn decompress(body: &[u8], output: &mut Output) -> Result<(), DecompressError> {
    let alloc = StandardAlloc::default;
    let mut state = BrotliState::new_strict(alloc(), alloc(), alloc());
    let (mut left, mut read, mut total) = (body.len(), 0, 0);
    let mut piece = [0; PIECE_BYTES];
    loop {
        let (mut room, mut made) = (PIECE_BYTES, 0);
        let result = BrotliDecompressStream(
            &mut left, &mut read, body, &mut room, &mut made, &mut piece, &mut total, &mut state,
        );
        output.extend(&piece[..made])?;
        match result {
            BrotliResult::ResultSuccess if left == 0 => return Ok(()),
            BrotliResult::ResultSuccess => return Err(Coding::Brotli.corrupt("it goes on after its end")),
            BrotliResult::NeedsMoreInput => return Err(Coding::Brotli.corrupt("it ends too early")),
            BrotliResult::NeedsMoreOutput if made == 0 => return Err(Coding::Brotli.corrupt("it is damaged")),
            BrotliResult::NeedsMoreOutput => {}
            BrotliResult::ResultFailure => return Err(Coding::Brotli.corrupt("it is damaged")),
        }
    }
}
