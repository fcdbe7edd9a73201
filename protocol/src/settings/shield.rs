//! Traffic that a project's owner does not want counted.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Network, PatternError};
use crate::DiscardReason;

/// Longest pattern: a path of the longest kind.
const PATTERN_BYTES_MAX: usize = 512;

/// What a shield looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShieldKind {
    /// The sender's address: one, or a network (`203.0.113.0/24`, `2001:db8::/32`).
    Address,
    /// The page's host: `staging.shop.example`, or `*.shop.example` for its subdomains.
    Hostname,
    /// The page's path; `*` stands for any run of characters: `/admin/*`.
    Path,
    /// A part of the user agent, in any case: `Pingdom`.
    UserAgent,
}

impl ShieldKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Address, Self::Hostname, Self::Path, Self::UserAgent];

    /// The stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Hostname => "hostname",
            Self::Path => "path",
            Self::UserAgent => "user_agent",
        }
    }

    /// The kind of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// What becomes of the events that it keeps out.
    #[must_use]
    pub const fn reason(self) -> DiscardReason {
        match self {
            Self::Address => DiscardReason::ShieldedAddress,
            Self::Hostname => DiscardReason::ShieldedHostname,
            Self::Path => DiscardReason::ShieldedPath,
            Self::UserAgent => DiscardReason::ShieldedUserAgent,
        }
    }
}

/// A checked pattern of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Shield {
    kind: ShieldKind,
    pattern: String,
    /// Of an address.
    network: Option<Network>,
}

#[derive(Serialize, Deserialize)]
struct Written {
    kind: ShieldKind,
    pattern: String,
}

impl Shield {
    /// Reads a pattern of a kind.
    ///
    /// # Errors
    /// Says what to write instead.
    pub fn parse(kind: ShieldKind, pattern: &str) -> Result<Self, PatternError> {
        let pattern = pattern.trim();
        let refuse = |what: &str| Err(PatternError(format!("{pattern:?} is no {what}")));
        if pattern.is_empty() || pattern.len() > PATTERN_BYTES_MAX || pattern.chars().any(char::is_control) {
            return refuse("pattern: write 1 to 512 bytes of text");
        }
        let network = match kind {
            ShieldKind::Address => match Network::parse(pattern) {
                Some(network) => Some(network),
                None => {
                    return refuse("address: write one like 203.0.113.7, or a network like 203.0.113.0/24");
                }
            },
            ShieldKind::Path if !pattern.starts_with(['/', '*']) => {
                return refuse("path: write one like /admin/*, beginning with / or *");
            }
            ShieldKind::Hostname if pattern.contains(['/', ':']) => {
                return refuse("hostname: write one like staging.shop.example or *.shop.example");
            }
            ShieldKind::Hostname | ShieldKind::Path | ShieldKind::UserAgent => None,
        };
        let pattern = match kind {
            ShieldKind::Hostname | ShieldKind::UserAgent => pattern.to_lowercase(),
            ShieldKind::Address | ShieldKind::Path => pattern.to_owned(),
        };
        Ok(Self { kind, pattern, network })
    }

    /// What it looks at.
    #[must_use]
    pub const fn kind(&self) -> ShieldKind {
        self.kind
    }

    /// The pattern, as it is shown.
    #[must_use]
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// Whether it keeps out what comes from `address`. False for another kind of shield.
    #[must_use]
    pub fn keeps_out_address(&self, address: IpAddr) -> bool {
        self.network.is_some_and(|network| network.contains(address))
    }

    /// Whether it keeps out events of a page on `hostname`. False for another kind of shield.
    #[must_use]
    pub fn keeps_out_hostname(&self, hostname: &str) -> bool {
        self.kind == ShieldKind::Hostname && glob(&self.pattern, &hostname.to_lowercase())
    }

    /// Whether it keeps out events of a page at `path`. False for another kind of shield.
    #[must_use]
    pub fn keeps_out_path(&self, path: &str) -> bool {
        self.kind == ShieldKind::Path && glob(&self.pattern, path)
    }

