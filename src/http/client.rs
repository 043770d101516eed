//! The client of a request: its peer, or the client that a trusted proxy names.

use std::net::IpAddr;

use actix_web::HttpRequest;

use crate::config::FORWARDED_FOR;
use crate::http::connections::Link;
use crate::http::network::Network;
use crate::http::proxies::TrustedProxies;

/// Returns the client's address; `None` only if the request has no peer, as in tests without a
/// socket.
pub fn client_address(proxies: &TrustedProxies, request: &HttpRequest) -> Option<IpAddr> {
    let lines = request.headers().get_all(FORWARDED_FOR).map(|value| value.as_bytes());
    let peer = request.peer_addr()?.ip();
    let client = proxies.client_address(peer, lines);
    if client != peer.to_canonical()
        && let Some(link) = request.conn_data::<Link>()
    {
        link.attribute(Network::from(client));
    }
    Some(client)
}
