//! Rules for non-public addresses, which a target created through the API must not reach. No I/O.
//!
//! Based on IANA's special-purpose registries (RFC 6890 and its updates), and on the metadata
//! addresses of clouds. Addresses of a NAT64 translator with a prefix chosen by its operator (RFC
//! 6052) cannot be recognized.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// The forbidden address and the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the address {address} is {reason}")]
pub struct ForbiddenAddress {
    pub address: IpAddr,
    pub reason: &'static str,
}

const PRIVATE: &str = "private";
const LOOPBACK: &str = "loopback";
const LINK_LOCAL: &str = "link-local";
const METADATA: &str = "a cloud's own service";
const DOCUMENTATION: &str = "for documentation";
const BENCHMARKING: &str = "for benchmarks";
const PROTOCOL: &str = "reserved for a protocol";
const MULTICAST: &str = "multicast";
const RESERVED: &str = "reserved";
const UNSPECIFIED: &str = "unspecified";
const RETIRED: &str = "in a retired network";
const TRANSLATOR: &str = "a local NAT64 address";
const DISCARD: &str = "in the discard-only network";

/// Forbidden IPv4 networks. The first one that contains an address gives the reason.
pub(super) const FORBIDDEN_V4: [(Ipv4Net, &str); 18] = [
    (v4([0, 0, 0, 0], 8), UNSPECIFIED),
    (v4([10, 0, 0, 0], 8), PRIVATE),
    (v4([100, 100, 100, 200], 32), METADATA), // Alibaba
    (v4([100, 64, 0, 0], 10), "shared between carrier and customer"),
    (v4([127, 0, 0, 0], 8), LOOPBACK),
    (v4([168, 63, 129, 16], 32), METADATA), // Azure, among public addresses
    (v4([169, 254, 169, 254], 32), METADATA),
    (v4([169, 254, 0, 0], 16), LINK_LOCAL),
    (v4([172, 16, 0, 0], 12), PRIVATE),
    (v4([192, 0, 0, 0], 24), PROTOCOL),
    (v4([192, 0, 2, 0], 24), DOCUMENTATION),
    (v4([192, 88, 99, 0], 24), RETIRED),
    (v4([192, 168, 0, 0], 16), PRIVATE),
    (v4([198, 18, 0, 0], 15), BENCHMARKING),
    (v4([198, 51, 100, 0], 24), DOCUMENTATION),
    (v4([203, 0, 113, 0], 24), DOCUMENTATION),
    (v4([224, 0, 0, 0], 4), MULTICAST),
    (v4([240, 0, 0, 0], 4), RESERVED), // broadcast too
];

/// Forbidden IPv6 networks, without IPv4-mapped addresses, which are checked as IPv4 addresses.
pub(super) const FORBIDDEN_V6: [(Ipv6Net, &str); 20] = [
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 128), UNSPECIFIED),
    (v6([0, 0, 0, 0, 0, 0, 0, 1], 128), LOOPBACK),
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 96), RETIRED), // IPv4-compatible
    (v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48), TRANSLATOR),
    (v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64), DISCARD),
    (v6([0x2001, 1, 0, 0, 0, 0, 0, 0], 32), PROTOCOL),
    (v6([0x2001, 2, 0, 0, 0, 0, 0, 0], 48), BENCHMARKING),
    (v6([0x2001, 0x10, 0, 0, 0, 0, 0, 0], 28), "an ORCHID"),
    (v6([0x2001, 0x20, 0, 0, 0, 0, 0, 0], 28), "an ORCHID"),
    (v6([0x2001, 0x30, 0, 0, 0, 0, 0, 0], 28), PROTOCOL), // drones
    (v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), DOCUMENTATION),
    (v6([0x3ffe, 0, 0, 0, 0, 0, 0, 0], 16), RETIRED), // 6bone
    (v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), DOCUMENTATION),
    (v6([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16), PROTOCOL), // segment routing
    (v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0], 32), METADATA), // Amazon
    (v6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128), METADATA), // Google
    (v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7), PRIVATE),
    (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), LINK_LOCAL),
    (v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10), PRIVATE), // site-local
    (v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), MULTICAST),
];

/// Global unicast. Other addresses that are in no list above are reserved.
const GLOBAL_UNICAST: Ipv6Net = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);
const NAT64: Ipv6Net = v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96);
const SIX_TO_FOUR: Ipv6Net = v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16);
const TEREDO: Ipv6Net = v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32);

const fn v4([a, b, c, d]: [u8; 4], prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6([a, b, c, d, e, f, g, h]: [u16; 8], prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), prefix)
}

/// Checks that an address is public or in an allowed network. An IPv4-mapped IPv6 address is
/// treated as its IPv4 address.
///
/// # Errors
/// If it is neither.
pub fn vet(address: IpAddr, allowed: &[IpNet]) -> Result<(), ForbiddenAddress> {
    let canonical = address.to_canonical();
    if allowed.iter().any(|network| network.contains(&canonical)) {
        return Ok(());
    }
    let reason = match canonical {
        IpAddr::V4(address) => reason_v4(address),
        IpAddr::V6(address) => reason_v6(address, allowed),
    };
    reason.map_or(Ok(()), |reason| Err(ForbiddenAddress { address, reason }))
}

fn reason_v4(address: Ipv4Addr) -> Option<&'static str> {
    let found = FORBIDDEN_V4.iter().find(|(network, _)| network.contains(&address));
    found.map(|(_, reason)| *reason)
}

fn reason_v6(address: Ipv6Addr, allowed: &[IpNet]) -> Option<&'static str> {
    if let Some(carried) = carried(address) {
        // An allowed IPv4 network also allows the IPv6 addresses that lead to it.
        return carried
            .into_iter()
            .find_map(|carried| vet(carried.into(), allowed).err())
            .map(|no| no.reason);
    }
    let found = FORBIDDEN_V6.iter().find(|(network, _)| network.contains(&address));
    match found {
        Some((_, reason)) => Some(reason),
        None if GLOBAL_UNICAST.contains(&address) => None,
        None => Some(RESERVED),
    }
}

/// Returns the IPv4 addresses to which an IPv6 address may lead.
fn carried(address: Ipv6Addr) -> Option<Vec<Ipv4Addr>> {
    let segments = address.segments();
    let at = |index: usize| Ipv4Addr::from(u32::from(segments[index]) << 16 | u32::from(segments[index + 1]));
    if NAT64.contains(&address) {
        Some(vec![at(6)])
    } else if SIX_TO_FOUR.contains(&address) {
        Some(vec![at(1)])
    } else if TEREDO.contains(&address) {
        // The addresses of the server and of the client. Teredo inverts the client's bits, so that
        // a NAT on the path does not rewrite them.
        Some(vec![at(2), Ipv4Addr::from_bits(!at(6).to_bits())])
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
