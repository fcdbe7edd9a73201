//! What a refusal says to a person: what is wrong, and what to do.

use std::borrow::Cow;

use tallymark_protocol::limits::{
    BODY_BYTES_MAX, COMPRESSION_RATIO_MAX, DECOMPRESSED_BYTES_MAX, ENVELOPE_EVENTS_MAX, HOST_BYTES_MAX,
};
use tallymark_protocol::settings::OriginPattern;

use super::Refusal;

const RETRY_LATER: &str =
    "nothing is wrong with the request: send it again after Retry-After seconds, with the same event ids";
const SPLIT: &str = "split the events over several requests";

impl Refusal {
    /// What to do.
    pub(super) fn hint(&self) -> Cow<'static, str> {
        let hint = match self {
            Self::MissingWriteKey => {
                "add ?write_key=wk_… to the URL; `tallymark project list` shows a project's keys"
            }
            Self::UnknownWriteKey => {
                "copy the key from the project's script tag, or from `tallymark project list`"
            }
            Self::OriginNotAllowed { project_id, origin } if is_origin(origin) => {
                return format!(
                    "allow it with `tallymark project set {project_id} --origin {origin}`; name the origins that are \
                     allowed already beside it, since together they replace what was there"
                )
                .into();
            }
            Self::OriginNotAllowed { .. } => {
                "a page without an origin of its own may send only where any origin may"
            }
            Self::RateLimited { .. } => {
                "send it again after Retry-After seconds; events are counted, not requests, so that larger envelopes \
                 do not help"
            }
            Self::MalformedBody { .. } => {
                "send one event, an array of events, or {\"events\": [...]} as JSON in UTF-8"
            }
            Self::UnsupportedContentType => "send JSON, as application/json or text/plain",
            Self::UnsupportedContentEncoding => {
                "name one of gzip, deflate, br and zstd, or send the body as it is"
            }
            Self::BodyTooLarge | Self::DecompressedTooLarge | Self::TooManyEvents { .. } => SPLIT,
            Self::RatioTooHigh => "split the events over several requests, or send the body as it is",
            Self::BodyIncomplete => "send the request again",
            Self::MethodNotAllowed { .. } => "send events by POST /capture, or one by GET /capture.gif",
            Self::CookielessUnavailable { .. } => {
                "the server's operator gives all collectors the same --secret-file, by which they share the salt of the \
                 day; or send an anonymous_id"
            }
            Self::RegistryUnavailable { .. }
            | Self::Busy { .. }
            | Self::QueueFull { .. }
            | Self::QueueUnavailable { .. } => RETRY_LATER,
        };
        hint.into()
    }

    /// What is wrong.
    pub(super) fn detail(&self) -> String {
        match self {
            Self::MissingWriteKey => "the request names no project: it carries no write key".to_owned(),
            Self::UnknownWriteKey => "no project has this write key".to_owned(),
            Self::OriginNotAllowed { project_id, origin } => {
                let shown = &origin[..origin.floor_char_boundary(HOST_BYTES_MAX)];
                format!("pages of {shown:?} may not send to project {project_id}")
            }
            Self::RateLimited { .. } => "more events came than this project takes in a minute".to_owned(),
            Self::MalformedBody { detail } => detail.clone(),
            Self::UnsupportedContentType => "a body of this Content-Type cannot be JSON".to_owned(),
            Self::UnsupportedContentEncoding => "a body of this Content-Encoding cannot be read".to_owned(),
            Self::BodyTooLarge => format!("the body has more than {BODY_BYTES_MAX} bytes"),
            Self::DecompressedTooLarge => {
                format!("the body has more than {DECOMPRESSED_BYTES_MAX} bytes when it is decompressed")
            }
            Self::RatioTooHigh => format!(
                "the body becomes more than {COMPRESSION_RATIO_MAX} times larger when it is decompressed"
            ),
            Self::TooManyEvents { received } => {
                format!("the envelope has {received} events; at most {ENVELOPE_EVENTS_MAX} are taken")
            }
            Self::BodyIncomplete => "the body did not arrive whole, or not in time".to_owned(),
            Self::MethodNotAllowed { allowed } => format!("this path takes {allowed}"),
            Self::RegistryUnavailable { .. } => "the write key cannot be checked at the moment".to_owned(),
            Self::CookielessUnavailable { .. } => {
                "an event without anonymous_id and user_id cannot be counted at the moment: this collector does not \
                 have the salt of the day"
                    .to_owned()
            }
            Self::Busy { .. } => "more bodies are being read than may; this one is not taken".to_owned(),
            Self::QueueFull { .. } => {
                "more events wait to be processed than may; none of these is taken".to_owned()
            }
            Self::QueueUnavailable { .. } => {
                "the events could not be written down; whether some were is settled when they come again"
                    .to_owned()
            }
        }
    }
}

/// Whether it can be put into a command that somebody may copy: an origin, and nothing else.
fn is_origin(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:/[]".contains(&byte);
    text.contains("://") && text.bytes().all(is_plain) && OriginPattern::parse(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_origin_gets_into_a_command() {
        let hint = |origin: &str| {
            let refusal = Refusal::OriginNotAllowed { project_id: 7, origin: origin.to_owned() };
            refusal.hint().into_owned()
        };
        for origin in
            ["https://shop.example", "http://localhost:3000", "http://[::1]:3000", "capacitor://localhost"]
        {
            let command = format!("`tallymark project set 7 --origin {origin}`");
            assert!(hint(origin).starts_with(&format!("allow it with {command}; ")), "{origin}");
        }
        for other in [
            "null",
            "",
            "*",
            "https://$(reboot)",
            "https://x`id`",
            "https://x;id",
            "https://a b",
            "https://x/y",
        ] {
            assert!(!hint(other).contains("--origin"), "{other}");
        }
    }
}
