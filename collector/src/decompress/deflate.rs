//! Gzip, and the two things that are called deflate.

use flate2::{Decompress, FlushDecompress, Status};

use super::{Coding, DecompressError, Output, STREAMS_MAX};

/// The largest window of the format, 32 KiB.
const WINDOW_BITS: u8 = 15;

/// Whether `body` begins like RFC 1950: the method in four bits, and a sum that fits.
pub(super) fn has_zlib_header(body: &[u8]) -> bool {
    let [method, flags, ..] = *body else { return false };
    method & 0x0f == 8 && method >> 4 <= 7 && u16::from_be_bytes([method, flags]) % 31 == 0
}

/// One gzip stream, or several after one another.
pub(super) fn gzip(body: &[u8], output: &mut Output) -> Result<(), DecompressError> {
    let mut rest = body;
    for _ in 0..STREAMS_MAX {
        let read = inflate(Decompress::new_gzip(WINDOW_BITS), Coding::Gzip, rest, output)?;
        rest = &rest[read..];
        if rest.is_empty() {
            return Ok(());
        }
    }
    Err(Coding::Gzip.corrupt("it consists of too many streams"))
}

/// What `Content-Encoding: deflate` says is RFC 1950; what some clients send is RFC 1951.
pub(super) fn zlib_or_bare(body: &[u8], output: &mut Output) -> Result<(), DecompressError> {
    let stream = Decompress::new(has_zlib_header(body));
    if inflate(stream, Coding::Deflate, body, output)? == body.len() {
        Ok(())
    } else {
        Err(Coding::Deflate.corrupt("it goes on after its end"))
    }
}

/// Reads one stream to its end. Returns how much of `input` it took.
fn inflate(
    mut stream: Decompress,
    coding: Coding,
    input: &[u8],
    output: &mut Output,
) -> Result<usize, DecompressError> {
    let mut read = 0;
    loop {
        let made = output.len();
        let status = stream
            .decompress_vec(&input[read..], output.with_room()?, FlushDecompress::None)
            .map_err(|_| coding.corrupt("it is damaged"))?;
        let took = usize::try_from(stream.total_in()).expect("no more than the body") - read;
        read += took;
        output.check()?;
        match status {
            Status::StreamEnd => return Ok(read),
            Status::Ok | Status::BufError if took == 0 && output.len() == made => {
                return Err(coding.corrupt("it ends too early"));
            }
            Status::Ok | Status::BufError => {}
        }
    }
}
