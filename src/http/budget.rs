//! The memory for all bodies in flight, from their first byte until they are committed.
//!
//! While SQLite inserts a body it holds two copies, and the body itself is dropped after the first (`store/message.rs`), one
//! body at a time. So room for one more copy of the largest body is part of the budget, unless that body is the only large
//! one. When there is no room, the slowest bodies are dropped, see
//! `shortage`; where none may be, the younger ones give way to the oldest.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::client::Network;
use super::pace::Pace;
use crate::store::LARGE_BYTES;
use shortage::Demand;

mod shortage;

/// One client holds at most this share of the budget, unless it has nothing else in flight.
const SHARE_OF_ONE_CLIENT: usize = 4;
/// Bodies up to this size do not count copies: most webhooks are much smaller.
const LARGE: usize = LARGE_BYTES;
/// Bodies up to this size may also use the last part of the budget, so that large ones cannot shut them out.
const SMALL: usize = 64 << 10;
/// Slow small bodies are dropped for a larger one only when together they hold more than this share of the budget:
/// otherwise dropping them would not make enough room.
const SHARE_OF_SLOW_SMALL: usize = 4;
/// Copies of a body in memory next to the body itself.
const COPIES: usize = 1;
/// A body waits this long for room.
const WAITED_FOR: Duration = Duration::from_secs(2);
/// How often a waiting body looks for others that have become too slow.
const LOOKED_EVERY: Duration = Duration::from_millis(250);
/// Bodies that wait for room at a time: each holds a read buffer.
const MAX_WAITING: usize = 64;

/// How much memory bodies hold, and whose.
#[derive(Debug)]
pub struct Budget {
    total_bytes: usize,
    in_flight: Mutex<InFlight>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct InFlight {
    bytes: usize,
    /// Of bodies that are larger than `LARGE`.
    large_bytes: usize,
    next_id: u64,
    /// Only bodies that are large, still arriving, or waiting for room, the older with the smaller id.
    bodies: HashMap<u64, Body>,
    /// Only clients that hold something.
    of_clients: HashMap<Network, usize>,
    waiting: usize,
}

#[derive(Debug)]
struct Body {
    client: Network,
    bytes: usize,
    pace: Pace,
    /// Size that it waits for; 0 while it does not wait.
    wanted: usize,
    /// `None` while it cannot be dropped.
    dropped: Option<Arc<Notify>>,
    is_dropped: bool,
    /// A body of another network waits in its place.
    is_displaced: bool,
}

/// There is no room for so many bytes now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsedUp;

/// What stands in the way of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Short {
    /// Of its client's share.
    Share,
    Total,
}

impl Budget {
    pub fn new(total_bytes: usize) -> Arc<Self> {
        Arc::new(Self { total_bytes, in_flight: Mutex::default(), freed: Notify::new() })
    }

    /// The reservation for one body; it holds nothing yet. A client is an address of IPv4 or a /48 of IPv6: whoever has that
    /// may send each body from another /64.
    pub fn reservation(self: &Arc<Self>, client: Network) -> Reservation {
        let client = client.allocation();
        Reservation { budget: Arc::clone(self), client, bytes: 0, id: None, dropped: None }
    }

    /// Maximum size of a decoded body: together with the original body and the copies that SQLite makes, it fits the budget.
    pub fn max_decoded_bytes(&self) -> usize {
        self.total_bytes / 4
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
    /// `None` until it is registered.
    id: Option<u64>,
    dropped: Option<Arc<Notify>>,
}

impl Reservation {
    /// Reserves up to `bytes` in all; less than before changes nothing.
    ///
    /// # Errors
    /// When the budget, or the client's share of it, is used up.
    pub fn grow_to(&mut self, bytes: usize) -> Result<(), UsedUp> {
        let budget = Arc::clone(&self.budget);
        self.grow(&mut budget.lock(), bytes).map_err(|_| UsedUp)
    }

