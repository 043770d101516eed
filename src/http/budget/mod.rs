//! The memory budget of all bodies in flight, from their first byte until they are committed.
//!
//! While SQLite inserts a body, it holds two copies. The body itself is dropped after the first
//! copy (`store/message/insert.rs`), and bodies are inserted one at a time. So the budget includes
//! room for one more copy of the largest body, unless that body is the only large one. When memory
//! runs short, the slowest bodies are dropped (see `shortage`); if none may be dropped, younger
//! bodies give way to the oldest.

use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::http::network::Network;
use crate::http::pace::BodyPace;
use in_flight::{BodyInFlight, COPIES, InFlight, LARGE, SMALL, large};
use shortage::Demand;

mod in_flight;
mod shortage;

/// Maximum time that a body waits for memory.
const ROOM_TIMEOUT: Duration = Duration::from_secs(2);
/// Interval at which a waiting body checks for others that have become too slow.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);

/// The memory that bodies hold, by client.
#[derive(Debug)]
pub struct Budget {
    total_bytes: usize,
    in_flight: Mutex<InFlight>,
    freed: Notify,
}

/// The budget has no room for the requested bytes now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetExhausted;

/// Cause that prevents a body from growing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shortage {
    /// The share of its client is used up.
    Share,
    Total,
}

impl Budget {
    pub fn new(total_bytes: usize) -> Arc<Self> {
        Arc::new(Self { total_bytes, in_flight: Mutex::default(), freed: Notify::new() })
    }

    /// Returns an empty reservation for one body. A client is an IPv4 address or an IPv6 /48: the
    /// owner of a /48 can send each body from another /64.
    pub fn reservation(self: &Arc<Self>, client: Network) -> Reservation {
        let client = client.allocation();
        Reservation { budget: Arc::clone(self), client, bytes: 0, id: None, dropped: None }
    }

    /// Maximum size of a decoded body: together with the original body and SQLite's copies, it fits
    /// the budget.
    pub fn max_decoded_bytes(&self) -> usize {
        self.total_bytes / 4
    }
}

/// Bytes reserved for one body, released on drop.
#[derive(Debug)]
pub struct Reservation {
    budget: Arc<Budget>,
    client: Network,
    bytes: usize,
    /// The key in `InFlight::bodies`; `None` until the body is registered there.
    id: Option<u64>,
    dropped: Option<Arc<Notify>>,
}

impl Reservation {
    /// Grows the reservation to `bytes` in total; never shrinks it.
    ///
    /// # Errors
    /// If the budget, or the client's share of it, is used up.
    pub fn grow_to(&mut self, bytes: usize) -> Result<(), BudgetExhausted> {
        let budget = Arc::clone(&self.budget);
        self.grow(&mut budget.in_flight.lock(), bytes).map_err(|_| BudgetExhausted)
    }

    /// Grows the reservation like `grow_to`, but waits up to `ROOM_TIMEOUT`, and drops bodies that
    /// are too slow.
    ///
    /// # Errors
    /// If there is no room after that time, or the body gives way to another.
    pub async fn make_room(&mut self, bytes: usize) -> Result<(), BudgetExhausted> {
        let budget = Arc::clone(&self.budget);
        if self.grow_to(bytes).is_ok() {
            return Ok(());
        }
        let until = Instant::now() + ROOM_TIMEOUT;
        let outcome = loop {
            let freed = budget.freed.notified();
            let now = Instant::now();
            match self.try_make_room(bytes, now) {
                Ok(is_done) if is_done => break Ok(()),
                Ok(_) if now < until => {}
                Ok(_) | Err(BudgetExhausted) => break Err(BudgetExhausted),
            }
            let _ = timeout_at(until.min(now + CHECK_INTERVAL), freed).await;
        };
        self.stop_waiting();
        outcome
    }

    /// Returns true if the memory is reserved, false if the body may wait for it.
    fn try_make_room(&mut self, bytes: usize, now: Instant) -> Result<bool, BudgetExhausted> {
        let budget = Arc::clone(&self.budget);
        let mut in_flight = budget.in_flight.lock();
        let short = match self.grow(&mut in_flight, bytes) {
            Ok(()) => return Ok(true),
            Err(short) => short,
        };
        let id = self.register(&mut in_flight);
        let client = self.client;
        if in_flight.bodies.get_mut(&id).is_some_and(|body| std::mem::take(&mut body.is_displaced)) {
            return Err(BudgetExhausted);
        }
        let copies = if bytes > LARGE { COPIES } else { 0 };
        // The needed bytes include room for the copies.
        let more = (bytes - self.bytes) * (1 + copies);
        let demand = Demand {
            id,
            client,
            held_bytes: self.bytes,
            wanted_bytes: bytes,
            needed_bytes: more.max(in_flight.missing_bytes(budget.total_bytes, self.bytes, bytes)),
            total_bytes: budget.total_bytes,
            is_client_share_exhausted: short == Shortage::Share,
        };
        let is_dropping = in_flight.drop_slowest(demand, now);
        let gives_way = match short {
            // Only the oldest body of a client waits: two would wait for each other.
            Shortage::Share => in_flight.has_older_of(client, id),
            // A body that holds little does not prevent others from growing.
            Shortage::Total => self.bytes > SMALL && in_flight.has_older_waiting(id),
        };
        if !is_dropping && gives_way {
            return Err(BudgetExhausted);
        }
        let is_waiting = in_flight.bodies.get(&id).is_some_and(|body| body.wanted > 0);
        if !is_waiting {
            if !in_flight.has_waiting_slot(client) {
                return Err(BudgetExhausted);
            }
            let Some(body) = in_flight.bodies.get_mut(&id) else { return Err(BudgetExhausted) };
            body.wanted = bytes;
            in_flight.waiting += 1;
            // Wakes the waiting bodies, so that a younger one can give way.
            budget.freed.notify_waiters();
        }
        Ok(false)
    }

