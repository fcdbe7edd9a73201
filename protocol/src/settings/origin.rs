//! Which pages may send to a project.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::PatternError;
use crate::limits;

/// An origin that may send: `https://shop.example`, `https://*.shop.example` (its subdomains, at any depth,
/// not itself), `http://localhost:3000`, or `*` for any. Without a scheme both `https` and `http` are meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OriginPattern {
    text: String,
    host: Host,
    /// `https`, `http`, …; `None`: http and https.
    scheme: Option<String>,
    /// As written; `None`: the scheme's own.
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    Any,
    Exact(String),
    SubdomainsOf(String),
}

impl OriginPattern {
    /// Reads a pattern. A trailing slash is forgiven: people copy addresses.
    ///
    /// # Errors
    /// Says what to write instead: a path, a wildcard elsewhere than at the front, an empty host.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let text = text.trim().trim_end_matches('/').to_ascii_lowercase();
        if text == "*" {
            return Ok(Self { text, host: Host::Any, scheme: None, port: None });
        }
        let refuse = |why: &str| {
            PatternError(format!(
                "{text:?} is no origin: {why}; write one like https://shop.example, https://*.shop.example or *"
            ))
        };
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (Some(scheme.to_owned()), rest),
            None => (None, text.as_str()),
        };
        let is_scheme = |scheme: &String| {
            scheme.starts_with(|first: char| first.is_ascii_lowercase())
                && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        };
        if scheme.as_ref().is_some_and(|scheme| !is_scheme(scheme)) {
            return Err(refuse("that is no scheme"));
        }
        if rest.contains(['/', '?', '#', '@']) || rest.contains(char::is_whitespace) {
            return Err(refuse("it is more than scheme, host and port"));
        }
        let (name, port) = split_port(rest).ok_or_else(|| refuse("that is no port"))?;
        let (wildcard, name) = match name.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, name),
        };
        if name.is_empty() || name.len() > limits::HOST_BYTES_MAX || name.contains('*') || !name.is_ascii() {
            return Err(refuse("that is no host (in another script, write it as xn--…)"));
        }
        let name = name.to_owned();
        let host = if wildcard { Host::SubdomainsOf(name) } else { Host::Exact(name) };
        Ok(Self { host, scheme, port, text })
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether an `Origin` header is meant by it.
    #[must_use]
    pub fn matches(&self, origin: &str) -> bool {
        if self.host == Host::Any {
            return true;
        }
        let origin = origin.to_ascii_lowercase();
        let Some((scheme, rest)) = origin.split_once("://") else { return false };
        let Some((name, port)) = split_port(rest) else { return false };
        let scheme_fits = match &self.scheme {
            Some(own) => own == scheme,
            None => scheme == "https" || scheme == "http",
        };
        let own_port = |port: Option<u16>| port.or_else(|| port_of(scheme));
        let host_fits = match &self.host {
            Host::Any => true,
            Host::Exact(host) => host == name,
            Host::SubdomainsOf(host) => {
                name.strip_suffix(host.as_str()).is_some_and(|front| front.len() > 1 && front.ends_with('.'))
            }
        };
        scheme_fits && host_fits && own_port(port) == own_port(self.port)
    }
}

fn port_of(scheme: &str) -> Option<u16> {
    match scheme {
        "https" => Some(443),
        "http" => Some(80),
        _ => None,
    }
}

/// Host and port; the host of an IPv6 address keeps its brackets. `None` for a port that is none.
fn split_port(rest: &str) -> Option<(&str, Option<u16>)> {
    let after_brackets = rest.rfind(']').map_or(0, |end| end + 1);
    match rest[after_brackets..].find(':') {
        Some(colon) => {
            let colon = after_brackets + colon;
            Some((&rest[..colon], Some(rest[colon + 1..].parse().ok()?)))
        }
        None => Some((rest, None)),
    }
}

impl fmt::Display for OriginPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl TryFrom<String> for OriginPattern {
    type Error = PatternError;
    fn try_from(text: String) -> Result<Self, PatternError> {
        Self::parse(&text)
    }
}

impl From<OriginPattern> for String {
    fn from(pattern: OriginPattern) -> Self {
        pattern.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_and_the_patterns_that_mean_them() {
        let cases = [
            ("https://shop.example", "https://shop.example", true),
            ("https://shop.example", "https://shop.example:443", true),
            ("https://shop.example/", "HTTPS://Shop.Example", true),
            ("https://shop.example", "http://shop.example", false),
            ("https://shop.example", "https://shop.example:8443", false),
            ("https://shop.example", "https://www.shop.example", false),
            ("https://shop.example", "https://shop.example.evil.example", false),
            ("shop.example", "http://shop.example", true),
            ("shop.example", "app://shop.example", false),
            ("https://*.shop.example", "https://www.shop.example", true),
            ("https://*.shop.example", "https://a.b.shop.example", true),
            ("https://*.shop.example", "https://shop.example", false),
            ("https://*.shop.example", "https://.shop.example", false),
            ("https://*.shop.example", "https://evilshop.example", false),
            ("http://localhost:3000", "http://localhost:3000", true),
            ("http://localhost:3000", "http://localhost:3001", false),
            ("http://[::1]:3000", "http://[::1]:3000", true),
            ("capacitor://localhost", "capacitor://localhost", true),
            ("*", "https://any.example", true),
            ("*", "null", true),
            ("https://shop.example", "null", false),
        ];
        for (pattern, origin, matches) in cases {
            assert_eq!(OriginPattern::parse(pattern).unwrap().matches(origin), matches, "{pattern} {origin}");
        }
    }

    #[test]
    fn what_is_no_origin_says_what_to_write() {
        let wrong = [
            "",
            "https://",
            "https://shop.example/path",
            "https://shop.*",
            "ht tp://x",
            "https://x:99999",
            "a b",
        ];
        for text in wrong {
            let error = OriginPattern::parse(text).unwrap_err().to_string();
            assert!(error.contains("https://shop.example"), "{text}: {error}");
        }
    }
}
