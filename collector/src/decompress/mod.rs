//! Compressed bodies: which coding, and its bytes within bounds.
//!
//! What comes here was sent by strangers. Output is made piece by piece and stops at the bound, so that a small
//! body never becomes a large one; the decoders' own memory is bounded by the windows that they accept.

mod brotli;
mod deflate;
mod output;
mod zstd;

use tallymark_protocol::limits::{COMPRESSION_RATIO_MAX, DECOMPRESSED_BYTES_MAX};

use self::output::Output;

/// Streams that may follow one another in a body. Parallel compressors write a few; each costs a fresh start.
const STREAMS_MAX: usize = 256;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// RFC 1952.
    Gzip,
    /// RFC 1950, or the bare RFC 1951 that some clients mean by it.
    Deflate,
    /// RFC 7932.
    Brotli,
    /// RFC 8878.
    Zstd,
}

/// Why a compressed body cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecompressError {
    /// Not what its coding says, or only the beginning of it.
    #[error("the body cannot be read as {}: {detail}", coding.as_str())]
    Corrupt {
        /// What it was read as.
        coding: Coding,
        /// What is wrong with it.
        detail: &'static str,
    },
    /// More than [`DECOMPRESSED_BYTES_MAX`] come out of it.
    #[error("the body has more than {DECOMPRESSED_BYTES_MAX} bytes when it is decompressed")]
    TooLarge,
    /// It becomes more than [`COMPRESSION_RATIO_MAX`] times larger.
    #[error("the body becomes more than {COMPRESSION_RATIO_MAX} times larger when it is decompressed")]
    RatioTooHigh,
}

impl Coding {
    /// The coding of this name in `Content-Encoding`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let named = |names: &[&str]| names.iter().any(|known| known.eq_ignore_ascii_case(name));
        match () {
            () if named(&["gzip", "x-gzip"]) => Some(Self::Gzip),
            () if named(&["deflate"]) => Some(Self::Deflate),
            () if named(&["br"]) => Some(Self::Brotli),
            () if named(&["zstd"]) => Some(Self::Zstd),
            () => None,
        }
    }

    /// The coding that a body's first bytes show. No JSON of events begins like any of these. Brotli and bare
    /// deflate show nothing: they need `Content-Encoding`.
    #[must_use]
    pub fn of_first_bytes(body: &[u8]) -> Option<Self> {
        match body {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstd),
            _ => deflate::has_zlib_header(body).then_some(Self::Deflate),
        }
    }

    /// Its name in `Content-Encoding`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }

    const fn corrupt(self, detail: &'static str) -> DecompressError {
        DecompressError::Corrupt { coding: self, detail }
    }
}

/// Decompresses the whole of `body`. It works for as long as that takes: give it large bodies on a thread that
/// may be blocked.
///
/// # Errors
/// [`DecompressError`]. No more than its bounds is ever in memory.
pub fn decompress(coding: Coding, body: &[u8]) -> Result<Vec<u8>, DecompressError> {
    let mut output = Output::of(body.len());
    match coding {
        Coding::Gzip => deflate::gzip(body, &mut output)?,
        Coding::Deflate => deflate::zlib_or_bare(body, &mut output)?,
        Coding::Brotli => brotli::decompress(body, &mut output)?,
        Coding::Zstd => zstd::decompress(body, &mut output)?,
    }
    Ok(output.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes_show_a_coding_and_json_shows_none() {
        let cases: [(&[u8], Option<Coding>); 9] = [
            (b"\x1f\x8b\x08\x00", Some(Coding::Gzip)),
            (b"\x28\xb5\x2f\xfd\x04", Some(Coding::Zstd)),
            (b"\x78\x9c\xab", Some(Coding::Deflate)),
            (b"\x78\x01\xab", Some(Coding::Deflate)),
            (b"{\"name\":\"a\"}", None),
            (b"[]", None),
            (b" \n{", None),
            (b"x", None),
            (b"", None),
        ];
        for (body, coding) in cases {
            assert_eq!(Coding::of_first_bytes(body), coding, "{body:?}");
        }
        for first in *b"{[ \t\r\n\"" {
            for second in 0..=255 {
                assert_eq!(Coding::of_first_bytes(&[first, second]), None, "{first} {second}");
            }
        }
    }

    #[test]
    fn codings_have_the_names_of_http() {
        for coding in [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd] {
            assert_eq!(Coding::from_name(coding.as_str()), Some(coding));
        }
        assert_eq!(Coding::from_name("X-GZIP"), Some(Coding::Gzip));
        assert_eq!(Coding::from_name("gzip, br"), None);
        assert_eq!(Coding::from_name("compress"), None);
    }
}
