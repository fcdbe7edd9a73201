//! Properties: any JSON object within the limits, rewritten so that every store takes it.

mod normal;

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::{DiscardReason, limits};

/// Checks `raw` against the limits and rewrites it compactly in one pass.
///
/// What both stores would choke on is refused here or replaced: unpaired surrogates and numbers outside
/// a double's range are [`DiscardReason::PropsInvalid`]; NUL becomes U+FFFD. `null` and `{}` are `None`.
///
/// # Errors
/// The reason, with a sentence for the person who sent it.
pub(crate) fn normalise(raw: &RawValue) -> Result<Option<Box<RawValue>>, (DiscardReason, String)> {
    let text = raw.get();
    if text == "null" || text == "{}" {
        return Ok(None);
    }
    if !text.starts_with('{') {
        return Err((DiscardReason::PropsInvalid, "props must be a JSON object".to_owned()));
    }
    if normal::is_normal(text) {
        return Ok(Some(raw.to_owned()));
    }
    rewrite(text).map(Some)
}

fn rewrite(text: &str) -> Result<Box<RawValue>, (DiscardReason, String)> {
    let verdict = Cell::new(DiscardReason::PropsInvalid);
    let mut out = Vec::with_capacity(text.len());
    let visitor = Rewrite { out: &mut out, depth: 0, verdict: &verdict };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    visitor.deserialize(&mut deserializer).map_err(|error| (verdict.get(), format!("props: {error}")))?;
    // What the visitor wrote is JSON by construction; from_string checks it once more, so that no slip
    // here could ever reach a store.
    let text = String::from_utf8(out).map_err(|error| (DiscardReason::PropsInvalid, error.to_string()))?;
    RawValue::from_string(text).map_err(|error| (DiscardReason::PropsInvalid, error.to_string()))
}

struct Rewrite<'o> {
    out: &'o mut Vec<u8>,
    depth: usize,
    verdict: &'o Cell<DiscardReason>,
}

impl Rewrite<'_> {
    fn refuse<E: Error>(&self, reason: DiscardReason, detail: impl fmt::Display) -> E {
        self.verdict.set(reason);
        E::custom(detail)
    }

    fn put<E: Error>(&mut self, piece: &[u8]) -> Result<(), E> {
        if self.out.len() + piece.len() > limits::PROPS_BYTES_MAX {
            let detail = format_args!("more than {} bytes", limits::PROPS_BYTES_MAX);
            return Err(self.refuse(DiscardReason::PropsTooLarge, detail));
        }
        self.out.extend_from_slice(piece);
        Ok(())
    }

    fn put_text<E: Error>(&mut self, text: &str) -> Result<(), E> {
        let cleaned = text.contains('\0').then(|| text.replace('\0', "\u{fffd}"));
        let start = self.out.len();
        serde_json::to_writer(&mut *self.out, cleaned.as_deref().unwrap_or(text)).map_err(E::custom)?;
        if self.out.len() > limits::PROPS_BYTES_MAX {
            self.out.truncate(start);
            return self.put(&[0; limits::PROPS_BYTES_MAX + 1]);
        }
        Ok(())
    }

    fn inner<E: Error>(&mut self) -> Result<Rewrite<'_>, E> {
        if self.depth == limits::PROPS_DEPTH_MAX {
            let detail = format_args!("nested deeper than {} levels", limits::PROPS_DEPTH_MAX);
            return Err(self.refuse(DiscardReason::PropsTooDeep, detail));
        }
        Ok(Rewrite { out: self.out, depth: self.depth + 1, verdict: self.verdict })
    }
}

