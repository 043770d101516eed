//! Proxies whose `X-Forwarded-For` is trusted, and the client address in it.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::config::forwarded_address;

/// The networks of proxies whose `X-Forwarded-For` is trusted.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// Returns the rightmost hop that is not a trusted proxy; `lines` are the values of
    /// `X-Forwarded-For` as received.
    ///
    /// Proxies append to the right end, so everything left of an unreadable hop may be forged. If
    /// the search reaches an unreadable hop, returns the hop to its right, or the peer if the
    /// unreadable hop is the rightmost. If all hops are trusted proxies, returns the leftmost.
    pub fn client_address<'a>(
        &self,
        peer: IpAddr,
        lines: impl DoubleEndedIterator<Item = &'a [u8]>,
    ) -> IpAddr {
        let mut nearest = peer.to_canonical();
        if !self.trust(nearest) {
            return nearest;
        }
        let hops = lines.rev().flat_map(|line| line.rsplit(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
        for hop in hops.filter(|hop| !hop.is_empty()) {
            let Some(address) = forwarded_address(hop) else { return nearest };
            nearest = address;
            if !self.trust(address) {
                break;
            }
        }
        nearest
    }

    pub fn trust(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies() -> TrustedProxies {
        TrustedProxies::new(["10.0.0.0/8", "fd00::/8"].map(|text| text.parse().unwrap()).to_vec())
    }

    #[test]
    fn client_is_rightmost_untrusted_hop_of_trusted_peer() {
        let rows: [(&str, &[&str], &str); 17] = [
            ("203.0.113.9", &[], "203.0.113.9"),
            ("203.0.113.9", &["198.51.100.1"], "203.0.113.9"),
            ("::ffff:203.0.113.9", &["198.51.100.1"], "203.0.113.9"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("::ffff:10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["192.0.2.7, 198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["198.51.100.1,10.0.0.2 ,\t10.0.0.3"], "198.51.100.1"),
            ("10.0.0.1", &["192.0.2.7", "198.51.100.1, 10.0.0.2"], "198.51.100.1"),
            ("10.0.0.1", &["198.51.100.1:4711"], "198.51.100.1"),
            ("10.0.0.1", &["[2001:db8::1]:4711"], "2001:db8::1"),
            ("10.0.0.1", &["[2001:db8::1]"], "2001:db8::1"),
            ("fd00::1", &["2001:db8::1"], "2001:db8::1"),
            ("10.0.0.1", &["::ffff:198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["10.0.0.9, 10.0.0.2"], "10.0.0.9"),
            ("10.0.0.1", &["198.51.100.1, , ,"], "198.51.100.1"),
            ("10.0.0.1", &[""], "10.0.0.1"),
        ];
        for (peer, lines, client) in rows {
            let lines = lines.iter().map(|line| line.as_bytes());
            let found = proxies().client_address(peer.parse().unwrap(), lines);
            assert_eq!(found, client.parse::<IpAddr>().unwrap(), "{peer}");
        }
    }

    #[test]
    fn hops_left_of_unreadable_hop_are_ignored() {
        for garbage in ["unknown", "198.51.100.1;", "1.2.3", "[::1", "\u{e9}", "fe80::1%eth0"] {
            let line = format!("192.0.2.7, {garbage}");
            let found = proxies().client_address("10.0.0.1".parse().unwrap(), [line.as_bytes()].into_iter());
            assert_eq!(found, "10.0.0.1".parse::<IpAddr>().unwrap(), "{garbage}");
            let line = format!("192.0.2.7, {garbage}, 10.0.0.2");
            let found = proxies().client_address("10.0.0.1".parse().unwrap(), [line.as_bytes()].into_iter());
            assert_eq!(found, "10.0.0.2".parse::<IpAddr>().unwrap(), "{garbage}");
        }
    }

    #[test]
    fn header_is_ignored_without_trusted_proxies() {
        let found = TrustedProxies::default()
            .client_address("127.0.0.1".parse().unwrap(), [&b"198.51.100.1"[..]].into_iter());
        assert_eq!(found, "127.0.0.1".parse::<IpAddr>().unwrap());
    }
}
