//! A JSON serializer for the few shapes that the tracker writes: structs of texts, numbers, options and
//! ready-made JSON. A tenth of what serde_json would add to the page.

use alloc::string::String;
use core::fmt::Error;

use serde::Serialize;
use serde::ser::{Impossible, SerializeStruct, Serializer};

/// Appends `value` to `out` as JSON.
pub fn to_json<T: Serialize>(out: &mut String, value: &T) {
    // Fails only for shapes that the tracker does not have.
    let _ = value.serialize(&mut Writer { out, raw: false });
}

/// Appends `number` in decimal digits.
pub fn write_u64(out: &mut String, number: u64) {
    if number >= 10 {
        write_u64(out, number / 10);
    }
    out.push(char::from(b'0' + (number % 10) as u8));
}

fn write_text(out: &mut String, text: &str) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => {
                out.push('\\');
                out.push(letter);
            }
            ' '.. => out.push(letter),
            _ => {
                let digit = |value: u32| char::from_digit(value, 16).unwrap_or('0');
                out.push_str("\\u00");
                out.push(digit(letter as u32 >> 4));
                out.push(digit(letter as u32 & 15));
            }
        }
    }
    out.push('"');
}

struct Writer<'a> {
    out: &'a mut String,
    /// The next text is JSON already.
    raw: bool,
}

type Never = Impossible<(), Error>;

macro_rules! refuse {
    ($($method:ident($($arg:ty),*) -> $ok:ty;)*) => { $(
        fn $method(self $(, _: $arg)*) -> Result<$ok, Error> { Err(Error) }
    )* };
}

impl<'w> Serializer for &'w mut Writer<'_> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Never;
    type SerializeTuple = Never;
    type SerializeTupleStruct = Never;
    type SerializeTupleVariant = Never;
    type SerializeMap = Never;
    type SerializeStruct = Fields<'w>;
    type SerializeStructVariant = Never;

    fn serialize_u64(self, value: u64) -> Result<(), Error> {
        write_u64(self.out, value);
        Ok(())
    }

    fn serialize_u32(self, value: u32) -> Result<(), Error> {
        self.serialize_u64(u64::from(value))
    }

    fn serialize_str(self, text: &str) -> Result<(), Error> {
        if self.raw {
            self.out.push_str(text)
        } else {
            write_text(self.out, text)
        }
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        value.serialize(&mut Writer { out: self.out, raw: true })
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Fields<'w>, Error> {
        self.out.push('{');
        Ok(Fields { out: self.out, next: "" })
    }

    refuse! {
        serialize_bool(bool) -> ();
        serialize_i8(i8) -> ();
        serialize_i16(i16) -> ();
        serialize_i32(i32) -> ();
        serialize_i64(i64) -> ();
        serialize_u8(u8) -> ();
        serialize_u16(u16) -> ();
        serialize_f32(f32) -> ();
        serialize_f64(f64) -> ();
        serialize_char(char) -> ();
        serialize_bytes(&[u8]) -> ();
        serialize_none() -> ();
        serialize_unit() -> ();
        serialize_unit_struct(&'static str) -> ();
        serialize_unit_variant(&'static str, u32, &'static str) -> ();
        serialize_seq(Option<usize>) -> Never;
        serialize_tuple(usize) -> Never;
        serialize_tuple_struct(&'static str, usize) -> Never;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Never;
        serialize_map(Option<usize>) -> Never;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Never;
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), Error> {
        Err(Error)
    }

    fn collect_str<T: core::fmt::Display + ?Sized>(self, _: &T) -> Result<(), Error> {
        Err(Error)
    }
}

/// Fields of a struct that is being written.
struct Fields<'w> {
    out: &'w mut String,
    next: &'static str,
}

impl SerializeStruct for Fields<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Error> {
        self.out.push_str(self.next);
        self.next = ",";
        write_text(self.out, key);
        self.out.push(':');
        value.serialize(&mut Writer { out: self.out, raw: false })
    }

    fn end(self) -> Result<(), Error> {
        self.out.push('}');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> String {
        let mut out = String::new();
        write_text(&mut out, value);
        out
    }

    #[test]
    fn every_character_survives() {
        assert_eq!(text("a\"b\\c"), r#""a\"b\\c""#);
        assert_eq!(text("line\nbreak\u{1f}"), r#""line\u000abreak\u001f""#);
        assert_eq!(text("Grüße 🛒\u{2028}"), "\"Grüße 🛒\u{2028}\"");
    }

    #[test]
    fn numbers_are_digits() {
        for number in [0, 9, 10, 1_763_622_000_123, u64::MAX] {
            let mut out = String::new();
            write_u64(&mut out, number);
            assert_eq!(out, alloc::format!("{number}"));
        }
    }
}
