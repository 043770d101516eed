//! Use of the quarantine: bytes by source and client network, and the network whose row is evicted
//! next. Holds only sums in memory, never rows.

use std::collections::{BTreeMap, BTreeSet};

use crate::store::quarantine::network::ClientNetwork;
use crate::store::quarantine::senders::Sender;

/// Networks that are not known senders are evicted first only while together they hold more than
/// 1/`UNKNOWN_NETWORKS_SHARE` of the bytes of all candidates.
const UNKNOWN_NETWORKS_SHARE: u64 = 4;

/// Bytes of candidates.
#[derive(Debug, Default)]
pub struct Shares {
    unknown_networks: GroupShare,
    /// Networks from which the source has verified requests.
    senders: GroupShare,
    known: BTreeSet<Sender>,
}

impl Shares {
    pub fn total(&self) -> u64 {
        self.unknown_networks.total() + self.senders.total()
    }

    pub fn add(&mut self, source: &str, network: ClientNetwork, bytes: u64) {
        self.group(source, network).add(source, network, bytes);
    }

    pub fn remove(&mut self, source: &str, network: ClientNetwork, bytes: u64) {
        self.group(source, network).remove(source, network, bytes);
    }

    /// Returns the source and network whose row is evicted next. Unknown networks come first while
    /// together they exceed their share, otherwise known senders.
    pub fn heaviest(&self) -> Option<(&str, ClientNetwork)> {
        let has_excess_of_unknown_networks =
            self.unknown_networks.total() > self.total() / UNKNOWN_NETWORKS_SHARE;
        let (first, then) = if has_excess_of_unknown_networks {
            (&self.unknown_networks, &self.senders)
        } else {
            (&self.senders, &self.unknown_networks)
        };
        first.heaviest().or_else(|| then.heaviest())
    }

    /// Bytes of one network of a source.
    pub fn of(&self, source: &str, network: ClientNetwork) -> u64 {
        self.unknown_networks.of(source, network) + self.senders.of(source, network)
    }

    /// Marks this network as a known sender of the source.
    pub fn trust(&mut self, (source, network): &Sender) {
        if self.known.insert((source.clone(), *network)) {
            let held = self.unknown_networks.of(source, *network);
            if held > 0 {
                self.unknown_networks.remove(source, *network, held);
                self.senders.add(source, *network, held);
            }
        }
    }

    fn group(&mut self, source: &str, network: ClientNetwork) -> &mut GroupShare {
        let is_sender = !self.known.is_empty() && self.known.contains(&(source.to_owned(), network));
        if is_sender { &mut self.senders } else { &mut self.unknown_networks }
    }
}

/// Bytes of unknown networks, or of known senders.
#[derive(Debug, Default)]
struct GroupShare {
    sources: BTreeMap<String, SourceShare>,
    total: u64,
}

/// Bytes of one source, by network and by wider range.
#[derive(Debug, Default)]
struct SourceShare {
    total: u64,
    bytes: BTreeMap<ClientNetwork, u64>,
    /// The same, ordered by bytes relative to [`ClientNetwork::allowance`] of the range.
    ordered: BTreeSet<(u64, ClientNetwork)>,
    /// The same for each wider range, to find the heaviest network in a range without a scan.
    ordered_within: BTreeSet<(ClientNetwork, u64, ClientNetwork)>,
}

impl GroupShare {
    fn total(&self) -> u64 {
        self.total
    }

    fn add(&mut self, source: &str, network: ClientNetwork, bytes: u64) {
        if !self.sources.contains_key(source) {
            self.sources.insert(source.to_owned(), SourceShare::default());
        }
        let Some(share) = self.sources.get_mut(source) else { return };
        self.total += bytes;
        share.total += bytes;
        for range in network.and_wider() {
            share.change(range, |held| held + bytes);
        }
    }

    fn remove(&mut self, source: &str, network: ClientNetwork, bytes: u64) {
        let Some(share) = self.sources.get_mut(source) else { return };
        self.total = self.total.saturating_sub(bytes);
        share.total = share.total.saturating_sub(bytes);
        for range in network.and_wider() {
            share.change(range, |held| held.saturating_sub(bytes));
        }
        if share.bytes.is_empty() {
            self.total = self.total.saturating_sub(share.total);
            self.sources.remove(source);
        }
    }

    /// Returns the source with the most bytes, and its heaviest network, whose oldest row is
    /// evicted next. A flood thus displaces its own rows while it holds the most.
    fn heaviest(&self) -> Option<(&str, ClientNetwork)> {
        let (name, share) = self.sources.iter().max_by_key(|(_, share)| share.total)?;
        Some((name, share.heaviest()?))
    }

    /// Bytes of one network of a source.
    fn of(&self, source: &str, network: ClientNetwork) -> u64 {
        self.sources.get(source).and_then(|share| share.bytes.get(&network)).copied().unwrap_or_default()
    }
}

impl SourceShare {
    fn change(&mut self, range: ClientNetwork, change: impl Fn(u64) -> u64) {
        let held = self.bytes.get(&range).copied().unwrap_or_default();
        let (parent, before) = (range.parent(), held / range.allowance());
        self.ordered.remove(&(before, range));
        parent.map(|parent| self.ordered_within.remove(&(parent, before, range)));
        match change(held) {
            0 => drop(self.bytes.remove(&range)),
            bytes => {
                self.bytes.insert(range, bytes);
                let weight = bytes / range.allowance();
                self.ordered.insert((weight, range));
                parent.map(|parent| self.ordered_within.insert((parent, weight, range)));
            }
        }
    }

