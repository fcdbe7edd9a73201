//! The names under which older callers send the same fields. They are read on every path; where the present name
//! is there too, it wins, and what stands under the older one is not even looked at.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::event::{Refusal, unreadable};
use crate::lenient::Str;
use crate::names;

/// The value under the first of `older` names that has one.
///
/// # Errors
/// When it is of the wrong type.
pub(super) fn first<'a, T: Deserialize<'a>, const N: usize>(
    older: [Option<&'a RawValue>; N],
) -> Result<Option<T>, Refusal> {
    match older.into_iter().flatten().next() {
        Some(raw) => serde_json::from_str(raw.get()).map(Some).map_err(unreadable),
        None => Ok(None),
    }
}

/// The text under the first of `older` names that has one.
///
/// # Errors
/// When it is no text.
pub(super) fn text<'a, const N: usize>(
    older: [Option<&'a RawValue>; N],
) -> Result<Option<Cow<'a, str>>, Refusal> {
    Ok(first::<Str<'a>, N>(older)?.map(|text| text.0))
}

/// Our name for an event that older callers name otherwise.
pub(super) fn event_name(name: &str) -> &str {
    match name {
        "page_view" => names::PAGEVIEW,
        other => other,
    }
}
