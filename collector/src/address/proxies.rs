//! Which proxies are believed.

use std::net::IpAddr;

use tallymark_protocol::settings::Network;

/// What `loopback` means.
const LOOPBACK: [&str; 2] = ["127.0.0.0/8", "::1"];

/// What `private` means beside `loopback`: networks that no address of the internet lies in.
const PRIVATE: [&str; 6] =
    ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "fc00::/7", "fe80::/10"];

/// Proxies whose word on a sender's address is taken. None by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<Network>);

/// A name that means no proxy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no proxy: write an address (10.0.0.7), a network (10.0.0.0/8), loopback or private")]
pub struct ProxyError(String);

impl TrustedProxies {
    /// Reads names of proxies: addresses, networks, `loopback`, `private`; several in one text are separated by commas.
    ///
    /// # Errors
    /// [`ProxyError`] names the first that means nothing.
    pub fn parse<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> Result<Self, ProxyError> {
        let mut networks = Vec::new();
        for names in names {
            for name in names.as_ref().split(',').map(str::trim).filter(|name| !name.is_empty()) {
                let named: &[&str] = match name {
                    "loopback" => &LOOPBACK,
                    "private" => &PRIVATE,
                    _ => &[name],
                };
                if name == "private" {
                    networks.extend(LOOPBACK.iter().filter_map(|network| Network::parse(network)));
                }
                for network in named {
                    networks.push(Network::parse(network).ok_or_else(|| ProxyError(name.to_owned()))?);
                }
            }
        }
        Ok(Self(networks))
    }

    /// Whether `address` is one of them.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_networks_and_lists() {
        let trusts = |names: &[&str], address: &str| {
            TrustedProxies::parse(names).unwrap().trusts(address.parse().unwrap())
        };
        assert!(trusts(&["loopback"], "127.0.0.1") && trusts(&["loopback"], "::1"));
        assert!(!trusts(&["loopback"], "10.0.0.1"));
        for inside in
            ["127.0.0.1", "::1", "10.1.2.3", "172.31.0.1", "192.168.1.1", "fd00::1", "::ffff:10.0.0.1"]
        {
            assert!(trusts(&["private"], inside), "{inside}");
        }
        for outside in ["203.0.113.7", "172.32.0.1", "100.64.0.1", "2001:db8::1"] {
            assert!(!trusts(&["private"], outside), "{outside}");
        }
        assert!(trusts(&["loopback, 203.0.113.0/24", "2001:db8::/32"], "203.0.113.9"));
        assert!(trusts(&["loopback, 203.0.113.0/24", "2001:db8::/32"], "2001:db8::9"));
        assert!(!trusts(&[], "127.0.0.1") && !trusts(&[""], "127.0.0.1"), "nobody, unless said so");
    }

    #[test]
    fn what_is_no_proxy_is_named() {
        for wrong in ["proxy.example", "10.0.0.0/33", "Loopback", "10.0.0.1:80"] {
            let error = TrustedProxies::parse([wrong]).unwrap_err().to_string();
            assert!(error.contains(wrong) && error.contains("loopback or private"), "{error}");
        }
    }
}
