//! Limits the provider calls that unauthenticated clients can cause: a webhook that needs a key is
//! not verified yet, and providers have rate limits.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::{Duration, Instant};

const WINDOW: Duration = Duration::from_secs(60);
/// Limit for one client and its neighbourhood: enough for a certificate with its issuers, and
/// another key.
const MAX_CALLS_OF_ONE: usize = 6;
/// Limit for all unknown senders together, high enough that even ten of them cannot keep a source
/// from fetching its keys.
const MAX_CALLS_OF_UNKNOWN_NETWORKS: usize = 90;
/// Limit on the senders that are counted separately from unknown ones.
const MAX_SENDERS: usize = 32;

/// The calls of the last minute and the senders that caused them.
#[derive(Debug, Default)]
pub struct CallLimit {
    calls: VecDeque<(Instant, Neighbourhood)>,
    /// Senders of genuine messages, the latest last.
    senders: VecDeque<Neighbourhood>,
}

/// An IPv4 /24 or an IPv6 /48: the owner of one address in it can easily have more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Neighbourhood {
    V4([u8; 3]),
    V6([u16; 3]),
}

impl From<IpAddr> for Neighbourhood {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => {
                let [a, b, c, _] = v4.octets();
                Self::V4([a, b, c])
            }
            IpAddr::V6(v6) => {
                let [a, b, c, ..] = v6.segments();
                Self::V6([a, b, c])
            }
        }
    }
}

impl CallLimit {
    /// Whether this client may cause a call now; if so, counts the call.
    pub fn take(&mut self, client: IpAddr, now: Instant) -> bool {
        let client = Neighbourhood::from(client);
        while self.calls.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) >= WINDOW) {
            self.calls.pop_front();
        }
        let of_client = self.calls.iter().filter(|(_, other)| *other == client).count();
        let is_sender = self.senders.contains(&client);
        let of_unknown_networks =
            || self.calls.iter().filter(|(_, other)| !self.senders.contains(other)).count();
        let may = of_client < MAX_CALLS_OF_ONE
            && (is_sender || of_unknown_networks() < MAX_CALLS_OF_UNKNOWN_NETWORKS);
        if may {
            self.calls.push_back((now, client));
        }
        may
    }

    /// Records the sender of a genuine message. While it is among the latest `MAX_SENDERS` senders,
    /// its calls do not count towards the limit for unknown senders.
    pub fn sent(&mut self, client: IpAddr) {
        let client = Neighbourhood::from(client);
        if self.senders.back() == Some(&client) {
            return;
        }
        self.senders.retain(|sender| *sender != client);
        if self.senders.len() == MAX_SENDERS {
            self.senders.pop_front();
        }
        self.senders.push_back(client);
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    const SENDER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

    fn v6([a, b, c, d]: [u16; 4]) -> IpAddr {
        Ipv6Addr::new(a, b, c, d, 0, 0, 0, 1).into()
    }

    #[test]
    fn excessive_sender_leaves_other_sender_its_share() {
        let (mut limit, now) = (CallLimit::default(), Instant::now());
        let of_v4 =
            (0..=u8::MAX).filter(|last| limit.take(Ipv4Addr::new(198, 51, 100, *last).into(), now)).count();
        let of_v6 = (0..=u16::MAX).filter(|last| limit.take(v6([0x2001, 0xdb8, 1, *last]), now)).count();
        assert_eq!((of_v4, of_v6), (MAX_CALLS_OF_ONE, MAX_CALLS_OF_ONE));
        assert!((0..MAX_CALLS_OF_ONE).all(|_| limit.take(SENDER, now)));
        assert!(!limit.take(SENDER, now + WINDOW - Duration::from_millis(1)));
        assert!(limit.take(SENDER, now + WINDOW));
    }

    #[test]
    fn unknown_senders_share_limit_separate_from_genuine_sender() {
        let (mut limit, now) = (CallLimit::default(), Instant::now());
        limit.sent(SENDER);
        let taken = (0..=u16::MAX).filter(|number| limit.take(v6([*number; 4]), now)).count();
        assert_eq!(taken, MAX_CALLS_OF_UNKNOWN_NETWORKS);
        assert_eq!((0..20).filter(|_| limit.take(SENDER, now)).count(), MAX_CALLS_OF_ONE);
        for number in 0..=u8::MAX {
            limit.sent(Ipv4Addr::new(203, 0, number, 1).into());
        }
        assert_eq!(limit.senders.len(), MAX_SENDERS);
    }
}