    fn stop_waiting(&mut self) {
        let Some(id) = self.id else { return };
        let mut in_flight = self.budget.in_flight.lock();
        let Some(body) = in_flight.bodies.get_mut(&id) else { return };
        let is_waiting = std::mem::take(&mut body.wanted) > 0;
        if std::mem::take(&mut body.is_displaced) || is_waiting {
            // The wait is not treated as slowness of the sender.
            body.pace = BodyPace::new(Instant::now());
        }
        in_flight.waiting -= usize::from(is_waiting);
    }

    fn grow(&mut self, in_flight: &mut InFlight, bytes: usize) -> Result<(), Shortage> {
        let more = bytes.saturating_sub(self.bytes);
        if more == 0 {
            return Ok(());
        }
        let total = self.budget.total_bytes;
        let others = in_flight.of_clients.get(&self.client).map_or(0, |held| held - self.bytes);
        if others > 0 && others + bytes > in_flight.share_of_client(total) {
            return Err(Shortage::Share);
        }
        if in_flight.missing_bytes(total, self.bytes, bytes) > 0 {
            return Err(Shortage::Total);
        }
        *in_flight.of_clients.entry(self.client).or_default() += more;
        in_flight.bytes += more;
        in_flight.large_bytes += large(bytes) - large(self.bytes);
        self.bytes = bytes;
        // Nearly all bodies are small and arrive in one piece. They are counted only in the totals.
        if self.id.is_some() || bytes > SMALL {
            let id = self.register(in_flight);
            if let Some(body) = in_flight.bodies.get_mut(&id) {
                body.bytes = bytes;
            }
        }
        Ok(())
    }

    fn register(&mut self, in_flight: &mut InFlight) -> u64 {
        if let Some(id) = self.id {
            return id;
        }
        in_flight.next_id += 1;
        let id = in_flight.next_id;
        let body = BodyInFlight {
            client: self.client,
            bytes: self.bytes,
            pace: BodyPace::new(Instant::now()),
            wanted: 0,
            dropped: None,
            is_dropped: false,
            is_displaced: false,
        };
        in_flight.bodies.insert(id, body);
        self.id = Some(id);
        id
    }

    /// Allows the body to be dropped if it is too slow.
    pub fn watch(&mut self) {
        if self.dropped.is_none() {
            let budget = Arc::clone(&self.budget);
            let mut in_flight = budget.in_flight.lock();
            let id = self.register(&mut in_flight);
            let dropped = Arc::new(Notify::new());
            if let Some(body) = in_flight.bodies.get_mut(&id) {
                body.pace = BodyPace::new(Instant::now());
                body.dropped = Some(Arc::clone(&dropped));
            }
            self.dropped = Some(dropped);
        }
    }

    /// Records that bytes have arrived. Takes no lock unless the body is watched.
    pub fn arrived(&self, bytes: usize) {
        if self.dropped.is_some()
            && let Some(id) = self.id
            && let Some(body) = self.budget.in_flight.lock().bodies.get_mut(&id)
        {
            body.pace.arrived(bytes, Instant::now());
        }
    }

    /// Resolves when the body is dropped because it is too slow.
    pub async fn dropped(&self) {
        match &self.dropped {
            Some(dropped) => dropped.notified().await,
            None => std::future::pending().await,
        }
    }

    /// Marks the body as complete: from now on it cannot be dropped.
    pub fn complete(&mut self) {
        if self.dropped.take().is_some()
            && let Some(id) = self.id
            && let Some(body) = self.budget.in_flight.lock().bodies.get_mut(&id)
        {
            body.dropped = None;
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.bytes == 0 && self.id.is_none() {
            return;
        }
        let mut in_flight = self.budget.in_flight.lock();
        let body = self.id.and_then(|id| in_flight.bodies.remove(&id));
        in_flight.waiting -= usize::from(body.is_some_and(|body| body.wanted > 0));
        in_flight.bytes -= self.bytes;
        in_flight.large_bytes -= large(self.bytes);
        if let Entry::Occupied(mut of_client) = in_flight.of_clients.entry(self.client) {
            *of_client.get_mut() -= self.bytes;
            if *of_client.get() == 0 {
                of_client.remove();
            }
        }
        let is_awaited = in_flight.waiting > 0;
        drop(in_flight);
        if is_awaited {
            self.budget.freed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests;
