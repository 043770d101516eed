//! The memory for all bodies in flight, from their first byte until they are committed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::client::Network;

/// One client holds at most this share of the budget, unless it has nothing else in flight.
const SHARE_OF_ONE_CLIENT: usize = 4;

/// How much memory bodies hold, and whose.
#[derive(Debug)]
pub struct Budget {
    total_bytes: usize,
    in_flight: Mutex<InFlight>,
}

#[derive(Debug, Default)]
struct InFlight {
    bytes: usize,
    /// Only clients that hold something.
    of_clients: HashMap<Network, usize>,
}

/// There is no room for so many bytes now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsedUp;

impl Budget {
    pub fn new(total_bytes: usize) -> Arc<Self> {
        Arc::new(Self { total_bytes, in_flight: Mutex::default() })
    }

    /// The reservation for one body; it holds nothing yet.
    pub fn reservation(self: &Arc<Self>, client: Network) -> Reservation {
        Reservation { budget: Arc::clone(self), client, bytes: 0 }
    }

    fn lock(&self) -> MutexGuard<'_, InFlight> {
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes reserved for one body, given back on drop.
#[derive(Debug)]
pub struct Reservation {
    budget: Arc<Budget>,
    client: Network,
    bytes: usize,
}

impl Reservation {
    /// Reserves up to `bytes` in all; less than before changes nothing.
    ///
    /// # Errors
    /// When the budget, or the client's share of it, is used up.
    pub fn grow_to(&mut self, bytes: usize) -> Result<(), UsedUp> {
        let more = bytes.saturating_sub(self.bytes);
        if more == 0 {
            return Ok(());
        }
        let mut in_flight = self.budget.lock();
        if more > self.budget.total_bytes.saturating_sub(in_flight.bytes) {
            return Err(UsedUp);
        }
        let of_client = in_flight.of_clients.get(&self.client).copied().unwrap_or_default();
        let is_alone = of_client == self.bytes;
        if !is_alone && of_client + more > self.budget.total_bytes / SHARE_OF_ONE_CLIENT {
            return Err(UsedUp);
        }
        in_flight.bytes += more;
        in_flight.of_clients.insert(self.client, of_client + more);
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        let mut in_flight = self.budget.lock();
        in_flight.bytes -= self.bytes;
        let of_client = in_flight.of_clients.get(&self.client).copied().unwrap_or_default();
        if of_client > self.bytes {
            in_flight.of_clients.insert(self.client, of_client - self.bytes);
        } else {
            in_flight.of_clients.remove(&self.client);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: Network = Network::V4([192, 0, 2, 1]);

    fn other(number: u8) -> Network {
        Network::V4([198, 51, 100, number])
    }

    #[test]
    fn bodies_together_never_hold_more_than_the_budget() {
        let budget = Budget::new(100);
        let mut held = Vec::new();
        for number in 0..4 {
            let mut reservation = budget.reservation(other(number));
            assert_eq!(reservation.grow_to(25), Ok(()));
            held.push(reservation);
        }
        let mut late = budget.reservation(CLIENT);
        assert_eq!(late.grow_to(1), Err(UsedUp));
        held.pop();
        assert_eq!(late.grow_to(25), Ok(()));
        assert_eq!(late.grow_to(26), Err(UsedUp));
    }

    #[test]
    fn one_client_holds_at_most_a_quarter_with_several_bodies() {
        let budget = Budget::new(100);
        let mut first = budget.reservation(CLIENT);
        let mut second = budget.reservation(CLIENT);
        assert_eq!(first.grow_to(20), Ok(()));
        assert_eq!(second.grow_to(5), Ok(()));
        assert_eq!(second.grow_to(6), Err(UsedUp));
        assert_eq!(first.grow_to(21), Err(UsedUp));
        assert_eq!(budget.reservation(other(1)).grow_to(25), Ok(()));
    }

    #[test]
    fn a_single_body_of_a_client_may_take_all_that_is_free() {
        let budget = Budget::new(100);
        let mut only = budget.reservation(CLIENT);
        assert_eq!(only.grow_to(60), Ok(()));
        assert_eq!(only.grow_to(100), Ok(()));
        assert_eq!(only.grow_to(101), Err(UsedUp));
    }

    #[test]
    fn what_is_dropped_is_given_back() {
        let budget = Budget::new(100);
        for _ in 0..3 {
            let mut reservation = budget.reservation(CLIENT);
            assert_eq!(reservation.grow_to(100), Ok(()));
        }
        let in_flight = budget.lock();
        assert_eq!(in_flight.bytes, 0);
        assert!(in_flight.of_clients.is_empty());
    }
}
