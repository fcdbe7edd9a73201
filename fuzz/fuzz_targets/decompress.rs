//! Any bytes as a compressed body: no panic, no more out of it than its bounds say, memory in bounds.
//!
//! The first byte chooses the coding; the rest is the body.

#![no_main]

mod memory;

use libfuzzer_sys::fuzz_target;
use tallymark_collector::{Coding, decompress};
use tallymark_protocol::limits::{COMPRESSION_FREE_BYTES, COMPRESSION_RATIO_MAX, DECOMPRESSED_BYTES_MAX};

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

const CODINGS: [Coding; 4] = [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd];

/// What decoding may hold at once: the output while it grows, twice, and the largest window of any coding (brotli's
/// 16 MiB) with its tables.
const MEMORY_BYTES_MAX: usize = 2 * DECOMPRESSED_BYTES_MAX + 24 * 1024 * 1024;

fuzz_target!(|data: &[u8]| {
    let Some((choice, body)) = data.split_first() else { return };
    let coding = CODINGS[usize::from(*choice) % CODINGS.len()];
    let (output, peak_bytes) = memory::peak_of(|| decompress(coding, body));
    assert!(peak_bytes <= MEMORY_BYTES_MAX, "{peak_bytes} bytes for a body of {}", body.len());
    if let Ok(output) = output {
        assert!(output.len() <= DECOMPRESSED_BYTES_MAX);
        let by_ratio = body.len().saturating_mul(COMPRESSION_RATIO_MAX).max(COMPRESSION_FREE_BYTES);
        assert!(output.len() <= by_ratio, "{} bytes out of {}", output.len(), body.len());
    }
});
