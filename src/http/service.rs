//! What all requests share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use time::OffsetDateTime;
use tokio::sync::Semaphore;

use crate::http::attempts::Attempts;
use crate::http::budget::Budget;
use crate::http::client::{Network, TrustedProxies};
use crate::http::connections::Connections;
use crate::http::malformed::MalformedRequests;
use crate::http::metrics::Metrics;
use crate::ingest::peers::Peers;
use crate::verification::reading::DecodingRoom;
use crate::verification::source::Source;
use crate::http::streams::Streams;
use crate::ingest::throttle;
use crate::http::tokens::Tokens;
use crate::config::target_rules::KnownEvents;
use crate::config::{Config, LogFormat};
use crate::outbound::{Client, GithubAddresses, Reach, system_roots};
use crate::providers::Roots;
use crate::store::Store;

/// Large bodies that are decoded or written anew at a time.
const REWRITTEN_AT_ONCE: usize = 2;
/// Pseudo client of the body budget for decoded bodies; no client has this address.
const DECODED: Network = Network::V4([0; 4]);

/// Passed in, so that tests can set the time.
pub type Clock = fn() -> OffsetDateTime;

#[derive(Debug)]
pub struct Service {
    pub store: Store,
    pub sources: Vec<Arc<Source>>,
    pub github: GithubAddresses,
    pub clock: Clock,
    pub client: Client,
    /// Read when they are first needed, unless they were passed in.
    roots: OnceLock<Roots>,
    pub tokens: Tokens,
    pub attempts: Attempts,
    pub peers: Peers,
    pub malformed: MalformedRequests,
    pub metrics: Metrics,
    pub proxies: TrustedProxies,
    pub budget: Arc<Budget>,
    /// For large bodies that are decoded or written anew: that takes a multiple of what the budget counts.
    pub rewriting: Arc<Semaphore>,
    /// One step at a time of those that check many rejections again.
    pub rechecking: Semaphore,
    pub max_body_bytes: usize,
    pub log_format: LogFormat,
    /// What targets may subscribe to, and what may be emitted.
    pub known_events: KnownEvents,
    /// Where targets that were made through the API may be.
    pub reach: Reach,
    pub streams: Streams,
    is_stopping: AtomicBool,
    /// Without a trailing slash.
    pub public_url: Option<String>,
}

impl Service {
    /// Takes the sources out of `config`: from here on they belong to the HTTP side.
    pub fn new(config: &mut Config, store: Store, github: GithubAddresses, clock: Clock) -> Self {
        let metrics = Metrics::new();
        store.observe_batches(metrics.batch_observer());
        store.limit_quarantine(config.quarantine_bytes);
        let throttled = config.sources.iter().filter(|source| source.rate.is_some()).count();
        let throttle_keys = throttle::MAX_KEYS / throttled.max(1);
        let known_events = config.known_events();
        let sources = std::mem::take(&mut config.sources);
        let public_url = config.public_url.as_deref();
        let mount = |source| Arc::new(Source::new(source, public_url, throttle_keys, &metrics));
        Self {
            sources: sources.into_iter().map(mount).collect(),
            tokens: Tokens::new(store.clone(), config),
            attempts: Attempts::default(),
            peers: Peers::default(),
            malformed: MalformedRequests::new(metrics.malformed()),
            proxies: TrustedProxies::new(config.trusted_proxies.clone()),
            budget: Budget::new(config.body_budget_bytes),
            rewriting: Arc::new(Semaphore::new(REWRITTEN_AT_ONCE)),
            rechecking: Semaphore::new(1),
            max_body_bytes: config.max_body_bytes,
            log_format: config.log_format,
            known_events,
            reach: Reach::Public { allowed: config.target_allow_ips.as_slice().into() },
            streams: Streams::default(),
            is_stopping: AtomicBool::new(false),
            public_url: config.public_url.clone(),
            store,
            github,
            clock,
            client: Client::new(),
            roots: OnceLock::new(),
            metrics,
        }
    }

    /// Memory limit for decoding the body of a verified message. All decoded bodies share the quota of one pseudo client, so that
    /// a body does not count twice against its sender.
    pub fn decoding_room(&self) -> DecodingRoom {
        DecodingRoom {
            max_bytes: self.max_body_bytes.min(self.budget.max_decoded_bytes()),
            reservation: Some(self.budget.reservation(DECODED)),
        }
    }

    /// The registry for the connections of one listener.
    pub fn connections(&self, listener: &str, limit: usize) -> Arc<Connections> {
        let (gauge, closed) = (self.metrics.connections(listener), self.metrics.connections_closed());
        Connections::new(limit, self.proxies.clone(), gauge, closed)
    }

    /// Streams never end by themselves: to be called before the servers are stopped.
    pub fn end_streams(&self) {
        self.streams.end();
    }

    /// Makes the service not ready and every reply close its connection, so that proxies and senders open the next one to the
    /// process that follows.
    pub fn begin_stop(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
    }

    pub fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Relaxed)
    }

    /// Whom certificates must come from; those of the system unless others were given.
    pub fn roots(&self) -> &Roots {
        self.roots.get_or_init(|| Roots::new(system_roots()))
    }

    /// For those who do not trust the system's: has no effect once they have been used.
    pub fn trust(&self, roots: Roots) {
        let _ = self.roots.set(roots);
    }
}
