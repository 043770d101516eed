//! Slows down guessing of tokens. The reply to a wrong token is delayed, longer with each attempt
//! from the same client network; a correct token is never delayed. A network with several delayed
//! replies receives 429 for any token, because parallel guesses would otherwise avoid the delay.
//! While many networks guess at the same time, all of them share one rate limit.
//!
//! The exception is a correct token whose role was recently used from the same network: behind an
//! untrusted proxy, an attacker shares the operator's address, and must not lock the operator out.
//! For such a network, 429 distinguishes a wrong token from a correct one without delay, so only
//! the speed of the service limits guesses, to about a thousand a second. Tokens must be too long
//! to be guessed at that rate: the configuration requires 16 characters.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::http::network::Network;
use crate::http::tokens::Role;
use crate::store::Unavailable;

/// Limit on networks with wrong tokens that are tracked separately.
const MAX_NETWORKS: usize = 4_096;
/// Limit on delayed replies to wrong tokens of one network.
const MAX_WAITING: u32 = 8;
/// The same limit for all networks together: each delayed reply holds a connection, and
/// `CREEL_ADMIN_LISTEN` accepts fewer than a hundred. Once this limit is reached, a wrong token is
/// answered immediately, and its network receives 429 for the duration of the delay.
const MAX_WAITING_OF_ALL: u32 = 32;
/// While `MAX_WAITING_OF_ALL` is reached, creel checks one token per interval for all networks
/// together; other requests receive 429.
const PAUSE_ABOVE_LIMIT: Duration = Duration::from_millis(200);
/// Limit on remembered uses of correct tokens.
const MAX_KNOWN: usize = 64;
/// A role is treated as known for a network until this time after its last use from there.
const MAX_KNOWN_AGE: Duration = Duration::from_secs(3_600);
/// Delay of the reply to the first wrong token. It doubles with each further one.
const FIRST_DELAY: Duration = Duration::from_millis(100);
const MAX_DELAY: Duration = Duration::from_secs(5);
/// A network is forgotten this time after its last wrong token.
const MAX_FAILURES_AGE: Duration = Duration::from_secs(600);

#[derive(Clone, Debug, Default)]
pub struct Attempts(Arc<Mutex<AttemptsState>>);

#[derive(Debug, Default)]
struct AttemptsState {
    networks: HashMap<Network, Failures>,
    waiting: u32,
    /// Earliest time of the next token check while `MAX_WAITING_OF_ALL` replies are delayed.
    next_above_limit: Option<Instant>,
    /// The last use of each role from each network. Only correct tokens add to it.
    known: Vec<(Network, Role, Instant)>,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    waiting: u32,
    last: Instant,
    /// Until this time the network receives 429, because a wrong token was answered without its
    /// delay.
    barred_until: Option<Instant>,
}

/// Reason for rejecting a request without disclosing whether its token is correct.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UncheckedToken {
    /// Too many replies to wrong tokens are delayed, for this network or for all networks together.
    TooManyAttempts,
    Unavailable(Unavailable),
}

impl From<Unavailable> for UncheckedToken {
    fn from(why: Unavailable) -> Self {
        Self::Unavailable(why)
    }
}

/// Time after which a rejected client should retry.
pub const RETRY_AFTER: Duration = MAX_DELAY;

/// A delayed reply to a wrong token.
struct DelayedAnswer {
    attempts: Attempts,
    network: Network,
}

impl Attempts {
    /// Whether a request of this network may be answered according to the role of its token.
    /// Remembers an admitted role.
    pub fn admits(&self, network: Network, role: Option<Role>, now: Instant) -> bool {
        let mut state = self.0.lock();
        let Some(role) = role else { return state.has_room(network, now) };
        state.known.retain(|(.., used)| now.saturating_duration_since(*used) < MAX_KNOWN_AGE);
        let place = state.known.iter().position(|(of, known, _)| (*of, *known) == (network, role));
        match place {
            Some(place) => state.known[place].2 = now,
            None if !state.has_room(network, now) => return false,
            None => {
                if state.known.len() >= MAX_KNOWN {
                    let oldest = state.known.iter().enumerate().min_by_key(|(_, (.., used))| *used);
                    let oldest = oldest.map_or(0, |(place, _)| place);
                    state.known.swap_remove(oldest);
                }
                state.known.push((network, role, now));
            }
        }
        true
    }

    /// Records a wrong token, and waits for the delay of its reply.
    pub async fn failed(&self, network: Network) {
        let Some((waiting, delay)) = self.note(network, Instant::now()) else { return };
        tokio::time::sleep(delay).await;
        drop(waiting);
    }

