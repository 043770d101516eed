//! One budget for all bodies in flight, so that memory is bounded however many clients send at once.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::throttle::Client;

/// One client may hold this part of the budget.
const SHARE: usize = 4;

#[derive(Debug)]
pub struct Budget {
    total_bytes: usize,
    client_bytes: usize,
    used: Mutex<Used>,
}

#[derive(Debug, Default)]
struct Used {
    bytes: usize,
    clients: HashMap<Client, usize>,
}

/// Bytes of the budget; given back when it is dropped.
#[derive(Debug)]
pub struct Permit {
    budget: Arc<Budget>,
    client: Client,
    bytes: usize,
}

/// There is no room for more bodies now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsedUp;

impl Budget {
    /// A client always gets room for one body of the greatest size.
    pub fn new(total_bytes: usize, max_body_bytes: usize) -> Self {
        let client_bytes = (total_bytes / SHARE).max(max_body_bytes).min(total_bytes);
        Self { total_bytes, client_bytes, used: Mutex::default() }
    }

    /// # Errors
    /// When the budget, or the client's part of it, is used up.
    pub fn reserve(self: &Arc<Self>, client: IpAddr, bytes: usize) -> Result<Permit, UsedUp> {
        let mut permit = Permit { budget: self.clone(), client: Client::of(client), bytes: 0 };
        permit.grow_to(bytes)?;
        Ok(permit)
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    /// Holds at least so many bytes from now on.
    ///
    /// # Errors
    /// As `reserve`; what is held stays held.
    pub fn grow_to(&mut self, bytes: usize) -> Result<(), UsedUp> {
        let more = bytes.saturating_sub(self.bytes);
        if more == 0 {
            return Ok(());
        }
        let mut used = self.budget.used();
        let of_client = used.clients.get(&self.client).copied().unwrap_or(0);
        if used.bytes + more > self.budget.total_bytes || of_client + more > self.budget.client_bytes {
            return Err(UsedUp);
        }
        used.bytes += more;
        used.clients.insert(self.client, of_client + more);
        drop(used);
        self.bytes += more;
        Ok(())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        let mut used = self.budget.used();
        used.bytes -= self.bytes;
        if let Some(of_client) = used.clients.get_mut(&self.client) {
            *of_client -= self.bytes;
            if *of_client == 0 {
                used.clients.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn one_client_gets_a_quarter_and_all_together_the_whole() {
        let budget = Arc::new(Budget::new(400, 50));
        let permits: Vec<_> = (0..4).map(|last| budget.reserve(address(last), 100).unwrap()).collect();
        assert_eq!(budget.reserve(address(9), 1).unwrap_err(), UsedUp);
        drop(permits);
        assert!(budget.reserve(address(9), 100).is_ok());
        assert_eq!(budget.reserve(address(9), 101).unwrap_err(), UsedUp);
    }

    #[test]
    fn one_body_of_the_greatest_size_always_fits_a_client() {
        let budget = Arc::new(Budget::new(64, 25));
        let permit = budget.reserve(address(1), 25).unwrap();
        assert_eq!(budget.reserve(address(1), 1).unwrap_err(), UsedUp);
        drop(permit);
    }

    #[test]
    fn a_permit_grows_and_gives_everything_back() {
        let budget = Arc::new(Budget::new(400, 50));
        let mut permit = budget.reserve(address(1), 10).unwrap();
        assert_eq!(permit.grow_to(90), Ok(()));
        assert_eq!(permit.grow_to(50), Ok(()));
        assert_eq!(permit.grow_to(101), Err(UsedUp));
        assert_eq!(budget.used().bytes, 90);
        drop(permit);
        assert_eq!(budget.used().bytes, 0);
        assert!(budget.used().clients.is_empty());
    }
}
