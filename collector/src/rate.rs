//! Rate limits: whose buckets a request takes its tokens from.

use std::hash::Hasher as _;
use std::net::{IpAddr, Ipv6Addr};

use siphasher::sip::SipHasher13;
use tallymark_protocol::UnixMs;
use tallymark_protocol::settings::ProjectSettings;
use tallymark_registry::{Bucket, Taken, Tokens};

use crate::Collector;
use crate::refusal::Refusal;

/// The part of an IPv6 address that is its network's: one household or machine has all of the rest.
const IPV6_NETWORK: u128 = !0 << 64;

/// A request's buckets: none, its project's, its address's, or both.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    wanted: [Tokens; 2],
    len: usize,
}

impl Limits {
    fn none() -> Self {
        Self { wanted: [Tokens { bucket: Bucket::Project(0), per_minute: 0, tokens: 0 }; 2], len: 0 }
    }

    fn add(&mut self, bucket: Bucket, per_minute: u32) {
        self.wanted[self.len] = Tokens { bucket, per_minute, tokens: 0 };
        self.len += 1;
    }

    /// So many tokens of each bucket.
    fn tokens(&mut self, tokens: u32) -> &[Tokens] {
        for wanted in &mut self.wanted {
            wanted.tokens = tokens;
        }
        &self.wanted[..self.len]
    }
}

impl Collector {
    /// The buckets of what `address` sends to a project.
    pub(crate) fn limits(&self, project: &ProjectSettings, address: Option<IpAddr>, now: UnixMs) -> Limits {
        let project_id = project.project_id;
        let mut limits = Limits::none();
        if let Some(per_minute) = project.rate_limit_per_minute {
            limits.add(Bucket::Project(project_id), per_minute);
        }
        if let (Some(per_minute), Some(address)) = (project.address_rate_limit_per_minute, address) {
            let hash = hash(&self.address_key(now), project_id, address);
            limits.add(Bucket::Address { project_id, hash }, per_minute);
        }
        limits
    }

    /// Takes tokens of all buckets, or of none.
    ///
    /// # Errors
    /// [`Refusal::RateLimited`].
    pub(crate) async fn take(&self, limits: &mut Limits, tokens: u32, now: UnixMs) -> Result<(), Refusal> {
        if limits.len == 0 {
            return Ok(());
        }
        match self.surroundings().tokens.take(limits.tokens(tokens), now).await {
            Taken::Yes => Ok(()),
            Taken::Limited { retry_after } => Err(Refusal::RateLimited { retry_after }),
        }
    }

    /// Takes tokens for events that were let in.
    pub(crate) async fn charge(&self, limits: &mut Limits, tokens: u32, now: UnixMs) {
        if limits.len > 0 && tokens > 0 {
            self.surroundings().tokens.charge(limits.tokens(tokens), now).await;
        }
    }

    /// What addresses are hashed under today: the salt that all collectors share, else one of this process alone.
    fn address_key(&self, now: UnixMs) -> [u8; 16] {
        match self.surroundings().salts.salt(now.utc_day()) {
            Some(salt) => *salt.0.first_chunk().expect("a salt has 32 bytes"),
            None => self.own_address_key(),
        }
    }
}

/// Names an address's bucket, without naming the address: who does not have the key cannot tell.
fn hash(key: &[u8; 16], project_id: i32, address: IpAddr) -> u64 {
    let mut hasher = SipHasher13::new_with_key(key);
    hasher.write(&project_id.to_le_bytes());
    match address.to_canonical() {
        IpAddr::V4(address) => hasher.write(&address.octets()),
        IpAddr::V6(address) => {
            hasher.write(&Ipv6Addr::from_bits(address.to_bits() & IPV6_NETWORK).octets());
        }
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_of_a_project_an_ipv4_address_or_an_ipv6_network_and_a_key() {
        let hash =
            |key: u8, project_id, address: &str| hash(&[key; 16], project_id, address.parse().unwrap());
        assert_eq!(hash(1, 7, "203.0.113.7"), hash(1, 7, "::ffff:203.0.113.7"));
        assert_eq!(hash(1, 7, "2001:db8:0:1::7"), hash(1, 7, "2001:db8:0:1:ffff::8"));
        let all = [
            hash(1, 7, "203.0.113.7"),
            hash(1, 7, "203.0.113.8"),
            hash(1, 8, "203.0.113.7"),
            hash(2, 7, "203.0.113.7"),
            hash(1, 7, "2001:db8:0:1::"),
            hash(1, 7, "2001:db8:0:2::"),
        ];
        for (index, one) in all.iter().enumerate() {
            assert!(!all[index + 1..].contains(one), "{index}");
        }
    }
}
