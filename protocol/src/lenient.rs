//! Reading fields as strangers write them: numbers where text is meant, times in two forms.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

use crate::UnixMs;

/// Text, as the stores can hold it: without NUL, which PostgreSQL has no text for.
pub(crate) struct Str<'a>(pub(crate) Cow<'a, str>);

/// Text, or a number that is meant as text (`"user_id": 42`).
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

/// Text that is borrowed needs no look: JSON has NUL only escaped, and what was escaped is not borrowed.
fn without_nul(text: &str) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text.to_owned() }
}

impl<'de: 'a, 'a> Deserialize<'de> for Str<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct StrVisitor;
        impl<'de> Visitor<'de> for StrVisitor {
            type Value = Str<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }
            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Str(Cow::Borrowed(text)))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Str(Cow::Owned(without_nul(text))))
            }
        }
        deserializer.deserialize_str(StrVisitor)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }
            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(without_nul(text))))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(number.to_string())))
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(number.to_string())))
            }
        }
        deserializer.deserialize_any(TextVisitor)
    }
}

/// An instant: Unix milliseconds as a number, or RFC 3339.
#[derive(Clone, Copy)]
pub(crate) struct Instant(pub(crate) UnixMs);

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InstantVisitor;
        impl Visitor<'_> for InstantVisitor {
            type Value = Instant;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time: Unix milliseconds, or RFC 3339 like \"2026-11-20T08:57:00Z\"")
            }
            fn visit_i64<E: Error>(self, millis: i64) -> Result<Instant, E> {
                Ok(Instant(UnixMs(millis)))
            }
            fn visit_u64<E: Error>(self, millis: u64) -> Result<Instant, E> {
                Ok(Instant(UnixMs(i64::try_from(millis).unwrap_or(i64::MAX))))
            }
            #[expect(
                clippy::cast_possible_truncation,
                reason = "`as` saturates; the clock's range is checked later"
            )]
            fn visit_f64<E: Error>(self, millis: f64) -> Result<Instant, E> {
                Ok(Instant(UnixMs(millis as i64)))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Instant, E> {
                let timestamp: jiff::Timestamp =
                    text.parse().map_err(|_| E::invalid_value(serde::de::Unexpected::Str(text), &self))?;
                Ok(Instant(UnixMs(timestamp.as_millisecond())))
            }
        }
        deserializer.deserialize_any(InstantVisitor)
    }
}

/// The longest beginning of `text` that has at most `bytes_max` bytes and ends between characters.
pub(crate) fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}
