//! State that all requests share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::config::{Config, LogFormat};
use crate::http::attempts::Attempts;
use crate::http::budget::Budget;
use crate::http::connections::Connections;
use crate::http::malformed::MalformedRequests;
use crate::http::metrics::Metrics;
use crate::http::proxies::TrustedProxies;
use crate::http::streams::Streams;
use crate::http::tokens::AcceptedTokens;
use crate::store::{Clock, Store};

#[derive(Debug)]
pub struct Service {
    pub store: Store,
    pub clock: Clock,
    pub tokens: AcceptedTokens,
    pub attempts: Attempts,
    pub malformed: MalformedRequests,
    pub metrics: Metrics,
    pub proxies: TrustedProxies,
    pub budget: Arc<Budget>,
    pub max_body_bytes: usize,
    pub log_format: LogFormat,
    pub streams: Streams,
    is_stopping: AtomicBool,
    /// `CREEL_PUBLIC_URL` without a trailing slash.
    pub public_url: Option<String>,
}

impl Service {
    pub fn new(config: &Config, store: Store, clock: Clock) -> Self {
        let metrics = Metrics::new();
        store.observe_batches(metrics.batch_observer());
        store.limit_quarantine(config.quarantine_bytes);
        Self {
            tokens: AcceptedTokens::new(store.clone(), config),
            attempts: Attempts::default(),
            malformed: MalformedRequests::new(metrics.malformed()),
            proxies: TrustedProxies::new(config.trusted_proxies.clone()),
            budget: Budget::new(config.body_budget_bytes),
            max_body_bytes: config.max_body_bytes,
            log_format: config.log_format,
            streams: Streams::default(),
            is_stopping: AtomicBool::new(false),
            public_url: config.public_url.clone(),
            store,
            clock,
            metrics,
        }
    }

    /// Creates the state of a service without settings.
    #[cfg(test)]
    pub fn with_defaults(store: Store) -> Self {
        let config = Config::from_vars(Default::default()).unwrap();
        Self::new(&config, store, time::OffsetDateTime::now_utc)
    }

    /// Creates the registry for the connections to one listening address.
    pub fn connections(&self, listener: &str, limit: usize) -> Arc<Connections> {
        let (gauge, closed) = (self.metrics.connections(listener), self.metrics.connections_closed());
        Connections::new(limit, self.proxies.clone(), gauge, closed)
    }

    /// Ends all streams. They never end by themselves, so this must run before the servers are
    /// stopped.
    pub fn end_streams(&self) {
        self.streams.end();
    }

    /// Marks the service as not ready and makes every reply close its connection, so that proxies
    /// and senders open the next one to the new process.
    pub fn begin_stop(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
    }

    pub fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Relaxed)
    }
}
