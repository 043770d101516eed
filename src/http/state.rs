//! What the handlers share: the service, and one inbox for each configured source.

use std::sync::Arc;

use actix_web::http::Method;
use ipnet::IpNet;
use time::OffsetDateTime;

use super::budget::Budget;
use super::metrics::{Metrics, SourceMetrics};
use super::throttle::Throttle;
use crate::config::{Config, Source};
use crate::outbound::GithubAddresses;
use crate::providers::Secret;
use crate::store::Store;

/// Where the time comes from; tests pass their own.
pub type Clock = fn() -> OffsetDateTime;

/// Buckets of all throttles together.
const MOST_THROTTLE_KEYS: usize = 100_000;

/// What all handlers share.
#[derive(Debug)]
pub struct Service {
    pub store: Store,
    pub metrics: Metrics,
    pub budget: Arc<Budget>,
    pub github: GithubAddresses,
    pub trusted_proxies: Vec<IpNet>,
    pub max_body_bytes: usize,
    pub admin_token: Option<Secret>,
    pub read_token: Option<Secret>,
    /// Whether operations have an address of their own, so that metrics need no token there.
    pub has_admin_listen: bool,
    pub clock: Clock,
}

impl Service {
    pub fn new(config: &Config, store: Store, github: GithubAddresses, clock: Clock) -> Self {
        Self {
            metrics: Metrics::new(&store),
            store,
            budget: Arc::new(Budget::new(config.body_budget_bytes, config.max_body_bytes)),
            github,
            trusted_proxies: config.trusted_proxies.clone(),
            max_body_bytes: config.max_body_bytes,
            admin_token: config.admin_token.clone(),
            read_token: config.read_token.clone(),
            has_admin_listen: config.admin_listen.is_some(),
            clock,
        }
    }
}

/// One configured source, ready to receive.
#[derive(Debug)]
pub struct Inbox {
    pub service: Arc<Service>,
    pub source: Source,
    pub name: Arc<str>,
    pub methods: Vec<Method>,
    /// The value of `Allow`.
    pub allow: String,
    pub throttle: Option<Throttle>,
    pub metrics: SourceMetrics,
}

impl Inbox {
    /// The inboxes of all sources.
    pub fn of_sources(service: &Arc<Service>, sources: Vec<Source>) -> Vec<Arc<Self>> {
        let throttled = sources.iter().filter(|source| source.rate.is_some()).count().max(1);
        let most_keys = MOST_THROTTLE_KEYS / throttled;
        sources.into_iter().map(|source| Arc::new(Self::new(service, source, most_keys))).collect()
    }

    fn new(service: &Arc<Service>, source: Source, most_keys: usize) -> Self {
        Self {
            name: source.name.as_str().into(),
            methods: source
                .methods
                .iter()
                .filter_map(|name| Method::from_bytes(name.as_bytes()).ok())
                .collect(),
            allow: source.methods.join(", "),
            throttle: source.rate.map(|rate| Throttle::new(rate, most_keys)),
            metrics: service.metrics.of_source(&source.name),
            service: service.clone(),
            source,
        }
    }
}