    /// Whether it keeps out what `user_agent` sends. False for another kind of shield.
    #[must_use]
    pub fn keeps_out_user_agent(&self, user_agent: &str) -> bool {
        self.kind == ShieldKind::UserAgent && user_agent.to_lowercase().contains(&self.pattern)
    }
}

/// Whether `text` is `pattern`, in which `*` stands for any run of characters. Linear in both, but for the
/// stars: a stranger's path cannot make it slow.
fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

impl TryFrom<Written> for Shield {
    type Error = PatternError;
    fn try_from(written: Written) -> Result<Self, PatternError> {
        Self::parse(written.kind, &written.pattern)
    }
}

impl From<Shield> for Written {
    fn from(shield: Shield) -> Self {
        Self { kind: shield.kind, pattern: shield.pattern }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shield(kind: ShieldKind, pattern: &str) -> Shield {
        Shield::parse(kind, pattern).unwrap()
    }

    #[test]
    fn addresses_and_their_networks() {
        let cases = [
            ("203.0.113.7", "203.0.113.7", true),
            ("203.0.113.7", "203.0.113.8", false),
            ("203.0.113.0/24", "203.0.113.255", true),
            ("203.0.113.0/24", "203.0.114.0", false),
            ("0.0.0.0/0", "198.51.100.1", true),
            ("203.0.113.7", "::ffff:203.0.113.7", true),
            ("2001:db8::/32", "2001:db8:1::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("0.0.0.0/0", "2001:db8::1", false),
        ];
        for (pattern, address, keeps_out) in cases {
            let shield = shield(ShieldKind::Address, pattern);
            assert_eq!(shield.keeps_out_address(address.parse().unwrap()), keeps_out, "{pattern} {address}");
        }
    }

    #[test]
    fn paths_hostnames_and_user_agents() {
        let path = |pattern, path| shield(ShieldKind::Path, pattern).keeps_out_path(path);
        assert!(
            path("/admin/*", "/admin/users") && path("/admin/*", "/admin/") && !path("/admin/*", "/admin")
        );
        assert!(path("/a", "/a") && !path("/a", "/ab") && path("*/print", "/x/print"));
        assert!(path("/*/edit/*", "/1/edit/2") && !path("/ab*ba", "/aba"));
        let hostname = |pattern, host| shield(ShieldKind::Hostname, pattern).keeps_out_hostname(host);
        assert!(hostname("Staging.shop.example", "staging.shop.example"));
        assert!(hostname("*.shop.example", "x.shop.example") && !hostname("*.shop.example", "shop.example"));
        let agent = |pattern, agent| shield(ShieldKind::UserAgent, pattern).keeps_out_user_agent(agent);
        assert!(agent("Pingdom", "Mozilla/5.0 pingdom.com_bot") && !agent("Pingdom", "Mozilla/5.0"));
        assert!(!shield(ShieldKind::Path, "/a").keeps_out_user_agent("/a"), "each looks at its own");
    }

    #[test]
    fn what_is_no_pattern_says_what_to_write() {
        let wrong = [
            (ShieldKind::Address, "203.0.113"),
            (ShieldKind::Address, "203.0.113.0/33"),
            (ShieldKind::Path, "admin"),
            (ShieldKind::Hostname, "https://shop.example"),
            (ShieldKind::UserAgent, " "),
        ];
        for (kind, pattern) in wrong {
            assert!(Shield::parse(kind, pattern).unwrap_err().to_string().contains("write"), "{pattern}");
        }
    }

    #[test]
    fn a_shield_crosses_redis_as_kind_and_pattern() {
        let shield = shield(ShieldKind::Address, "203.0.113.0/24");
        let json = serde_json::to_string(&shield).unwrap();
        assert_eq!(json, r#"{"kind":"address","pattern":"203.0.113.0/24"}"#);
        assert_eq!(serde_json::from_str::<Shield>(&json).unwrap(), shield);
    }
}
