//! Detects a proxy that is missing from `CREEL_TRUSTED_PROXIES`: nearly all requests come from one
//! private address. Such a proxy hides the addresses of its clients, so a limit per client applies
//! to all of them together.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use parking_lot::Mutex;

/// Number of requests in a window.
const WINDOW_REQUESTS: u32 = 500;
/// Lead of one address over all others that causes a warning, as a percentage of the requests in a
/// window. An address with 95 % of the requests has it.
const MIN_LEAD_PERCENT: u64 = 90;

#[derive(Debug, Default)]
pub struct Peers {
    has_warned: AtomicBool,
    /// Requests in the current window without signs of an untrusted proxy.
    unsuspected: AtomicU32,
    window: Mutex<PeerWindow>,
}

#[derive(Debug, Default)]
struct PeerWindow {
    candidate: Option<IpAddr>,
    /// Lead of the candidate. At zero, the next suspected peer becomes the candidate, so that the
    /// peer with most of the requests prevails (Boyer and Moore's majority vote).
    lead: u32,
    suspected: u32,
}

impl Peers {
    /// Records a request, and warns once. `is_trusted`: the peer is a trusted proxy.
    /// `is_forwarded`: the request has the header `X-Forwarded-For`.
    pub fn note(&self, peer: IpAddr, is_trusted: bool, is_forwarded: bool) {
        if self.has_warned.load(Ordering::Relaxed) {
            return;
        }
        let peer = peer.to_canonical();
        // A loopback peer is a client on this machine, unless its request was forwarded.
        let is_suspect = !is_trusted && is_private(peer) && (is_forwarded || !peer.is_loopback());
        if !is_suspect {
            self.unsuspected.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let found = self.window.lock().note(peer, &self.unsuspected);
        if let Some(proxy) = found
            && !self.has_warned.swap(true, Ordering::Relaxed)
        {
            log::warn!(
                "nearly all requests come from {proxy}, a private address: if it is a proxy, set \
                 CREEL_TRUSTED_PROXIES={proxy} so that creel distinguishes its clients; without this, limits \
                 apply to all of them together"
            );
        }
    }
}

impl PeerWindow {
    /// Records a request that may come through a proxy; returns the common address at the end of a
    /// window in which nearly all requests came from it.
    fn note(&mut self, peer: IpAddr, unsuspected: &AtomicU32) -> Option<IpAddr> {
        self.suspected += 1;
        if self.lead == 0 {
            self.candidate = Some(peer);
        }
        if self.candidate == Some(peer) {
            self.lead += 1;
        } else {
            self.lead -= 1;
        }
        let others = unsuspected.load(Ordering::Relaxed);
        let total = self.suspected.saturating_add(others);
        if total < WINDOW_REQUESTS {
            return None;
        }
        unsuspected.store(0, Ordering::Relaxed);
        let window = std::mem::take(self);
        let lead = u64::from(window.lead.saturating_sub(others));
        window.candidate.filter(|_| lead * 100 >= u64::from(total) * MIN_LEAD_PERCENT)
    }
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            // Carrier-grade NAT and some overlay networks use 100.64.0.0/10.
            v4.is_private() || v4.is_loopback() || v4.is_link_local() || (a == 100 && b & 0xc0 == 64)
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warns(peers: &[(&str, bool, bool)]) -> bool {
        let noted = Peers::default();
        for (peer, is_trusted, is_forwarded) in peers.iter().cycle().take(2 * WINDOW_REQUESTS as usize) {
            noted.note(peer.parse().unwrap(), *is_trusted, *is_forwarded);
        }
        noted.has_warned.load(Ordering::Relaxed)
    }

    #[test]
    fn one_private_untrusted_address_is_warned_about() {
        for peer in ["172.17.0.1", "::ffff:10.0.0.1", "100.100.1.1", "fd00::1"] {
            assert!(warns(&[(peer, false, false)]), "{peer}");
        }
        assert!(warns(&[("127.0.0.1", false, true)]));
    }

    #[test]
    fn few_requests_of_another_peer_do_not_hide_the_proxy() {
        let mut peers = vec![("172.17.0.1", false, true); 50];
        peers[0] = ("10.0.0.9", false, false);
        assert!(warns(&peers));
        peers[..5].fill(("203.0.113.9", false, false));
        assert!(!warns(&peers), "90 %");
    }

    #[test]
    fn other_traffic_is_not_warned_about() {
        assert!(!warns(&[("203.0.113.9", false, false)]), "public");
        assert!(!warns(&[("172.17.0.1", true, true)]), "trusted");
        assert!(!warns(&[("127.0.0.1", false, false)]), "on the same machine");
        assert!(!warns(&[("10.0.0.1", false, false), ("10.0.0.2", false, false)]), "several");
    }
}
