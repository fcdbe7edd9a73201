//! Zstandard.

use std::io::Read as _;

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::{Coding, DecompressError, Output, STREAMS_MAX};

/// The largest window that is made: what RFC 8878 asks every decoder for, and no more.
const WINDOW_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// What is taken out at once.
const PIECE_BYTES: usize = 16 * 1024;

/// Reads the frames that `body` consists of.
pub(super) fn decompress(body: &[u8], output: &mut Output) -> Result<(), DecompressError> {
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(WINDOW_BYTES_MAX);
    let mut rest = body;
    for _ in 0..STREAMS_MAX {
        match decoder.init(&mut rest) {
            Ok(()) => frame(&mut decoder, &mut rest, output)?,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length, ..
            })) => {
                let skipped = usize::try_from(length).ok().and_then(|length| rest.get(length..));
                rest = skipped.ok_or_else(|| Coding::Zstd.corrupt("it ends too early"))?;
            }
            Err(FrameDecoderError::WindowSizeTooBig { .. }) => return Err(DecompressError::TooLarge),
            Err(_) => return Err(Coding::Zstd.corrupt("its header is damaged")),
        }
        if rest.is_empty() {
            return Ok(());
        }
    }
    Err(Coding::Zstd.corrupt("it consists of too many frames"))
}

/// Reads one frame block by block, so that what waits in the decoder is a window and a block.
fn frame(decoder: &mut FrameDecoder, rest: &mut &[u8], output: &mut Output) -> Result<(), DecompressError> {
    let damaged = || Coding::Zstd.corrupt("it is damaged, or ends too early");
    let mut piece = [0; PIECE_BYTES];
    while !decoder.is_finished() || decoder.can_collect() > 0 {
        if !decoder.is_finished() {
            decoder.decode_blocks(&mut *rest, BlockDecodingStrategy::UptoBlocks(1)).map_err(|_| damaged())?;
        }
        while decoder.can_collect() > 0 {
            let made = decoder.read(&mut piece).map_err(|_| damaged())?;
            output.extend(&piece[..made])?;
        }
    }
    if decoder.get_checksum_from_data().is_some_and(|sum| decoder.get_calculated_checksum() != Some(sum)) {
        return Err(Coding::Zstd.corrupt("its checksum differs"));
    }
    Ok(())
}
