//! What holds for all events of an envelope. Nothing in it is worth refusing an event for.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::body::Object;
use crate::event::Context;
use crate::lenient::Str;
use crate::limits;

#[derive(Deserialize)]
struct RawContext<'a> {
    #[serde(borrow, default)]
    screen: Option<&'a RawValue>,
    #[serde(borrow, default)]
    viewport: Option<&'a RawValue>,
    #[serde(borrow, default)]
    language: Option<&'a RawValue>,
    #[serde(borrow, default)]
    timezone: Option<&'a RawValue>,
}

/// Reads what can be read.
pub(super) fn read(raw: &RawValue) -> Context {
    fn text(raw: Option<&RawValue>) -> Option<String> {
        let Str(text) = serde_json::from_str(raw?.get()).ok()?;
        (text.len() <= limits::LABEL_BYTES_MAX).then(|| text.into_owned())
    }
    fn pair(raw: Option<&RawValue>) -> Option<(u32, u32)> {
        serde_json::from_str(raw?.get()).ok()
    }
    let Ok(Object(context)) = serde_json::from_str::<Object<RawContext<'_>>>(raw.get()) else {
        return Context::default();
    };
    Context {
        screen: pair(context.screen),
        viewport: pair(context.viewport),
        language: text(context.language),
        timezone: text(context.timezone),
    }
}
