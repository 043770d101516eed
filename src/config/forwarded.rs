//! `X-Forwarded-For`, in which the proxies of `CREEL_TRUSTED_PROXIES` name the client.

use std::net::{IpAddr, SocketAddr};

/// The header with the addresses that a request has passed through.
pub const FORWARDED_FOR: &str = "x-forwarded-for";

/// Parses `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:80`.
pub fn forwarded_address(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?;
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip())).ok()?;
    Some(IpAddr::to_canonical(&address))
}
