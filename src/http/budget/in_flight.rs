//! The bodies that hold memory or wait for it, and the shares that bound them.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::Notify;

use crate::http::network::Network;
use crate::http::pace::BodyPace;
use crate::store::LARGE_BYTES;

/// A client with several bodies in flight may use at most this fraction of the budget (1/4).
const SHARE_OF_ONE_CLIENT: usize = 4;
/// No copies are counted for bodies up to this size: most webhooks are much smaller.
pub const LARGE: usize = LARGE_BYTES;
/// Bodies up to this size may also use the last part of the budget, so that larger ones cannot
/// starve them.
pub const SMALL: usize = 64 << 10;
/// Copies of a body in memory, in addition to the body itself.
pub const COPIES: usize = 1;
/// Fraction of the budget (1/6) for the overhead of large bodies: read buffers, SQLite's page
/// cache, and memory that the allocator returns late.
const SHARE_OF_OVERHEAD: usize = 6;
/// Limit on bodies that wait for memory: each holds a read buffer.
pub const MAX_WAITING: usize = 64;
/// A network that holds less than this fraction of the budget (1/64) is never treated as heavy, for
/// any number of networks.
const LIGHT_SHARE: usize = 64;

#[derive(Debug, Default)]
pub struct InFlight {
    pub bytes: usize,
    /// Total of the bodies that are larger than `LARGE`.
    pub large_bytes: usize,
    pub next_id: u64,
    /// Bodies that are larger than `SMALL`, that arrived slowly, or that had to wait for memory.
    /// Older ones have smaller ids.
    pub bodies: HashMap<u64, BodyInFlight>,
    /// Bytes held by each client.
    pub of_clients: HashMap<Network, usize>,
    pub waiting: usize,
}

#[derive(Debug)]
pub struct BodyInFlight {
    pub client: Network,
    pub bytes: usize,
    pub pace: BodyPace,
    /// Requested size while the body waits; otherwise 0.
    pub wanted: usize,
    /// Notified when the body is dropped; `None` while it must not be dropped.
    pub dropped: Option<Arc<Notify>>,
    pub is_dropped: bool,
    /// Whether a body of another network has taken its place among the waiting bodies.
    pub is_displaced: bool,
}

impl InFlight {
    /// Returns the bytes that must be freed before a body may grow from `before` to `after`.
    pub fn missing_bytes(&self, total: usize, before: usize, after: usize) -> usize {
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
            // The cost of large bodies is capped at 3/4 of the budget, so that they leave room for
            // smaller ones.
            return beyond_total.max((rest + cost.min(total / 4 * 3)).saturating_sub(total - total / 16));
        }
        if large_bytes == after {
            return beyond_total;
        }
        beyond_total.max((rest + cost).saturating_sub(total - total / SHARE_OF_OVERHEAD))
    }

    /// Returns the limit on the bytes that several bodies of a client may hold together. While
    /// memory is short and a body waits for it, the limit is a fair share: otherwise the networks
    /// that hold the most would take back the memory that they have just lost.
    pub fn share_of_client(&self, total: usize) -> usize {
        let share = total / SHARE_OF_ONE_CLIENT;
        let is_short = self.waiting > 0 && self.bytes > total / 4 * 3;
        // Counts one more network: that of the waiting body, which is missing from `of_clients` as
        // long as it holds no memory.
        if is_short { share.min(fair_share(total, self.of_clients.len() + 1)) } else { share }
    }

    /// Whether a body of this client may wait for memory. At the limit, it can displace the
    /// youngest waiting body of the network that has the most waiting bodies.
    pub fn has_waiting_slot(&mut self, client: Network) -> bool {
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

    /// Whether an older body of this client holds memory.
    pub fn has_older_of(&self, client: Network, id: u64) -> bool {
        self.bodies.iter().any(|(other, body)| *other < id && body.client == client && body.bytes > 0)
    }

    pub fn has_older_waiting(&self, id: u64) -> bool {
        self.bodies.iter().any(|(other, body)| *other < id && body.wanted > SMALL)
    }
}

/// Returns the size that a body adds to the total of large bodies.
pub fn large(bytes: usize) -> usize {
    if bytes > LARGE { bytes } else { 0 }
}

/// Returns an equal share of the budget for this number of networks.
pub fn fair_share(total_bytes: usize, networks: usize) -> usize {
    (total_bytes / networks.max(1)).max(total_bytes / LIGHT_SHARE).max(SMALL)
}
