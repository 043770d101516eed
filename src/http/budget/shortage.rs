//! Selects the bodies to drop when memory runs short: first those that are too slow for the memory
//! they hold, then the slowest bodies of the networks that hold the most. A network with only one
//! body, or within its fair share, keeps bodies that make progress, and loses its slow small bodies
//! last.

use std::collections::{BinaryHeap, HashMap};

use tokio::time::Instant;

use super::in_flight::{BodyInFlight, InFlight, SMALL, fair_share};
use crate::http::network::Network;

/// Slow small bodies are dropped for a larger one only if together they hold more than this
/// fraction of the budget (1/4): otherwise dropping them would not free enough memory.
const SHARE_OF_SLOW_SMALL: usize = 4;

/// The demand of a body for unavailable memory.
#[derive(Clone, Copy, Debug)]
pub struct Demand {
    /// The body that needs memory.
    pub id: u64,
    pub client: Network,
    /// Current and requested size of its reservation.
    pub held_bytes: usize,
    pub wanted_bytes: usize,
    /// Bytes that must be freed.
    pub needed_bytes: usize,
    /// Size of the whole budget.
    pub total_bytes: usize,
    /// Whether only the share of its own network is used up, so that no body of another network is
    /// dropped.
    pub is_client_share_exhausted: bool,
}

/// A body that may be dropped.
#[derive(Clone, Copy, Debug)]
struct DroppableBody {
    id: u64,
    client: Network,
    bytes: usize,
    /// See `BodyPace::progress`.
    progress: f64,
}

/// The bodies of a network above its fair share.
#[derive(Debug, Default)]
struct NetworkBodies {
    held_bytes: usize,
    /// Number of bodies, including those that cannot be dropped.
    bodies: usize,
    /// The slowest last.
    droppable: Vec<DroppableBody>,
}

impl InFlight {
    /// Drops bodies until enough memory will become free. Returns true if dropped bodies will free
    /// any memory.
    pub fn drop_slowest(&mut self, demand: Demand, now: Instant) -> bool {
        let dropped = self.bodies.values().filter(|body| body.is_dropped);
        let mut coming: usize = dropped.map(|body| body.bytes).sum();
        let slow = self.slow(demand, now);
        let is_newcomer = !self.of_clients.contains_key(&demand.client);
        let networks = self.of_clients.len() + usize::from(is_newcomer);
        let fair_share = fair_share(demand.total_bytes, networks);
        let (first, last): (Vec<_>, Vec<_>) = slow.into_iter().partition(|body| {
            let is_heavy = self.of_clients.get(&body.client).is_some_and(|held| *held > fair_share);
            body.bytes > SMALL || (is_heavy && !demand.is_client_share_exhausted)
        });
        self.drop_some(first, &mut coming, demand.needed_bytes);
        if coming < demand.needed_bytes && !demand.is_client_share_exhausted {
            self.drop_of_crowds(demand, fair_share, &mut coming, now);
        }
        // If the bodies in `last` hold little, dropping them would not free enough memory.
        let last_bytes: usize = last.iter().map(|body| body.bytes).sum();
        if demand.wanted_bytes <= SMALL || last_bytes > demand.total_bytes / SHARE_OF_SLOW_SMALL {
            self.drop_some(last, &mut coming, demand.needed_bytes);
        }
        coming > 0
    }

    /// Drops these bodies, largest first, until enough memory will become free.
    fn drop_some(&mut self, mut bodies: Vec<DroppableBody>, coming: &mut usize, needed_bytes: usize) {
        bodies.sort_unstable_by(|a, b| b.bytes.cmp(&a.bytes).then(a.progress.total_cmp(&b.progress)));
        for body in bodies {
            // `coming` is a lower bound: dropping a body also frees the room for its copies.
            if *coming >= needed_bytes {
                break;
            }
            *coming += self.drop_body(body.id);
        }
    }

    /// Drops a body, and returns the bytes that it frees.
    fn drop_body(&mut self, id: u64) -> usize {
        let Some(body) = self.bodies.get_mut(&id) else { return 0 };
        body.is_dropped = true;
        body.dropped.iter().for_each(|dropped| dropped.notify_one());
        body.bytes
    }

    /// Returns the bodies that are too slow for the memory they hold, without the body of the
    /// demand. If only the client's share is exhausted, returns only bodies of that client.
    fn slow(&self, demand: Demand, now: Instant) -> Vec<DroppableBody> {
        let of_client =
            |body: &DroppableBody| !demand.is_client_share_exhausted || body.client == demand.client;
        let measured = self.bodies.iter().filter(|(id, _)| **id != demand.id).filter_map(|(id, body)| {
            let progress = body.pace.progress(body.bytes, now)?;
            body.droppable(*id, progress)
        });
        measured.filter(|body| body.progress < 1.0 && of_client(body)).collect()
    }

    /// Repeatedly drops the slowest body of the network that holds the most, as long as that
    /// network holds more than its fair share and more than the network of the demand would hold.
    /// If the demand is for the only body of its network, only the fair share counts.
    fn drop_of_crowds(&mut self, demand: Demand, fair_share: usize, coming: &mut usize, now: Instant) {
        let own = demand.client;
        let others = self.of_clients.get(&own).map_or(0, |held| held - demand.held_bytes);
        let rival = if others == 0 { 0 } else { others + demand.wanted_bytes };
        let floor = fair_share.max(rival);
        let heavy = self.of_clients.iter().filter(|(network, held)| **network != own && **held > floor);
        let mut crowds = self.crowds(heavy, now);
        let mut heaviest: BinaryHeap<(usize, usize)> =
            crowds.iter().enumerate().map(|(index, crowd)| (crowd.held_bytes, index)).collect();
        while *coming < demand.needed_bytes
            && let Some((held, index)) = heaviest.pop()
            && held > floor
        {
            let crowd = &mut crowds[index];
            if crowd.bodies > 1
                && let Some(slowest) = crowd.droppable.pop()
            {
                crowd.bodies -= 1;
                heaviest.push((held - slowest.bytes, index));
                *coming += self.drop_body(slowest.id);
            }
        }
    }

    fn crowds<'a>(
        &self,
        heavy: impl Iterator<Item = (&'a Network, &'a usize)>,
        now: Instant,
    ) -> Vec<NetworkBodies> {
        let crowd = |held_bytes: usize| NetworkBodies { held_bytes, ..NetworkBodies::default() };
        let mut crowds: HashMap<Network, NetworkBodies> =
            heavy.map(|(network, held)| (*network, crowd(*held))).collect();
        for (id, body) in &self.bodies {
            let Some(crowd) = crowds.get_mut(&body.client) else { continue };
            if body.is_dropped {
                crowd.held_bytes -= body.bytes;
                continue;
            }
            crowd.bodies += 1;
            let progress = body.pace.progress_since_start(body.bytes, now);
            crowd.droppable.extend(progress.and_then(|progress| body.droppable(*id, progress)));
        }
        let mut crowds: Vec<NetworkBodies> = crowds.into_values().collect();
        for crowd in &mut crowds {
            crowd
                .droppable
                .sort_unstable_by(|a, b| b.progress.total_cmp(&a.progress).then(a.bytes.cmp(&b.bytes)));
        }
        crowds
    }
}

impl BodyInFlight {
    fn droppable(&self, id: u64, progress: f64) -> Option<DroppableBody> {
        let may_be_dropped = self.bytes > 0 && self.wanted == 0 && self.dropped.is_some() && !self.is_dropped;
        may_be_dropped.then_some(DroppableBody { id, client: self.client, bytes: self.bytes, progress })
    }
}
