//! Chooses the connections to close when connections run short: first those of the client network
//! with the most connections, so that a flood from one network never closes the connections of
//! another. Within a network, the least valuable ones are closed first.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

use crate::http::network::Network;

/// The activity of a connection, in the order in which connections are closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    Idle,
    Blocked,
    Slow,
}

impl Class {
    pub const ALL: [Self; 3] = [Self::Idle, Self::Blocked, Self::Slow];

    pub fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Blocked => "blocked",
            Self::Slow => "slow",
        }
    }
}

/// An open connection.
#[derive(Clone, Debug)]
pub struct ClosingCandidate {
    /// `None` for a trusted proxy: each of its connections counts as a separate network.
    pub network: Option<Network>,
    /// `None` while the connection must not be closed.
    pub class: Option<Class>,
    /// Whether the last change of state is recent. Such a connection is closed last within its
    /// network, and never if the network has few connections.
    pub is_fresh: bool,
    /// Time in its current state.
    pub waited: Duration,
    /// Bytes of an incomplete request that arrived in this time.
    pub bytes: usize,
}

#[derive(Debug, Default)]
pub struct Choice {
    /// The chosen connections, by index into the candidates.
    pub connections: Vec<(usize, Class)>,
    /// The network with the most connections, and their number.
    pub largest: Option<(Network, usize)>,
}

/// Value of a connection. The lowest is closed first.
#[derive(Clone, Copy, Debug, PartialEq)]
struct CloseRank {
    is_fresh: bool,
    class: Class,
    /// Bytes per second for connections that send a request. For all others, including fresh ones,
    /// the negative wait in seconds, so that the connection with the longest wait is closed first.
    pace: f64,
}

impl CloseRank {
    fn of(candidate: &ClosingCandidate, class: Class) -> Self {
        let seconds = candidate.waited.as_secs_f64().max(f64::MIN_POSITIVE);
        let has_rate = class == Class::Slow && !candidate.is_fresh;
        let pace = if has_rate { candidate.bytes as f64 / seconds } else { -seconds };
        Self { is_fresh: candidate.is_fresh, class, pace }
    }
}

impl Eq for CloseRank {}

impl PartialOrd for CloseRank {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for CloseRank {
    fn cmp(&self, other: &Self) -> Ordering {
        // A fresh connection has no meaningful class yet: a new connection is idle until its first
        // bytes are read.
        let of_class = if self.is_fresh { Ordering::Equal } else { self.class.cmp(&other.class) };
        self.is_fresh.cmp(&other.is_fresh).then(of_class).then(self.pace.total_cmp(&other.pace))
    }
}

/// Rank of a group for losing its next connection: its number of connections (at least `fair`),
/// whether it is not a proxy, the rank of the connection, and the index of the group. The group
/// with the highest rank is next.
type NextClosing = (usize, bool, Reverse<CloseRank>, usize);

/// The connections of one client network, or one connection of a trusted proxy.
#[derive(Debug, Default)]
struct ConnectionGroup {
    open: usize,
    is_proxy: bool,
    /// Sorted so that the last one is closed first.
    closable: Vec<(CloseRank, usize)>,
}

/// Chooses at most `surplus` connections. Networks with up to `fair` connections are treated alike.
pub fn choose(candidates: Vec<ClosingCandidate>, surplus: usize, fair: usize) -> Choice {
    let mut of_networks: HashMap<Network, usize> = HashMap::new();
    let mut groups: Vec<ConnectionGroup> = Vec::new();
    for (index, candidate) in candidates.iter().enumerate() {
        let place = match candidate.network {
            Some(network) => *of_networks.entry(network).or_insert(groups.len()),
            None => groups.len(),
        };
        if place == groups.len() {
            groups.push(ConnectionGroup {
                is_proxy: candidate.network.is_none(),
                ..ConnectionGroup::default()
            });
        }
        groups[place].open += 1;
        if let Some(class) = candidate.class {
            groups[place].closable.push((CloseRank::of(candidate, class), index));
        }
    }
    for group in &mut groups {
        group.closable.sort_unstable_by(|a, b| b.cmp(a));
    }
    let largest = of_networks.iter().max_by_key(|(_, place)| groups[**place].open);
    let largest = largest.map(|(network, place)| (*network, groups[*place].open));
    let mut order: BinaryHeap<NextClosing> =
        groups.iter().enumerate().filter_map(|(place, group)| group.next(place, fair)).collect();
    let mut connections = Vec::with_capacity(surplus.min(candidates.len()));
    while connections.len() < surplus
        && let Some((_, _, Reverse(rank), place)) = order.pop()
    {
        let group = &mut groups[place];
        if let Some((_, index)) = group.closable.pop() {
            connections.push((index, rank.class));
            group.open -= 1;
        }
        order.extend(group.next(place, fair));
    }
    Choice { connections, largest }
}

impl ConnectionGroup {
    /// Returns the rank of this group for losing its next connection; `None` if it must not lose
    /// any.
    fn next(&self, place: usize, fair: usize) -> Option<NextClosing> {
        // Fresh connections are spared only in networks with at most `fair` connections: otherwise
        // a network with only fresh connections would cause those of others to be closed.
        let is_closable = |rank: &CloseRank| !rank.is_fresh || self.open > fair;
        let next = self.closable.last().filter(|(rank, _)| is_closable(rank));
        next.map(|(rank, _)| (self.open.max(fair), !self.is_proxy, Reverse(*rank), place))
    }
}
