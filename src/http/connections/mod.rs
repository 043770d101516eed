//! The registry of the connections to one listening address. When connections run short, it closes
//! some of them, so that no client can lock others out. There is no fixed limit per client address:
//! behind a proxy that `CREEL_TRUSTED_PROXIES` does not list, all clients share one address, so
//! such a limit would reject genuine senders.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::Context;
use std::time::Duration;

use futures_util::task::AtomicWaker;
use parking_lot::{Mutex, MutexGuard};
use prometheus::{IntCounterVec, IntGauge};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use crate::http::log_limit::LogLimit;
use crate::http::network::Network;
use crate::http::proxies::TrustedProxies;
use crate::http::scanner::Stage;
use choice::{Class, ClosingCandidate};

mod choice;
mod opening;

pub use opening::Opening;

/// Fraction of the connections (1/16) that is kept free for new clients.
const FREE_SHARE: usize = 16;
/// Networks with up to this fraction of the connections (1/128) rank equally: a provider with a few
/// connections must not give way to a flood from thousands of addresses.
const FAIR_SHARE: usize = 128;
/// A new connection needs a moment to send its request: for this time after its last change of
/// state, a connection is closed only if its network has more than its fair share, and then the
/// oldest first.
const GRACE: Duration = Duration::from_secs(1);
/// Interval between rounds of closing while connections are short.
const ROUND_PAUSE: Duration = Duration::from_millis(20);
/// Interval between checks for open connections while the service stops.
const CLOSED_CHECK_PAUSE: Duration = Duration::from_millis(10);
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Registry of the connections to one listening address.
#[derive(Debug)]
pub struct Connections {
    limit: usize,
    open: AtomicUsize,
    next_id: AtomicU64,
    entries: Mutex<HashMap<u64, Arc<ConnectionEntry>>>,
    shortage: Notify,
    proxies: TrustedProxies,
    gauge: IntGauge,
    closed: IntCounterVec,
    log: LogLimit,
}

/// A handle to one registered connection.
#[derive(Clone, Debug, Default)]
pub struct Link(Arc<ConnectionEntry>);

#[derive(Debug, Default)]
struct ConnectionEntry {
    progress: Mutex<ConnectionProgress>,
    /// Number of `OpenGuard`s. While there are any, the registry does not close the connection.
    holds: AtomicUsize,
    is_closing: AtomicBool,
    /// Whether the connection ends as soon as it has no request.
    closes_when_idle: AtomicBool,
    waker: AtomicWaker,
    peer: Option<IpAddr>,
}

/// An entry in the registry, removed on drop.
#[derive(Debug)]
pub struct Registration {
    connections: Arc<Connections>,
    id: u64,
    link: Link,
}

#[derive(Debug)]
struct ConnectionProgress {
    /// The network of the client. For a proxy, its own network until a request names a client.
    network: Option<Network>,
    is_proxy: bool,
    state: RegistryState,
    since: Instant,
    /// Bytes received of the current request.
    bytes: usize,
    opening: Opening,
    has_long_name: bool,
    has_slow_head: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RegistryState {
    Idle,
    Receiving,
    Answering,
    /// The client does not read its reply.
    Blocked,
}

/// Until this guard is dropped, the registry does not close the connection.
#[derive(Debug)]
pub struct OpenGuard(Link);

impl Connections {
    pub fn new(limit: usize, proxies: TrustedProxies, gauge: IntGauge, closed: IntCounterVec) -> Arc<Self> {
        Arc::new(Self {
            limit,
            open: AtomicUsize::new(0),
            next_id: AtomicU64::new(0),
            entries: Mutex::default(),
            shortage: Notify::new(),
            proxies,
            gauge,
            closed,
            log: LogLimit::new(LOG_INTERVAL),
        })
    }

