//! Values of options that need more words than a type's own error has: each error says what to write.

use std::net::SocketAddr;

use tracing_subscriber::EnvFilter;
use uuid::Uuid;

pub(super) fn listen(text: &str) -> Result<SocketAddr, &'static str> {
    let hint =
        "write an address and a port, like 127.0.0.1:8080, 0.0.0.0:8080 or [::1]:8080; no name of a host";
    text.parse().map_err(|_| hint)
}

/// It becomes a part of the script tag, so it has to be whole. Nothing, as compose files write it, is none.
pub(super) fn public_url(text: &str) -> Result<String, &'static str> {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let is_whole = host.is_some_and(|host| !host.starts_with('/') && !host.is_empty());
    let is_plain = !text.contains(['?', '#', '"', '<', '>']) && !text.contains(char::is_whitespace);
    let hint = "write the whole address, like https://stats.example";
    (text.is_empty() || is_whole && is_plain).then(|| text.to_owned()).ok_or(hint)
}

pub(super) fn log_level(text: &str) -> Result<String, String> {
    let hint = "write error, warn, info, debug or trace, or pairs of crate and level, like info,tallymark_processor=debug";
    EnvFilter::try_new(text).map(|_| text.to_owned()).map_err(|error| format!("{error}; {hint}"))
}

pub(super) fn at_least_one(text: &str) -> Result<usize, &'static str> {
    text.parse().ok().filter(|number| *number > 0).ok_or("write a whole number from 1 on")
}

pub(super) fn minutes(text: &str) -> Result<i64, &'static str> {
    text.parse().map_err(|_| "write a whole number of minutes")
}

pub(super) fn days(text: &str) -> Result<i64, &'static str> {
    text.parse().map_err(|_| "write a whole number of days, or 0 for ever")
}

pub(super) fn bytes(text: &str) -> Result<u64, &'static str> {
    let hint = "write a whole number of bytes from 1048576 (1 MiB) on, without a unit";
    text.parse().ok().filter(|bytes| *bytes >= 1_048_576).ok_or(hint)
}

pub(super) fn shield_id(text: &str) -> Result<Uuid, &'static str> {
    text.parse().map_err(|_| "no shield has such an id; see: tallymark shield list PROJECT")
}

pub(super) fn token_id(text: &str) -> Result<Uuid, &'static str> {
    text.parse().map_err(|_| "no token has such an id; see: tallymark token list")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_urls_are_whole() {
        for url in ["https://stats.example", "http://localhost:8080", "https://example.com/stats/", ""] {
            assert_eq!(public_url(url).as_deref(), Ok(url));
        }
        for url in [
            "stats.example",
            "//stats.example",
            "https://",
            "ftp://stats.example",
            "https://a b",
            "https://a/?b",
        ] {
            assert!(public_url(url).is_err(), "{url}");
        }
    }

    #[test]
    fn what_is_no_value_says_what_to_write() {
        assert!(listen("localhost:8080").is_err() && listen("8080").is_err() && listen("[::1]:8080").is_ok());
        assert!(log_level("info,tallymark_processor=debug").is_ok() && log_level("a=b=c").is_err());
        assert!(bytes("1GiB").is_err() && bytes("0").is_err() && bytes("1048576").is_ok());
        assert!(at_least_one("0").is_err());
    }
}