    /// As `grow_to`, but waits for a moment, and has bodies dropped that are too slow.
    ///
    /// # Errors
    /// When there is no room even then.
    pub async fn make_room(&mut self, bytes: usize) -> Result<(), UsedUp> {
        let budget = Arc::clone(&self.budget);
        if self.grow_to(bytes).is_ok() {
            return Ok(());
        }
        let until = Instant::now() + WAITED_FOR;
        let outcome = loop {
            let freed = budget.freed.notified();
            let now = Instant::now();
            match self.ask_for_room(bytes, now) {
                Ok(is_done) if is_done => break Ok(()),
                Ok(_) if now < until => {}
                Ok(_) | Err(UsedUp) => break Err(UsedUp),
            }
            let _ = timeout_at(until.min(now + LOOKED_EVERY), freed).await;
        };
        self.wait_no_longer();
        outcome
    }

    /// True when it has got room, false when it may wait for it.
    fn ask_for_room(&mut self, bytes: usize, now: Instant) -> Result<bool, UsedUp> {
        let budget = Arc::clone(&self.budget);
        let mut in_flight = budget.lock();
        let short = match self.grow(&mut in_flight, bytes) {
            Ok(()) => return Ok(true),
            Err(short) => short,
        };
        let id = self.register(&mut in_flight);
        let client = self.client;
        if in_flight.bodies.get_mut(&id).is_some_and(|body| std::mem::take(&mut body.is_displaced)) {
            return Err(UsedUp);
        }
        let copies = if bytes > LARGE { COPIES } else { 0 };
        // The room for its copies is part of what it lacks.
        let more = (bytes - self.bytes) * (1 + copies);
        let demand = Demand {
            id,
            client,
            held_bytes: self.bytes,
            wanted_bytes: bytes,
            needed_bytes: more.max(in_flight.lacking(budget.total_bytes, self.bytes, bytes)),
            total_bytes: budget.total_bytes,
            is_of_share: short == Short::Share,
        };
        let is_dropping = in_flight.drop_slowest(demand, now);
        let gives_way = match short {
            // Of the bodies of one client only the oldest waits: two would wait for each other.
            Short::Share => in_flight.has_older_of(client, id),
            // A body that holds little keeps no other from growing.
            Short::Total => self.bytes > SMALL && in_flight.has_older_in_waiting(id),
        };
        if !is_dropping && gives_way {
            return Err(UsedUp);
        }
        let is_waiting = in_flight.bodies.get(&id).is_some_and(|body| body.wanted > 0);
        if !is_waiting {
            if !in_flight.has_place_to_wait(client) {
                return Err(UsedUp);
            }
            let Some(body) = in_flight.bodies.get_mut(&id) else { return Err(UsedUp) };
            body.wanted = bytes;
            in_flight.waiting += 1;
            // A younger one that waits gives way.
            budget.freed.notify_waiters();
        }
        Ok(false)
    }

    fn wait_no_longer(&mut self) {
        let Some(id) = self.id else { return };
        let mut in_flight = self.budget.lock();
        let Some(body) = in_flight.bodies.get_mut(&id) else { return };
        let is_waiting = std::mem::take(&mut body.wanted) > 0;
        if std::mem::take(&mut body.is_displaced) || is_waiting {
            // The time of waiting was not the sender's.
            body.pace = Pace::new(Instant::now());
        }
        in_flight.waiting -= usize::from(is_waiting);
    }

    fn grow(&mut self, in_flight: &mut InFlight, bytes: usize) -> Result<(), Short> {
        let more = bytes.saturating_sub(self.bytes);
        if more == 0 {
            return Ok(());
        }
        let total = self.budget.total_bytes;
        let others = in_flight.of_clients.get(&self.client).map_or(0, |held| held - self.bytes);
        if others > 0 && others + bytes > in_flight.share_of_client(total) {
            return Err(Short::Share);
        }
        if in_flight.lacking(total, self.bytes, bytes) > 0 {
            return Err(Short::Total);
        }
        *in_flight.of_clients.entry(self.client).or_default() += more;
        in_flight.bytes += more;
        in_flight.large_bytes += large(bytes) - large(self.bytes);
        self.bytes = bytes;
        // Nearly all bodies are small and arrive in one piece: for them the sums are enough.
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
        let body = Body {
            client: self.client,
            bytes: self.bytes,
            pace: Pace::new(Instant::now()),
            wanted: 0,
            dropped: None,
            is_dropped: false,
            is_displaced: false,
        };
        in_flight.bodies.insert(id, body);
        self.id = Some(id);
        id
    }

