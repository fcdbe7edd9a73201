//! Visitors without cookies: who has no name of their own gets one for a day, from which nobody can find them again.
//!
//! A browser's event with neither `anonymous_id` nor `user_id` belongs to the visitor that is named by a hash of
//! project, address and user agent, keyed by the day's salt. The next day's salt makes another visitor of the same
//! browser; when a salt is destroyed, not even who has all addresses at hand can tell which visitor was whose.

use std::net::IpAddr;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use tallymark_protocol::{Event, UnixMs};
use tallymark_registry::{Salt, Salts};
use uuid::Builder;

use crate::sender::Sender;

/// What the salts are asked for here: they key other hashes, too, and none may stand for another.
const PURPOSE: &[u8] = b"tallymark visitor 1\0";

/// A request, as far as it names a visitor.
pub(crate) struct Occasion<'a> {
    pub(crate) sender: &'a Sender<'a>,
    pub(crate) project_id: i32,
    pub(crate) received_at: UnixMs,
}

/// Neither the salt of the event's day nor that of its receipt is alive.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NoSalt;

/// Names the visitors of `events` that need it.
///
/// The salt is that of the UTC day in which the event occurred, where it is still alive: so an event of a minute before
/// midnight that arrives after it belongs to the same visitor as the ones before. Else it is the receipt's. Answers
/// whether any needed it.
///
/// # Errors
/// [`NoSalt`], only if some event needs one.
pub(crate) fn name(salts: &dyn Salts, occasion: &Occasion<'_>, events: &mut [Event]) -> Result<bool, NoSalt> {
    let Some(address) = occasion.sender.address.filter(|_| occasion.sender.from_browser) else {
        // A backend speaks for many. Without an address, everybody with the same browser would be one visitor.
        return Ok(false);
    };
    let mut names: Vec<(i32, String)> = Vec::new();
    for event in events.iter_mut().filter(|event| is_nameless(event)) {
        let days = [event.occurred_at.utc_day(), occasion.received_at.utc_day()];
        let alive = days.into_iter().find_map(|day| salts.salt(day).map(|salt| (day, salt)));
        let (day, salt) = alive.ok_or(NoSalt)?;
        let known = names.iter().find(|(known, _)| *known == day).map(|(_, name)| name.clone());
        let name = known.unwrap_or_else(|| {
            let name = hashed(&salt, occasion, address);
            names.push((day, name.clone()));
            name
        });
        event.anonymous_id = Some(name);
    }
    Ok(!names.is_empty())
}

fn is_nameless(event: &Event) -> bool {
    event.anonymous_id.is_none() && event.user_id.is_none()
}

/// A `UUIDv8`: no other kind of id can be the same.
fn hashed(salt: &Salt, occasion: &Occasion<'_>, address: IpAddr) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(&salt.0).expect("HMAC takes keys of any length");
    mac.update(PURPOSE);
    mac.update(&occasion.project_id.to_be_bytes());
    // Both kinds of address in 16 bytes: what follows begins at the same place.
    let address = match address.to_canonical() {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    mac.update(&address.octets());
    mac.update(occasion.sender.user_agent.as_deref().unwrap_or_default().as_bytes());
    let hash = mac.finalize().into_bytes();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    Builder::from_custom_bytes(bytes).into_uuid().to_string()
}

#[cfg(test)]
#[path = "visitor_tests.rs"]
mod tests;