    /// Records a wrong token, and returns the delay of its reply; `None` if the limit on delayed
    /// replies is reached.
    fn note(&self, network: Network, now: Instant) -> Option<(DelayedAnswer, Duration)> {
        // The owner of an IPv6 /48 can guess from all of its /64s.
        let network = network.allocation();
        let mut state = self.0.lock();
        if state.networks.len() >= MAX_NETWORKS && !state.networks.contains_key(&network) {
            let is_recent = |failures: &Failures| {
                failures.waiting > 0 || now.saturating_duration_since(failures.last) < MAX_FAILURES_AGE
            };
            state.networks.retain(|_, failures| is_recent(failures));
        }
        let has_room = state.networks.len() < MAX_NETWORKS;
        let count = match state.networks.get_mut(&network) {
            Some(failures) => {
                let is_old = now.saturating_duration_since(failures.last) >= MAX_FAILURES_AGE;
                failures.count = if is_old { 1 } else { failures.count.saturating_add(1) };
                failures.last = now;
                failures.barred_until = None;
                failures.count
            }
            None if has_room => {
                let first = Failures { count: 1, waiting: 0, last: now, barred_until: None };
                state.networks.insert(network, first);
                1
            }
            // An untracked network has the longest delay.
            None => u32::MAX,
        };
        if state.waiting >= MAX_WAITING_OF_ALL {
            if let Some(failures) = state.networks.get_mut(&network) {
                failures.barred_until = Some(now + delay(count));
            }
            return None;
        }
        state.waiting += 1;
        if let Some(failures) = state.networks.get_mut(&network) {
            failures.waiting += 1;
        }
        Some((DelayedAnswer { attempts: self.clone(), network }, delay(count)))
    }
}

impl AttemptsState {
    /// Whether a token of this network may be checked, correct or not.
    fn has_room(&mut self, network: Network, now: Instant) -> bool {
        let failures = self.networks.get(&network.allocation());
        let is_barred = failures.is_some_and(|failures| {
            failures.waiting >= MAX_WAITING || failures.barred_until.is_some_and(|until| now < until)
        });
        if is_barred || self.waiting < MAX_WAITING_OF_ALL {
            return !is_barred;
        }
        // An untracked network could not be blocked after a wrong token.
        let is_tracked = failures.is_some() || self.networks.len() < MAX_NETWORKS;
        let is_due = self.next_above_limit.is_none_or(|next| now >= next);
        if is_tracked && is_due {
            self.next_above_limit = Some(now + PAUSE_ABOVE_LIMIT);
        }
        is_tracked && is_due
    }
}

impl Drop for DelayedAnswer {
    fn drop(&mut self) {
        let mut state = self.attempts.0.lock();
        state.waiting = state.waiting.saturating_sub(1);
        if let Some(failures) = state.networks.get_mut(&self.network) {
            failures.waiting = failures.waiting.saturating_sub(1);
        }
    }
}

