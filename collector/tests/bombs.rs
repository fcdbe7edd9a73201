//! Decompression never takes more memory than its bounds, whatever comes. In a process of its own, whose memory it reads.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write as _;

use tallymark_collector::{Coding, DecompressError, decompress};
use tallymark_protocol::limits::DECOMPRESSED_BYTES_MAX;

/// Output with the room that it grows by, and the largest window beside it (brotli's); twice, since an allocator does not
/// give everything back at once. What the bombs hold is twenty times this.
const GROWTH_BYTES_MAX: usize = 2 * (2 * DECOMPRESSED_BYTES_MAX + 16 * 1024 * 1024);

/// The most memory that this process has had.
fn peak_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

fn gzip_of_spaces(bytes: usize) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    let piece = vec![b' '; 1 << 20];
    for _ in 0..bytes >> 20 {
        encoder.write_all(&piece).unwrap();
    }
    encoder.finish().unwrap()
}

#[test]
fn a_gigabyte_that_comes_small_stays_small() {
    let brotli = include_bytes!("fixtures/bomb.br").as_slice();
    let zstd = include_bytes!("fixtures/bomb.zst").as_slice();
    let gzip = gzip_of_spaces(8 << 20);
    let windowed = zstd_frame_with_window(0x80); // 64 MiB
    let many_empty_members = gzip_of_spaces(0).repeat(10_000);
    let before = peak_bytes();
    for (coding, bomb) in [(Coding::Brotli, brotli), (Coding::Zstd, zstd), (Coding::Gzip, &gzip)] {
        assert_eq!(decompress(coding, bomb), Err(DecompressError::RatioTooHigh), "{coding:?}");
        // As large as a body may be: then the bound is the absolute one.
        let padded = [bomb, &vec![0; (1 << 20) - bomb.len()]].concat();
        assert_eq!(decompress(coding, &padded), Err(DecompressError::TooLarge), "{coding:?}");
    }
    assert_eq!(decompress(Coding::Zstd, &windowed), Err(DecompressError::TooLarge));
    assert!(matches!(decompress(Coding::Gzip, &many_empty_members), Err(DecompressError::Corrupt { .. })));
    let grown = peak_bytes() - before;
    assert!(grown < GROWTH_BYTES_MAX, "{grown} bytes more than before; at most {GROWTH_BYTES_MAX}");
}

/// A frame that announces a window and brings one byte.
fn zstd_frame_with_window(descriptor: u8) -> Vec<u8> {
    vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, descriptor, 0x09, 0x00, 0x00, b'x']
}

#[test]
fn a_window_that_every_decoder_has_is_taken() {
    assert_eq!(decompress(Coding::Zstd, &zstd_frame_with_window(0x68)).unwrap(), b"x"); // 8 MiB
}
