//! How many requests one client may send to a source: a token bucket each, in bounded memory.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

use crate::config::Rate;

/// The buckets of one source.
pub struct Throttle<C: Clock = DefaultClock> {
    limiter: RateLimiter<Client, HashMapStateStore<Client>, C, NoOpMiddleware<C::Instant>>,
    clock: C,
    most_keys: usize,
}

/// Whom a bucket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Client {
    One(IpAddr),
    /// All newcomers while there are as many buckets as there may be.
    Newcomers,
}

impl Client {
    /// An IPv6 client has a whole /64 to send from.
    pub fn of(address: IpAddr) -> Self {
        Self::One(match address.to_canonical() {
            IpAddr::V4(v4) => IpAddr::V4(v4),
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
        })
    }
}

impl Throttle {
    pub fn new(rate: Rate, most_keys: usize) -> Self {
        Self::with_clock(rate, most_keys, DefaultClock::default())
    }
}

impl<C: Clock + Clone> Throttle<C> {
    fn with_clock(rate: Rate, most_keys: usize, clock: C) -> Self {
        let limiter = RateLimiter::new(quota(rate), HashMapStateStore::default(), clock.clone());
        Self { limiter, clock, most_keys }
    }

    /// Takes one token, or says after how many seconds there will be one.
    ///
    /// # Errors
    /// The seconds for `Retry-After`, at least 1.
    pub fn check(&self, client: IpAddr) -> Result<(), u64> {
        let client = self.bucket_of(Client::of(client));
        self.limiter.check_key(&client).map_err(|not_until| {
            let wait = not_until.wait_time_from(self.clock.now());
            wait.as_secs() + u64::from(wait.subsec_nanos() > 0 || wait.is_zero())
        })
    }

    /// Full buckets are dropped before anybody is counted among the newcomers.
    fn bucket_of(&self, client: Client) -> Client {
        if self.limiter.len() < self.most_keys {
            return client;
        }
        self.limiter.retain_recent();
        if self.limiter.len() < self.most_keys { client } else { Client::Newcomers }
    }
}

fn quota(rate: Rate) -> Quota {
    let count = NonZeroU32::new(rate.count).unwrap_or(NonZeroU32::MIN);
    let each = (rate.per / count.get()).max(Duration::from_nanos(1));
    Quota::with_period(each).unwrap_or_else(|| Quota::per_second(count)).allow_burst(count)
}

impl<C: Clock> std::fmt::Debug for Throttle<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Throttle").field("most_keys", &self.most_keys).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use governor::clock::FakeRelativeClock;

    fn throttle(
        count: u32,
        seconds: u64,
        most_keys: usize,
    ) -> (Throttle<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        let rate = Rate { count, per: Duration::from_secs(seconds) };
        (Throttle::with_clock(rate, most_keys, clock.clone()), clock)
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_client_gets_its_burst_then_one_at_a_time() {
        let (throttle, clock) = throttle(3, 30, 100);
        let client = address("192.0.2.1");
        assert_eq!([throttle.check(client), throttle.check(client), throttle.check(client)], [Ok(()); 3]);
        assert_eq!(throttle.check(client), Err(10));
        clock.advance(Duration::from_secs(10));
        assert_eq!(throttle.check(client), Ok(()));
        assert_eq!(throttle.check(client), Err(10));
    }

    #[test]
    fn clients_do_not_share_a_bucket_but_a_slash_64_does() {
        let (throttle, _) = throttle(1, 60, 100);
        assert_eq!(throttle.check(address("192.0.2.1")), Ok(()));
        assert_eq!(throttle.check(address("192.0.2.2")), Ok(()));
        assert_eq!(throttle.check(address("2001:db8::1")), Ok(()));
        assert!(throttle.check(address("2001:db8::2")).is_err());
        assert_eq!(throttle.check(address("2001:db8:0:1::2")), Ok(()));
        assert!(throttle.check(address("::ffff:192.0.2.1")).is_err());
    }

    #[test]
    fn the_number_of_buckets_is_bounded_and_newcomers_share_one() {
        let (throttle, clock) = throttle(1, 60, 10);
        for last in 0..10 {
            assert_eq!(throttle.check(address(&format!("192.0.2.{last}"))), Ok(()));
        }
        assert_eq!(throttle.check(address("198.51.100.1")), Ok(()));
        assert!(throttle.check(address("198.51.100.2")).is_err());
        assert!(throttle.limiter.len() <= 11);
        clock.advance(Duration::from_secs(120));
        assert_eq!(throttle.check(address("198.51.100.2")), Ok(()));
        assert!(throttle.limiter.len() <= 11);
    }
}