fn delay(count: u32) -> Duration {
    let doublings = count.saturating_sub(1).min(16);
    (FIRST_DELAY * (1 << doublings)).min(MAX_DELAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(number: u32) -> Network {
        Network::V4(number.to_be_bytes())
    }

    #[test]
    fn delay_doubles_up_to_a_limit() {
        let rows = [(1, 100), (2, 200), (3, 400), (6, 3_200), (7, 5_000), (u32::MAX, 5_000)];
        for (count, milliseconds) in rows {
            assert_eq!(delay(count), Duration::from_millis(milliseconds), "{count}");
        }
    }

    #[test]
    fn networks_are_delayed_separately_and_forgotten() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        let delay_of = |number, now| attempts.note(network(number), now).map(|(_, delay)| delay);
        assert_eq!(delay_of(1, now), Some(FIRST_DELAY));
        assert_eq!(delay_of(1, now), Some(2 * FIRST_DELAY));
        assert_eq!(delay_of(2, now), Some(FIRST_DELAY));
        assert_eq!(delay_of(1, now + MAX_FAILURES_AGE), Some(FIRST_DELAY));
    }

    #[test]
    fn parallel_attempts_of_a_network_are_limited() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        let waiting: Vec<_> = (0..MAX_WAITING).map(|_| attempts.note(network(1), now).unwrap()).collect();
        assert!(!attempts.admits(network(1), None, now));
        assert!(!attempts.admits(network(1), Some(Role::Admin), now), "a guess must not be confirmed");
        assert!(attempts.admits(network(2), None, now));
        drop(waiting);
        assert!(attempts.admits(network(1), None, now));
    }

    #[test]
    fn known_role_is_admitted_among_wrong_tokens() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        assert!(attempts.admits(network(1), Some(Role::Reader), now));
        let _waiting: Vec<_> = (0..MAX_WAITING).map(|_| attempts.note(network(1), now).unwrap()).collect();
        let soon = now + MAX_KNOWN_AGE / 2;
        assert!(attempts.admits(network(1), Some(Role::Reader), soon));
        assert!(!attempts.admits(network(1), Some(Role::Admin), soon), "another role");
        assert!(!attempts.admits(network(1), None, soon));
        assert!(!attempts.admits(network(1), Some(Role::Reader), soon + MAX_KNOWN_AGE), "expired");
    }

    #[test]
    fn wrong_token_above_total_limit_blocks_its_network() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        let waiting: Vec<_> = (10..).map_while(|number| attempts.note(network(number), now)).collect();
        assert!(attempts.note(network(1), now).is_none());
        for role in [None, Some(Role::Admin)] {
            assert!(!attempts.admits(network(1), role, now));
        }
        assert!(attempts.admits(network(2), Some(Role::Admin), now), "an operator elsewhere");
        drop(waiting);
        assert!(!attempts.admits(network(1), None, now));
        assert!(attempts.admits(network(1), None, now + FIRST_DELAY));
    }

    #[test]
    fn guesses_of_many_networks_share_one_rate() {
        let (attempts, start) = (Attempts::default(), Instant::now());
        assert!(attempts.admits(network(1), Some(Role::Admin), start));
        // The table of networks is full, and the limit on delayed replies is reached.
        for number in 10_000..20_000 {
            drop(attempts.note(network(number), start));
        }
        let waiting: Vec<_> = (10_000..).map_while(|number| attempts.note(network(number), start)).collect();
        let guess = |number, milliseconds| {
            let now = start + Duration::from_millis(milliseconds);
            let is_admitted = attempts.admits(network(number), None, now);
            if is_admitted {
                assert!(attempts.note(network(number), now).is_none());
            }
            usize::from(is_admitted)
        };
        // Each network guesses once in ten seconds.
        let tracked: usize = (0..2_000).map(|number| guess(10_100 + number, u64::from(number) * 5)).sum();
        assert_eq!(tracked, 50, "five in a second");
        let untracked: usize = (0..2_000).map(|number| guess(50_000 + number, 20_000)).sum();
        assert_eq!(untracked, 0);
        let now = start + Duration::from_secs(20);
        assert!(!attempts.admits(network(60_000), Some(Role::Admin), now), "a guess must not be confirmed");
        assert!(attempts.admits(network(1), Some(Role::Admin), now), "the known operator");
        drop(waiting);
        assert!(attempts.admits(network(60_000), Some(Role::Admin), now));
    }

    #[test]
    fn guesses_from_one_ipv6_allocation_are_delayed_together() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        let from = |number| Network::V6([0x2001, 0xdb8, 1, number]);
        let waiting: Vec<_> = (0..8).map(|number| attempts.note(from(number), now).unwrap()).collect();
        assert_eq!(waiting.last().map(|(_, delay)| *delay), Some(MAX_DELAY));
        assert!(!attempts.admits(from(9), None, now));
        assert!(attempts.admits(Network::V6([0x2001, 0xdb8, 2, 0]), None, now));
    }

    #[test]
    fn known_networks_are_bounded_and_the_oldest_is_forgotten() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        for number in 0..200 {
            let at = now + Duration::from_millis(u64::from(number));
            assert!(attempts.admits(network(number), Some(Role::Admin), at));
        }
        let state = attempts.0.lock();
        assert_eq!(state.known.len(), MAX_KNOWN);
        assert!(state.known.iter().all(|(of, ..)| (136..200).any(|number| network(number) == *of)));
    }

    #[test]
    fn memory_is_bounded_under_a_flood_of_networks() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        for number in 0..10_000 {
            drop(attempts.note(network(number), now));
        }
        assert_eq!(attempts.0.lock().networks.len(), MAX_NETWORKS);
        assert_eq!(attempts.note(network(20_000), now).map(|(_, delay)| delay), Some(MAX_DELAY));
        assert_eq!(
            attempts.note(network(20_000), now + MAX_FAILURES_AGE).map(|(_, delay)| delay),
            Some(FIRST_DELAY)
        );
        let held: Vec<_> = (0..1_000).map_while(|number| attempts.note(network(number), now)).collect();
        assert_eq!(held.len(), 32, "a third of the connections to `CREEL_ADMIN_LISTEN`");
    }
}
