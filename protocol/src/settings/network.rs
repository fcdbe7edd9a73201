//! An address, or a network of them.

use std::net::IpAddr;

/// `203.0.113.7`, `203.0.113.0/24`, `2001:db8::/32`: an address and how many of its bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    first: IpAddr,
    bits: u8,
}

impl Network {
    /// Reads an address, or a network in CIDR notation. Bits beyond the network's own may be set.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let bits_max = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(bits_max);
        (bits <= bits_max).then(|| Self::new(address, bits))
    }

    /// A version 4 network that is written as one of version 6 is the version 4 network.
    fn new(address: IpAddr, bits: u8) -> Self {
        match (address.to_canonical(), bits.checked_sub(96)) {
            (first @ IpAddr::V4(_), Some(bits)) if address.is_ipv6() => Self { first, bits },
            _ => Self { first: address, bits },
        }
    }

    /// Whether `address` lies in it. A version 4 address may come as one of version 6 (`::ffff:203.0.113.7`).
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        fn shares(a: u128, b: u128, unused: u32) -> bool {
            (a ^ b).checked_shr(unused).unwrap_or(0) == 0
        }
        match (self.first, address.to_canonical()) {
            (IpAddr::V4(first), IpAddr::V4(address)) => {
                shares(u32::from(first).into(), u32::from(address).into(), 32 - u32::from(self.bits))
            }
            (IpAddr::V6(first), IpAddr::V6(address)) => {
                shares(first.into(), address.into(), 128 - u32::from(self.bits))
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_and_the_addresses_in_them() {
        let cases = [
            ("203.0.113.7", "203.0.113.7", true),
            ("203.0.113.7", "203.0.113.8", false),
            ("203.0.113.9/24", "203.0.113.255", true),
            ("203.0.113.0/24", "203.0.114.0", false),
            ("203.0.113.7", "::ffff:203.0.113.7", true),
            ("::ffff:203.0.113.0/120", "203.0.113.7", true),
            ("::ffff:203.0.113.0/120", "203.0.114.7", false),
            ("0.0.0.0/0", "198.51.100.1", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("2001:db8::/32", "2001:db8:1::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("::/0", "2001:db8::1", true),
        ];
        for (network, address, contains) in cases {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(Network::parse(network).unwrap().contains(address), contains, "{network} {address}");
        }
        for nonsense in
            ["", "203.0.113", "203.0.113.0/33", "2001:db8::/129", "203.0.113.0/-1", "/24", "1.2.3.4/"]
        {
            assert_eq!(Network::parse(nonsense), None, "{nonsense}");
        }
    }
}