    pub fn register(self: &Arc<Self>, peer: Option<IpAddr>) -> Registration {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let progress = ConnectionProgress {
            network: peer.map(Network::from),
            is_proxy: peer.is_some_and(|peer| self.proxies.trust(peer.to_canonical())),
            ..ConnectionProgress::default()
        };
        let entry =
            Arc::new(ConnectionEntry { progress: Mutex::new(progress), peer, ..ConnectionEntry::default() });
        self.entries.lock().insert(id, Arc::clone(&entry));
        self.gauge.inc();
        self.open.fetch_add(1, Ordering::Relaxed);
        if self.is_short() {
            self.shortage.notify_one();
        }
        Registration { connections: Arc::clone(self), id, link: Link(entry) }
    }

    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Returns once no connection is open.
    pub async fn all_closed(&self) {
        while self.open.load(Ordering::Relaxed) > 0 {
            sleep(CLOSED_CHECK_PAUSE).await;
        }
    }

    /// Closes open connections as soon as they are idle, except new ones: those that have been idle
    /// for less than `newcomer_age` now.
    pub fn close_when_idle(&self, newcomer_age: Duration) {
        let now = Instant::now();
        let is_newcomer = |progress: &ConnectionProgress| {
            progress.state == RegistryState::Idle
                && now.saturating_duration_since(progress.since) < newcomer_age
        };
        for entry in self.entries.lock().values() {
            if !is_newcomer(&entry.progress.lock()) {
                Link(Arc::clone(entry)).close_when_idle();
            }
        }
    }

    /// Number of connections above which the registry closes some.
    fn target(&self) -> usize {
        self.limit.saturating_sub((self.limit / FREE_SHARE).max(1))
    }

    fn is_short(&self) -> bool {
        self.open.load(Ordering::Relaxed) > self.target()
    }

    /// Closes connections whenever they run short; never returns.
    pub async fn keep_room(self: Arc<Self>) {
        loop {
            self.shortage.notified().await;
            while self.is_short() {
                self.make_room(Instant::now());
                sleep(ROUND_PAUSE).await;
            }
        }
    }

