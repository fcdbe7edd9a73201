//! Recognises properties that rewriting would leave as they are: nearly all, since trackers write JSON compactly.

use crate::limits;

/// Whether rewriting `json`, which is JSON within its grammar, surely changes nothing of it. `false` says nothing.
pub(super) fn is_normal(json: &str) -> bool {
    let mut rest = json.as_bytes();
    let mut depth = 0;
    if rest.len() > limits::PROPS_BYTES_MAX {
        return false;
    }
    while let [byte, tail @ ..] = rest {
        rest = tail;
        match byte {
            b'"' => match after_text(rest) {
                Some(tail) => rest = tail,
                None => return false,
            },
            b'{' | b'[' => {
                depth += 1;
                if depth > limits::PROPS_DEPTH_MAX {
                    return false;
                }
            }
            b'}' | b']' => depth -= 1,
            b' ' | b'\t' | b'\n' | b'\r' => return false,
            b'-' | b'0'..=b'9' => match after_number(*byte, rest) {
                Some(tail) => rest = tail,
                None => return false,
            },
            _ => {} // between values, or of true, false and null
        }
    }
    true
}

/// What follows a text of which the opening quote is read, unless it has an escape that is written in
/// another way: by its number, or where none is needed.
fn after_text(mut rest: &[u8]) -> Option<&[u8]> {
    loop {
        let special = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
        if rest[special] == b'"' {
            return Some(&rest[special + 1..]);
        }
        if matches!(rest.get(special + 1)?, b'u' | b'/') {
            return None;
        }
        rest = &rest[special + 2..];
    }
}

/// What follows a number that begins with `first`, if it is short and as we write it. Up to 15 digits a double
/// keeps exactly; from 0.0001 it is written without an exponent.
fn after_number(first: u8, rest: &[u8]) -> Option<&[u8]> {
    const WHOLE_DIGITS_MAX: usize = 11;
    const FRACTION_DIGITS_MAX: usize = 4;
    let digits = |from: &[u8]| from.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let whole = digits(rest);
    if whole > WHOLE_DIGITS_MAX {
        return None;
    }
    let (mut end, mut is_zero) = (whole, first == b'-' && rest.starts_with(b"0"));
    if rest.get(end) == Some(&b'.') {
        let fraction = &rest[end + 1..];
        let fraction = &fraction[..digits(fraction)];
        let has_needless_zero = fraction.len() > 1 && fraction.ends_with(b"0");
        if fraction.len() > FRACTION_DIGITS_MAX || has_needless_zero {
            return None;
        }
        end += 1 + fraction.len();
        is_zero = false;
    }
    // "-0" is no whole number to a parser that knows its sign.
    let ends = !is_zero && !matches!(rest.get(end), Some(b'e' | b'E'));
    ends.then_some(&rest[end..])
}