impl<'de> DeserializeSeed<'de> for Rewrite<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Rewrite<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(mut self) -> Result<(), E> {
        self.put(b"null")
    }

    fn visit_bool<E: Error>(mut self, value: bool) -> Result<(), E> {
        self.put(if value { b"true" } else { b"false" })
    }

    fn visit_i64<E: Error>(mut self, value: i64) -> Result<(), E> {
        self.put(value.to_string().as_bytes())
    }

    fn visit_u64<E: Error>(mut self, value: u64) -> Result<(), E> {
        self.put(value.to_string().as_bytes())
    }

    fn visit_f64<E: Error>(mut self, value: f64) -> Result<(), E> {
        self.put(format!("{value:?}").as_bytes())
    }

    fn visit_str<E: Error>(mut self, value: &str) -> Result<(), E> {
        self.put_text(value)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        let mut inner = self.inner()?;
        inner.put(b"[")?;
        let mut first = true;
        loop {
            let mark = inner.out.len();
            if !first {
                inner.put(b",")?;
            }
            let element = Rewrite { out: inner.out, depth: inner.depth, verdict: inner.verdict };
            if seq.next_element_seed(element)?.is_none() {
                inner.out.truncate(mark);
                return inner.put(b"]");
            }
            first = false;
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let mut inner = self.inner()?;
        inner.put(b"{")?;
        let mut first = true;
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            if !first {
                inner.put(b",")?;
            }
            first = false;
            inner.put_text(&key)?;
            inner.put(b":")?;
            map.next_value_seed(Rewrite { out: inner.out, depth: inner.depth, verdict: inner.verdict })?;
        }
        inner.put(b"}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(json: &str) -> Result<Option<String>, DiscardReason> {
        let raw: &RawValue = serde_json::from_str(json).expect("JSON");
        normalise(raw).map(|props| props.map(|props| props.get().to_owned())).map_err(|(reason, _)| reason)
    }

    #[test]
    fn an_object_is_rewritten_compactly() {
        let json = r#"{ "a" : [1, -2, 2.5, true, null, [] , {}], "b\u0000" : "x\u0000\"y" }"#;
        let want = "{\"a\":[1,-2,2.5,true,null,[],{}],\"b\u{fffd}\":\"x\u{fffd}\\\"y\"}";
        assert_eq!(rewritten(json), Ok(Some(want.to_owned())));
    }

    #[test]
    fn what_is_left_as_it_is_would_be_rewritten_to_itself() {
        let values = [
            "0",
            "-0",
            "0.0",
            "-0.0",
            "7",
            "-7",
            "1.0",
            "1.5",
            "1.50",
            "-1.25",
            "0.0001",
            "0.00001",
            "10.0",
            "1e2",
            "1E2",
            "1.5e3",
            "1e999",
            "123456789012",
            "1234567890123",
            "-123456789012",
            "99999999999.9999",
            "123456789012.1234",
            "18446744073709551615",
            "18446744073709551616",
            "0.12345",
            "true",
            "null",
            "[]",
            "{}",
            "[1,2]",
            "[1, 2]",
            "\"\"",
            "\"a\\\"b\"",
            "\"\\n\\t\\\\\"",
            "\"\\/\"",
            "\"\\u00e9\"",
            "\"\\u0000\"",
            "\"\\ud800\"",
            "\"\\ud83d\\ude00\"",
            "\"é😀\u{7f}\"",
            "[[[[[[[]]]]]]]",
            "[[[[[[[[]]]]]]]]",
        ];
        let mut left = 0;
        for value in values {
            for json in [format!("{{\"a\":{value}}}"), format!("{{\"a\":[{value},1],\"b\":{value}}}")] {
                let rewritten = rewrite(&json).map(|raw| raw.get().to_owned()).ok();
                if normal::is_normal(&json) {
                    left += 1;
                    assert_eq!(rewritten.as_ref(), Some(&json));
                }
            }
        }
        assert!(left > values.len(), "{left} of {} are left as they are", 2 * values.len());
    }

    #[test]
    fn nothing_is_none() {
        assert_eq!(rewritten("null"), Ok(None));
        assert_eq!(rewritten("{}"), Ok(None));
    }

    #[test]
    fn what_a_store_would_choke_on_is_refused() {
        for json in [r#"{"a":"\ud800"}"#, r#"{"a":1e999}"#, "[1]", "\"text\"", "5"] {
            assert_eq!(rewritten(json), Err(DiscardReason::PropsInvalid), "{json}");
        }
    }

    #[test]
    fn limits_hold_at_their_edges() {
        let nest = |levels: usize| "{\"a\":".repeat(levels) + "1" + &"}".repeat(levels);
        assert!(rewritten(&nest(limits::PROPS_DEPTH_MAX)).is_ok());
        assert_eq!(rewritten(&nest(limits::PROPS_DEPTH_MAX + 1)), Err(DiscardReason::PropsTooDeep));
        let text = |bytes: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(bytes - 8));
        assert!(rewritten(&text(limits::PROPS_BYTES_MAX)).is_ok());
        assert_eq!(rewritten(&text(limits::PROPS_BYTES_MAX + 1)), Err(DiscardReason::PropsTooLarge));
    }
}
