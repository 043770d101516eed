//! Networks of clients, between which the quarantine divides its space.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const IPV4_LENGTHS: [u8; 2] = [24, 16];
const IPV6_LENGTHS: [u8; 3] = [64, 48, 32];

/// A range of client addresses. The prefix lengths distinguish IPv4 (/24 and /16) from IPv6 (/64,
/// /48 and /32).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClientNetwork {
    bits: u64,
    length: u8,
}

impl ClientNetwork {
    /// The first and the last network in sort order.
    pub const MIN: Self = Self { bits: 0, length: 0 };
    pub const MAX: Self = Self { bits: u64::MAX, length: u8::MAX };

    /// Returns the smallest range used: /24 of IPv4, /64 of IPv6.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self { bits: u64::from(v4.to_bits()), length: IPV4_LENGTHS[0] }.cut(),
            IpAddr::V6(v6) => {
                let high = (v6.to_bits() >> 64) & u128::from(u64::MAX);
                Self { bits: u64::try_from(high).unwrap_or_default(), length: IPV6_LENGTHS[0] }
            }
        }
    }

    /// Parses an address, or a range in the format of `Display`. Returns the smallest range of the
    /// address, regardless of the length after the slash.
    pub fn parse(text: &str) -> Option<Self> {
        let address = text.split_once('/').map_or(text, |(address, _)| address);
        address.parse().ok().map(Self::of)
    }

    /// Returns this range and the wider ranges that contain it, smallest first.
    pub fn and_wider(self) -> impl Iterator<Item = Self> {
        let lengths: &[u8] = if self.is_ipv4() { &IPV4_LENGTHS } else { &IPV6_LENGTHS };
        let wider = lengths.iter().filter(move |length| **length <= self.length);
        wider.map(move |length| Self { length: *length, ..self }.cut())
    }

    /// Returns how many times the space of a smallest range this range can use: 1, 2 or 4. This
    /// limits a client that rotates through the addresses of its allocation, but not a few small
    /// senders in the same allocation.
    pub fn allowance(self) -> u64 {
        match self.length {
            24 | 64 => 1,
            16 | 48 => 2,
            _ => 4,
        }
    }

    pub fn is_smallest(self) -> bool {
        self.allowance() == 1
    }

    /// Returns the next wider range; `None` for the widest.
    pub fn parent(self) -> Option<Self> {
        let length = match self.length {
            24 => 16,
            64 => 48,
            48 => 32,
            _ => return None,
        };
        Some(Self { length, ..self }.cut())
    }

    const fn is_ipv4(self) -> bool {
        matches!(self.length, 24 | 16)
    }

    /// Clears the bits after the prefix.
    fn cut(self) -> Self {
        let width = if self.is_ipv4() { 32 } else { 64 };
        Self { bits: self.bits >> (width - self.length) << (width - self.length), ..self }
    }
}

impl std::fmt::Display for ClientNetwork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_ipv4() {
            let bits = u32::try_from(self.bits).unwrap_or_default();
            write!(f, "{}/{}", Ipv4Addr::from_bits(bits), self.length)
        } else {
            write!(f, "{}/{}", Ipv6Addr::from_bits(u128::from(self.bits) << 64), self.length)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(address: &str) -> ClientNetwork {
        ClientNetwork::of(address.parse().unwrap())
    }

    #[test]
    fn networks_are_written_and_parsed() {
        for (address, text) in [
            ("192.0.2.77", "192.0.2.0/24"),
            ("::ffff:192.0.2.77", "192.0.2.0/24"),
            ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
            ("::1", "::/64"),
        ] {
            assert_eq!(network(address).to_string(), text);
            assert_eq!(ClientNetwork::parse(text), Some(network(address)));
        }
        assert_eq!(ClientNetwork::parse("elsewhere"), None);
    }

    #[test]
    fn wider_ranges_contain_narrower_ranges() {
        let wider = |address| network(address).and_wider().map(|range| range.to_string()).collect::<Vec<_>>();
        assert_eq!(wider("203.0.113.9"), ["203.0.113.0/24", "203.0.0.0/16"]);
        assert_eq!(wider("2001:db8:1:2::9"), ["2001:db8:1:2::/64", "2001:db8:1::/48", "2001:db8::/32"]);
        for range in network("2001:db8:1:2::9").and_wider() {
            assert!(network("2001:db8:1:2::7").and_wider().any(|wider| wider == range));
            assert!(!network("2001:db9::").and_wider().any(|wider| wider == range));
        }
        for address in ["203.0.113.9", "2001:db8:1:2::9"] {
            let wider: Vec<_> = network(address).and_wider().collect();
            for pair in wider.windows(2) {
                assert_eq!(pair[0].parent(), Some(pair[1]));
            }
            assert_eq!(wider.last().unwrap().parent(), None);
        }
    }
}
