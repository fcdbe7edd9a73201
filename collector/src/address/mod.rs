//! Whose request it is: the address of its sender, behind proxies too.
//!
//! Headers that name an address are anybody's to send. They count only where the connection comes from a proxy that
//! the operator trusts, and only as far back as trusted proxies wrote them.

mod forwarded;
mod proxies;

use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::request::Parts;

pub use self::proxies::{ProxyError, TrustedProxies};

/// Whose request it is, as far as that is known.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Whence {
    /// The sender's address, if the server says who the peer is.
    pub(crate) address: Option<IpAddr>,
    /// Whether a trusted proxy passed the request on: then headers are the proxy's word.
    pub(crate) is_proxied: bool,
}

/// Whose request `head` begins.
pub(crate) fn of(head: &Parts, proxies: &TrustedProxies) -> Whence {
    let Some(ConnectInfo(peer)) = head.extensions.get::<ConnectInfo<SocketAddr>>() else {
        return Whence { address: None, is_proxied: false };
    };
    let peer = peer.ip().to_canonical();
    let is_proxied = proxies.trusts(peer);
    let address = if is_proxied { forwarded::sender(&head.headers, peer, proxies) } else { peer };
    Whence { address: Some(address), is_proxied }
}