    /// Closes as many connections as exceed the target, if they may be closed.
    fn make_room(&self, now: Instant) {
        let entries: Vec<Arc<ConnectionEntry>> = self.entries.lock().values().cloned().collect();
        let is_closing = |entry: &&Arc<ConnectionEntry>| entry.is_closing.load(Ordering::Relaxed);
        let closing = entries.iter().filter(is_closing).count();
        let surplus = entries.len().saturating_sub(closing + self.target());
        if surplus == 0 {
            return;
        }
        let open: Vec<&Arc<ConnectionEntry>> = entries.iter().filter(|entry| !is_closing(entry)).collect();
        let candidates = open.iter().map(|entry| entry.candidate(now)).collect();
        let chosen = choice::choose(candidates, surplus, (self.limit / FAIR_SHARE).max(1));
        let mut counts = [0_u64; Class::ALL.len()];
        for (index, class) in chosen.connections {
            let entry = open[index];
            entry.is_closing.store(true, Ordering::Release);
            entry.waker.wake();
            self.closed.with_label_values(&[class.name()]).inc();
            counts[class as usize] += 1;
        }
        let Some((network, held)) = chosen.largest else { return };
        if counts.iter().sum::<u64>() > 0
            && let Some(quiet) = self.log.take(now.into_std())
        {
            let [idle, blocked, slow] = counts;
            log::warn!(
                "connections run short ({} of {}): closed {idle} idle, {slow} slow to send, {blocked} that do not \
                 read their replies; {network} has the most, {held}{quiet}",
                entries.len(),
                self.limit
            );
        }
    }
}

impl ConnectionEntry {
    fn candidate(&self, now: Instant) -> ClosingCandidate {
        let progress = self.progress.lock();
        let idle_for = now.saturating_duration_since(progress.since);
        let may_be_closed = self.holds.load(Ordering::Relaxed) == 0;
        let class = match progress.state {
            RegistryState::Idle => Some(Class::Idle),
            RegistryState::Blocked => Some(Class::Blocked),
            RegistryState::Receiving => Some(Class::Slow),
            RegistryState::Answering => None,
        };
        ClosingCandidate {
            // Each connection of a proxy may belong to a different client.
            network: progress.network.filter(|_| !progress.is_proxy),
            class: class.filter(|_| may_be_closed),
            is_fresh: idle_for < GRACE,
            waited: idle_for,
            bytes: progress.bytes,
        }
    }
}

impl Link {
    /// Fails if the registry is closing the connection; otherwise registers the task to be woken
    /// when it does.
    pub fn stay_open(&self, context: &Context<'_>) -> io::Result<()> {
        self.0.waker.register(context.waker());
        if self.0.is_closing.load(Ordering::Acquire) {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }

    pub fn close_when_idle(&self) {
        self.0.closes_when_idle.store(true, Ordering::Release);
        self.0.waker.wake();
    }

    /// Whether the connection must end now if it is idle.
    pub fn closes_when_idle(&self) -> bool {
        self.0.closes_when_idle.load(Ordering::Acquire) && self.0.holds.load(Ordering::Relaxed) == 0
    }

    pub fn peer(&self) -> Option<IpAddr> {
        self.0.peer
    }

    pub fn opened_with(&self, opening: Opening) {
        self.progress().opening = opening;
    }

    pub fn opening(&self) -> Opening {
        self.progress().opening
    }

    pub fn note_long_name(&self) {
        self.progress().has_long_name = true;
    }

    pub fn has_long_name(&self) -> bool {
        self.progress().has_long_name
    }

    pub fn note_slow_head(&self) {
        self.progress().has_slow_head = true;
    }

    pub fn has_slow_head(&self) -> bool {
        self.progress().has_slow_head
    }

    /// Records received bytes. `has_head`: whether they include the end of a head.
    pub fn received(&self, bytes: usize, stage: Stage, has_head: bool) {
        let mut progress = self.progress();
        match (stage, progress.state) {
            (_, RegistryState::Blocked) => {}
            // Line breaks before a request are not a request.
            (Stage::Between, RegistryState::Idle | RegistryState::Answering) if !has_head => {}
            (Stage::Between, _) => progress.enter(RegistryState::Answering),
            (Stage::Head | Stage::Body, RegistryState::Receiving) => progress.bytes += bytes,
            (Stage::Head | Stage::Body, RegistryState::Idle | RegistryState::Answering) => {
                progress.enter(RegistryState::Receiving);
                progress.bytes = bytes;
            }
        }
    }

    pub fn written(&self, stage: Stage) {
        let mut progress = self.progress();
        match (stage, progress.state) {
            (Stage::Head | Stage::Body, RegistryState::Receiving) => {}
            (Stage::Head | Stage::Body, RegistryState::Blocked) => progress.enter(RegistryState::Receiving),
            _ => progress.enter(RegistryState::Idle),
        }
    }

    pub fn blocked(&self) {
        let mut progress = self.progress();
        if progress.state != RegistryState::Blocked {
            progress.enter(RegistryState::Blocked);
        }
    }

    /// Holds the connection open for a stream that may be silent for a long time.
    pub fn hold(&self) -> OpenGuard {
        self.0.holds.fetch_add(1, Ordering::Relaxed);
        OpenGuard(self.clone())
    }

    /// Sets the client of the current request if the peer is a trusted proxy.
    pub fn attribute(&self, client: Network) {
        let mut progress = self.progress();
        if progress.network != Some(client) {
            progress.network = Some(client);
            progress.is_proxy = false;
        }
    }

    fn progress(&self) -> MutexGuard<'_, ConnectionProgress> {
        self.0.progress.lock()
    }
}

impl Registration {
    pub fn link(&self) -> &Link {
        &self.link
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.connections.entries.lock().remove(&self.id);
        self.connections.open.fetch_sub(1, Ordering::Relaxed);
        self.connections.gauge.dec();
    }
}

impl Drop for OpenGuard {
    fn drop(&mut self) {
        self.0.0.holds.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Default for ConnectionProgress {
    fn default() -> Self {
        Self {
            network: None,
            is_proxy: false,
            state: RegistryState::Idle,
            since: Instant::now(),
            bytes: 0,
            opening: Opening::Http,
            has_long_name: false,
            has_slow_head: false,
        }
    }
}

impl ConnectionProgress {
    fn enter(&mut self, state: RegistryState) {
        self.state = state;
        self.since = Instant::now();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests;