    /// From now on the body may be dropped for being slow.
    pub fn watch(&mut self) {
        if self.dropped.is_none() {
            let budget = Arc::clone(&self.budget);
            let mut in_flight = budget.lock();
            let id = self.register(&mut in_flight);
            let dropped = Arc::new(Notify::new());
            if let Some(body) = in_flight.bodies.get_mut(&id) {
                body.pace = Pace::new(Instant::now());
                body.dropped = Some(Arc::clone(&dropped));
            }
            self.dropped = Some(dropped);
        }
    }

    /// Bytes have arrived. Free unless the body is watched.
    pub fn arrived(&self, bytes: usize) {
        if self.dropped.is_some()
            && let Some(id) = self.id
            && let Some(body) = self.budget.lock().bodies.get_mut(&id)
        {
            body.pace.arrived(bytes, Instant::now());
        }
    }

    /// Resolves when the body is dropped for being slow.
    pub async fn dropped(&self) {
        match &self.dropped {
            Some(dropped) => dropped.notified().await,
            None => std::future::pending().await,
        }
    }

    /// The whole body has arrived: it is not dropped any more.
    pub fn complete(&mut self) {
        if self.dropped.take().is_some()
            && let Some(id) = self.id
            && let Some(body) = self.budget.lock().bodies.get_mut(&id)
        {
            body.dropped = None;
        }
    }
}

impl InFlight {
    /// What must come free before a body may grow from `before` to `after`.
    fn lacking(&self, total: usize, before: usize, after: usize) -> usize {
        let bytes = self.bytes - before + after;
        let beyond_total = bytes.saturating_sub(total);
        if after <= SMALL || bytes == after {
            return beyond_total;
        }
        let large_bytes = self.large_bytes - large(before) + large(after);
        let rest = bytes - large_bytes;
        let largest = self.bodies.values().map(|body| body.bytes).max().unwrap_or_default().max(after);
        let cost = large_bytes + COPIES * large(largest);
        if after <= LARGE {
            // A large body leaves room for others, whatever its copies take.
            return beyond_total.max((rest + cost.min(total / 4 * 3)).saturating_sub(total - total / 16));
        }
        let with_copies = if large_bytes == after { bytes } else { rest + cost };
        with_copies.max(bytes).saturating_sub(total)
    }

    /// What several bodies of a client may hold together. While a body waits because little is free, that is no more than a
    /// fair share: otherwise the networks that hold the most would take what they have just lost.
    fn share_of_client(&self, total: usize) -> usize {
        let share = total / SHARE_OF_ONE_CLIENT;
        let is_short = self.waiting > 0 && self.bytes > total / 4 * 3;
        // One more, which waits and may hold nothing yet.
        if is_short { share.min(shortage::fair_share(total, self.of_clients.len() + 1)) } else { share }
    }

    /// Whether a body of this client may wait for room, maybe in place of the youngest of the network that has the most
    /// waiting.
    fn has_place_to_wait(&mut self, client: Network) -> bool {
        if self.waiting < MAX_WAITING {
            return true;
        }
        let mut waiting: HashMap<Network, (usize, u64)> = HashMap::new();
        for (id, body) in self.bodies.iter().filter(|(_, body)| body.wanted > 0) {
            let (count, youngest) = waiting.entry(body.client).or_default();
            *count += 1;
            *youngest = (*youngest).max(*id);
        }
        let own = waiting.get(&client).map_or(0, |(count, _)| *count);
        let Some((count, youngest)) = waiting.into_values().max() else { return false };
        let Some(body) = self.bodies.get_mut(&youngest).filter(|_| count > own + 1) else { return false };
        body.wanted = 0;
        body.is_displaced = true;
        self.waiting -= 1;
        true
    }

    /// Whether an older body of this client holds something.
    fn has_older_of(&self, client: Network, id: u64) -> bool {
        self.bodies.iter().any(|(other, body)| *other < id && body.client == client && body.bytes > 0)
    }

    fn has_older_in_waiting(&self, id: u64) -> bool {
        self.bodies.iter().any(|(other, body)| *other < id && body.wanted > SMALL)
    }
}

/// What a body of this size counts among the large ones.
fn large(bytes: usize) -> usize {
    if bytes > LARGE { bytes } else { 0 }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.bytes == 0 && self.id.is_none() {
            return;
        }
        let mut in_flight = self.budget.lock();
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