    /// Starts at the heaviest range and follows the heaviest subrange down to a /24 or /64.
    fn heaviest(&self) -> Option<ClientNetwork> {
        let mut found = self.ordered.last()?.1;
        while !found.is_smallest() {
            let within = (found, 0, ClientNetwork::MIN)..=(found, u64::MAX, ClientNetwork::MAX);
            found = self.ordered_within.range(within).next_back()?.2;
        }
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::time::{Duration, Instant};

    use super::*;

    fn network(address: &str) -> ClientNetwork {
        ClientNetwork::of(address.parse().unwrap())
    }

    fn heaviest(shares: &Shares) -> (String, String) {
        let (source, network) = shares.heaviest().unwrap();
        (source.to_owned(), network.to_string())
    }

    #[test]
    fn heaviest_network_of_heaviest_source_yields() {
        let mut shares = Shares::default();
        shares.add("quiet", network("192.0.2.1"), 500);
        shares.add("loud", network("198.51.100.1"), 300);
        shares.add("loud", network("203.0.113.1"), 400);
        assert_eq!(heaviest(&shares), ("loud".to_owned(), "203.0.113.0/24".to_owned()));
        shares.remove("loud", network("203.0.113.1"), 300);
        assert_eq!(heaviest(&shares), ("quiet".to_owned(), "192.0.2.0/24".to_owned()));
        assert_eq!((shares.total(), shares.of("loud", network("203.0.113.200"))), (900, 100));
    }

    #[test]
    fn rotation_within_an_allocation_counts_as_one_network() {
        for (rotate, allowance) in [
            ((|n| format!("2001:db8:7:{n:x}::1")) as fn(u64) -> String, 2),
            (|n| format!("2001:db8:{n:x}::1"), 4),
            (|n| format!("198.51.{}.1", n % 256), 2),
        ] {
            let mut shares = Shares::default();
            shares.add("github", network("192.0.2.1"), 1_000);
            let mut held = 0;
            for number in 0..1_000 {
                shares.add("github", network(&rotate(number)), 100);
                held += 100;
                if held > 1_000 * allowance + 200 {
                    let (_, yields) = heaviest(&shares);
                    assert_ne!(yields, "192.0.2.0/24", "{number} {}", rotate(number));
                    shares.remove("github", ClientNetwork::parse(&yields).unwrap(), 100);
                    held -= 100;
                }
            }
            assert_eq!(shares.of("github", network("192.0.2.1")), 1_000);
        }
    }

    #[test]
    fn known_sender_is_evicted_after_unknown_network_over_share() {
        let mut shares = Shares::default();
        shares.add("github", network("192.0.2.1"), 600);
        shares.trust(&("github".to_owned(), network("192.0.2.1")));
        shares.add("github", network("192.0.2.1"), 200);
        shares.add("other", network("192.0.2.1"), 300);
        assert_eq!(heaviest(&shares), ("other".to_owned(), "192.0.2.0/24".to_owned()));
        shares.remove("other", network("192.0.2.1"), 100);
        assert_eq!(heaviest(&shares), ("github".to_owned(), "192.0.2.0/24".to_owned()));
        shares.remove("github", network("192.0.2.1"), 800);
        assert_eq!((shares.total(), shares.of("github", network("192.0.2.1"))), (200, 0));
    }

    #[test]
    fn heaviest_network_is_found_without_scan() {
        const NETWORKS: u32 = 100_000;
        for address in [
            (|n| IpAddr::V4((n << 8).into())) as fn(u32) -> IpAddr,
            |n| IpAddr::V6((0x2001_0db8_u128 << 96 | u128::from(n) << 64).into()),
            |n| IpAddr::V6((0x2001_0db8_u128 << 96 | u128::from(n) << 80).into()),
        ] {
            let mut shares = Shares::default();
            (0..NETWORKS).for_each(|n| shares.add("github", ClientNetwork::of(address(n)), 2_048));
            let began = Instant::now();
            // 20,000 evictions. With a scan for each, this takes minutes in a debug build.
            for _ in 0..20_000 {
                let (source, network) = shares.heaviest().map(|(name, one)| (name.to_owned(), one)).unwrap();
                assert_eq!(shares.of(&source, network), 2_048);
                shares.remove(&source, network, 2_048);
            }
            assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
            assert_eq!(shares.total(), 80_000 * 2_048);
        }
    }

    #[test]
    fn heaviest_network_of_heaviest_range_yields() {
        let mut shares = Shares::default();
        for (address, bytes) in [
            ("2001:db8:1:1::", 200),
            ("2001:db8:1:2::", 220),
            ("2001:db8:1:3::", 210),
            ("2001:db8:2:1::", 300),
        ] {
            shares.add("github", network(address), bytes);
        }
        // Half of the first /48 (315 bytes) exceeds the heaviest network (300).
        assert_eq!(heaviest(&shares).1, "2001:db8:1:2::/64");
        shares.remove("github", network("2001:db8:1:2::"), 220);
        assert_eq!(heaviest(&shares).1, "2001:db8:2:1::/64");
    }

    #[test]
    fn empty_shares_take_no_memory() {
        let mut shares = Shares::default();
        for number in 0..300 {
            shares.add("a", network(&format!("2001:db8:{number:x}::")), 10);
        }
        for number in 0..300 {
            shares.remove("a", network(&format!("2001:db8:{number:x}::")), 10);
        }
        assert!(shares.unknown_networks.sources.is_empty() && shares.heaviest().is_none());
        assert_eq!(shares.total(), 0);
    }
}
