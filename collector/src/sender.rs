//! Who sent a request, for as long as it is known: what its address is good for, before it is dropped.

use std::net::IpAddr;

use axum::http::HeaderMap;
use tallymark_protocol::settings::ProjectSettings;
use tallymark_protocol::{Decoded, Place, UnixMs};

use crate::refusal::Refusal;
use crate::{Collector, verdict, visitor};

/// Whoever sent a request. It is never printed, so that its address is in no log.
pub(crate) struct Sender<'a> {
    /// The client's address: the peer's, or the one that a trusted proxy tells. An IPv4 address in IPv6's clothes is
    /// taken for what it is.
    pub(crate) address: Option<IpAddr>,
    /// Its user agent, as it is queued.
    pub(crate) user_agent: Option<String>,
    /// Whether a browser sent it, else a backend.
    pub(crate) from_browser: bool,
    /// The request's headers, where a trusted proxy passed it on: a stranger can write whatever country they like.
    pub(crate) proxy_headers: Option<&'a HeaderMap>,
}

/// What stays of a sender, and travels with its events.
pub(crate) struct Kept {
    /// Its user agent.
    pub(crate) user_agent: Option<String>,
    /// Whether a browser sent the events.
    pub(crate) from_browser: bool,
    /// Where they came from.
    pub(crate) place: Place,
    /// The address itself: only where the project's owner keeps addresses.
    pub(crate) address: Option<IpAddr>,
}

impl Collector {
    /// Does with a sender's address all that is ever done with it, and drops it: takes out of `decoded` what the
    /// project's rules keep out, names the visitors that have no name, and finds the place.
    ///
    /// # Errors
    /// [`Refusal::CookielessUnavailable`] where a visitor has to be named and no salt is alive.
    pub(crate) fn judge(
        &self,
        sender: Sender<'_>,
        project: &ProjectSettings,
        received_at: UnixMs,
        decoded: &mut Decoded,
    ) -> Result<Kept, Refusal> {
        let sender = Sender { address: sender.address.map(|address| address.to_canonical()), ..sender };
        verdict::apply(project, &sender, received_at, decoded);
        let occasion = visitor::Occasion { sender: &sender, project_id: project.project_id, received_at };
        self.name_visitors(&occasion, &mut decoded.events)?;
        let is_counted = !decoded.events.is_empty();
        let place = if is_counted { self.places().of(&sender, &decoded.context) } else { Place::default() };
        Ok(Kept {
            place,
            address: sender.address.filter(|_| is_counted && project.keep_addresses),
            user_agent: sender.user_agent,
            from_browser: sender.from_browser,
        })
    }
}

#[cfg(test)]
#[path = "sender_tests.rs"]
mod tests;
