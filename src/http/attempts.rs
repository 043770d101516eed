//! Slows down guessing of tokens. A wrong token is answered late, later with each attempt from the same client network;
//! a right one is never delayed. Only a network with several wrong tokens waiting for their answers is turned away
//! before its token is looked at, otherwise guesses in parallel would be as fast as before.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use actix_web::HttpRequest;
use actix_web::http::header::{AUTHORIZATION, HeaderValue};

use super::client::Network;
use super::endpoints::client_address;
use super::service::Service;
use super::tokens::{Role, has_token};
use crate::store::Unavailable;

/// Networks with wrong tokens that are told apart.
const MAX_NETWORKS: usize = 4_096;
/// Wrong tokens of one network that wait for their answers at a time.
const MAX_WAITING: u32 = 8;
/// The same of all networks together: a connection is held for each.
const MAX_WAITING_OF_ALL: u32 = 256;
/// Delay of the first wrong token; it doubles with each.
const FIRST_DELAY: Duration = Duration::from_millis(100);
const MAX_DELAY: Duration = Duration::from_secs(5);
/// A network is forgotten this time after its last wrong token.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);

#[derive(Clone, Debug, Default)]
pub struct Attempts(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    networks: HashMap<Network, Failures>,
    waiting: u32,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    waiting: u32,
    last: Instant,
}

/// Why a token was not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotJudged {
    /// The network has too many wrong tokens waiting for their answers.
    TooManyAttempts,
    Unavailable(Unavailable),
}

impl From<Unavailable> for NotJudged {
    fn from(why: Unavailable) -> Self {
        Self::Unavailable(why)
    }
}

/// How long a client should wait that was turned away.
pub const RETRY_AFTER: Duration = MAX_DELAY;

/// What the token of a request opens; `None` where there is none, or, after a delay, where it is wrong.
///
/// # Errors
/// When the token was not looked at.
pub async fn role_of(service: &Service, request: &HttpRequest) -> Result<Option<Role>, NotJudged> {
    let authorization = request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes);
    let Some(authorization) = authorization.filter(|value| has_token(value)) else { return Ok(None) };
    let network = client_address(&service.proxies, request).map(Network::from);
    if network.is_some_and(|network| !service.attempts.admits(network)) {
        return Err(NotJudged::TooManyAttempts);
    }
    let role = service.tokens.role(Some(authorization)).await?;
    if role.is_none()
        && let Some(network) = network
    {
        service.attempts.failed(network).await;
    }
    Ok(role)
}

/// A wrong token that waits for its answer.
struct Waiting {
    attempts: Attempts,
    network: Network,
}

impl Attempts {
    /// Whether a token of this network may be looked at now.
    fn admits(&self, network: Network) -> bool {
        self.lock().networks.get(&network).is_none_or(|failures| failures.waiting < MAX_WAITING)
    }

    /// Waits as long as the answer to a wrong token must.
    async fn failed(&self, network: Network) {
        let Some((waiting, delay)) = self.note(network, Instant::now()) else { return };
        tokio::time::sleep(delay).await;
        drop(waiting);
    }

    /// `None` where it is not delayed: so many are already.
    fn note(&self, network: Network, now: Instant) -> Option<(Waiting, Duration)> {
        let mut state = self.lock();
        if state.networks.len() >= MAX_NETWORKS && !state.networks.contains_key(&network) {
            let is_recent = |failures: &Failures| {
                failures.waiting > 0 || now.saturating_duration_since(failures.last) < FORGOTTEN_AFTER
            };
            state.networks.retain(|_, failures| is_recent(failures));
        }
        let has_room = state.networks.len() < MAX_NETWORKS;
        let count = match state.networks.get_mut(&network) {
            Some(failures) => {
                let is_old = now.saturating_duration_since(failures.last) >= FORGOTTEN_AFTER;
                failures.count = if is_old { 1 } else { failures.count.saturating_add(1) };
                failures.last = now;
                failures.count
            }
            None if has_room => {
                state.networks.insert(network, Failures { count: 1, waiting: 0, last: now });
                1
            }
            // Not told apart from others: as slow as the worst of them.
            None => u32::MAX,
        };
        if state.waiting >= MAX_WAITING_OF_ALL {
            return None;
        }
        state.waiting += 1;
        if let Some(failures) = state.networks.get_mut(&network) {
            failures.waiting += 1;
        }
        Some((Waiting { attempts: self.clone(), network }, delay(count)))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut state = self.attempts.lock();
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
    fn networks_are_delayed_apart_and_forgotten() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        let delay_of = |number, now| attempts.note(network(number), now).map(|(_, delay)| delay);
        assert_eq!(delay_of(1, now), Some(FIRST_DELAY));
        assert_eq!(delay_of(1, now), Some(2 * FIRST_DELAY));
        assert_eq!(delay_of(2, now), Some(FIRST_DELAY));
        assert_eq!(delay_of(1, now + FORGOTTEN_AFTER), Some(FIRST_DELAY));
    }

    #[test]
    fn parallel_attempts_of_a_network_are_limited() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        let waiting: Vec<_> = (0..MAX_WAITING).map(|_| attempts.note(network(1), now).unwrap()).collect();
        assert!(!attempts.admits(network(1)));
        assert!(attempts.admits(network(2)));
        drop(waiting);
        assert!(attempts.admits(network(1)));
    }

    #[test]
    fn memory_is_bounded_under_a_flood_of_networks() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        for number in 0..10_000 {
            drop(attempts.note(network(number), now));
        }
        assert_eq!(attempts.lock().networks.len(), MAX_NETWORKS);
        assert_eq!(attempts.note(network(20_000), now).map(|(_, delay)| delay), Some(MAX_DELAY));
        assert_eq!(
            attempts.note(network(20_000), now + FORGOTTEN_AFTER).map(|(_, delay)| delay),
            Some(FIRST_DELAY)
        );
        let held: Vec<_> = (0..1_000).map_while(|number| attempts.note(network(number), now)).collect();
        assert_eq!(held.len(), MAX_WAITING_OF_ALL as usize);
    }
}
