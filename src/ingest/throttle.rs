//! The limit on the requests that one client may send to a source.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::state::keyed::ShrinkableKeyedStateStore;
use governor::{Quota, RateLimiter};
use parking_lot::Mutex;

use crate::config::Rate;
use crate::http::network::Network;

/// Limit on separately tracked clients of messages, for all sources together. The separate
/// throttles for probes can track the same number again.
pub const MAX_KEYS: usize = 100_000;
/// Buckets shared by clients above the limit.
const SHARED_BUCKETS: usize = 1_024;
/// Minimum time between sweeps. A sweep visits all keys and takes milliseconds, so a flood of
/// addresses must not cause one per request.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// A token bucket per client network. The clock is passed in, so that tests do not need to wait.
pub struct Throttle<C: Clock = DefaultClock> {
    limiter: RateLimiter<Network, Buckets, C, NoOpMiddleware<C::Instant>>,
    max_keys: usize,
    last_sweep: Mutex<Option<C::Instant>>,
}

impl<C: Clock> std::fmt::Debug for Throttle<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Throttle").field("keys", &self.limiter.len()).finish_non_exhaustive()
    }
}

impl<C: Clock> Throttle<C> {
    pub fn new(rate: Rate, max_keys: usize, clock: C) -> Self {
        let burst = NonZeroU32::new(rate.count).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::with_period(rate.per / burst.get())
            .unwrap_or_else(|| Quota::per_second(burst))
            .allow_burst(burst);
        Self {
            limiter: RateLimiter::new(quota, Buckets::new(max_keys), clock),
            max_keys,
            last_sweep: Mutex::new(None),
        }
    }

    /// Takes one token.
    ///
    /// # Errors
    /// No token is left: the time until the next one.
    pub fn take(&self, client: Network) -> Result<(), Duration> {
        if self.limiter.len() >= self.max_keys {
            self.sweep();
        }
        self.limiter
            .check_key(&client)
            .map_err(|rejection| rejection.wait_time_from(self.limiter.clock().now()))
    }

    /// Removes the clients whose buckets are full again.
    fn sweep(&self) {
        let now = self.limiter.clock().now();
        let mut last = self.last_sweep.lock();
        if last.is_none_or(|last| Duration::from(now.duration_since(last)) >= SWEEP_INTERVAL) {
            *last = Some(now);
            self.limiter.retain_recent();
        }
    }
}

/// The state of all buckets, limited in number: above the limit, a new client shares a bucket with
/// others, chosen by a hash that an attacker cannot predict, so that a flood of addresses cannot
/// target one client.
struct Buckets {
    own: Mutex<HashMap<Network, Nanos>>,
    shared: Mutex<Box<[Option<Nanos>]>>,
    hasher: RandomState,
    max_keys: usize,
}

impl Buckets {
    fn new(max_keys: usize) -> Self {
        Self {
            own: Mutex::default(),
            shared: Mutex::new(vec![None; SHARED_BUCKETS].into()),
            hasher: RandomState::new(),
            max_keys,
        }
    }
}

impl StateStore for Buckets {
    type Key = Network;

    fn measure_and_replace<T, F, E>(&self, key: &Network, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut own = self.own.lock();
        if let Some(state) = own.get_mut(key) {
            let (outcome, next) = measure(Some(*state))?;
            *state = next;
            return Ok(outcome);
        }
        if own.len() < self.max_keys {
            let (outcome, next) = measure(None)?;
            own.insert(*key, next);
            return Ok(outcome);
        }
        drop(own);
        let mut shared = self.shared.lock();
        let place = (self.hasher.hash_one(key) % SHARED_BUCKETS as u64) as usize;
        let (outcome, next) = measure(shared[place])?;
        shared[place] = Some(next);
        Ok(outcome)
    }
}

impl ShrinkableKeyedStateStore<Network> for Buckets {
    fn retain_recent(&self, drop_below: Nanos) {
        self.own.lock().retain(|_, state| *state > drop_below);
    }

    fn shrink_to_fit(&self) {
        self.own.lock().shrink_to_fit();
    }

    fn len(&self) -> usize {
        self.own.lock().len()
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn throttle(
        count: u32,
        per: Duration,
        max_keys: usize,
    ) -> (Throttle<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        (Throttle::new(Rate { count, per }, max_keys, clock.clone()), clock)
    }

    fn client(number: u32) -> Network {
        Network::V4(number.to_be_bytes())
    }

    #[test]
    fn client_may_send_burst_then_one_per_refill() {
        let (throttle, clock) = throttle(5, Duration::from_secs(1), 10);
        for _ in 0..5 {
            assert_eq!(throttle.take(client(1)), Ok(()));
        }
        let wait = throttle.take(client(1)).unwrap_err();
        assert!(wait > Duration::ZERO && wait <= Duration::from_millis(200), "{wait:?}");
        clock.advance(wait);
        assert_eq!(throttle.take(client(1)), Ok(()));
        assert!(throttle.take(client(1)).is_err());
    }

    #[test]
    fn clients_have_separate_rates() {
        let (throttle, _clock) = throttle(1, Duration::from_secs(60), 10);
        assert_eq!(throttle.take(client(1)), Ok(()));
        assert!(throttle.take(client(1)).is_err());
        assert_eq!(throttle.take(client(2)), Ok(()));
    }

    #[test]
    fn address_flood_stays_within_limit_and_is_throttled() {
        let (throttle, _clock) = throttle(1, Duration::from_secs(60), 100);
        let taken = (0..10_000).filter(|number| throttle.take(client(*number)).is_ok()).count();
        assert_eq!(throttle.limiter.len(), 100);
        assert!(taken <= 100 + SHARED_BUCKETS, "{taken}");
        assert!(throttle.take(client(1)).is_err(), "a client keeps its bucket");
    }

    #[test]
    fn full_buckets_make_room_for_new_clients() {
        let (throttle, clock) = throttle(1, Duration::from_secs(1), 100);
        for number in 0..100 {
            assert_eq!(throttle.take(client(number)), Ok(()));
        }
        clock.advance(Duration::from_secs(5));
        assert_eq!(throttle.take(client(1_000)), Ok(()));
        assert_eq!(throttle.limiter.len(), 1);
    }
}
