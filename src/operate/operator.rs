//! Shared state of the operations: the store, the sources, the clock and the rules for targets.

use std::sync::Arc;

use ipnet::IpNet;
use time::OffsetDateTime;
use tokio::sync::Semaphore;

use super::storage_rules::StorageRules;
use crate::config::target_rules::KnownEvents;
use crate::outbound::Reach;
use crate::store::Store;
use crate::verification::Sources;

/// Runs the operations of an operator. Each module of `operate` adds its methods.
#[derive(Debug)]
pub struct Operator {
    pub(super) store: Store,
    pub(super) sources: Arc<Sources>,
    pub(super) clock: fn() -> OffsetDateTime,
    /// Events that targets may subscribe to and that may be emitted.
    pub(super) known_events: KnownEvents,
    /// Addresses that are allowed for targets and replays.
    pub(super) reach: Reach,
    /// The networks of proxies whose `X-Forwarded-For` is trusted.
    pub(super) trusted_proxies: Arc<[IpNet]>,
    /// Retention and limits, for forecasts.
    pub(super) storage: StorageRules,
    /// Permits one step over many rejections at a time.
    pub(super) rechecking: Semaphore,
    /// Permits one explanation of a rejection at a time.
    pub(super) explaining: Arc<Semaphore>,
    /// Permits one comparison of two messages at a time.
    pub(super) comparing: Arc<Semaphore>,
}

impl Operator {
    /// `clock` is a parameter, so that tests can set the time.
    pub fn new(
        store: Store,
        sources: Arc<Sources>,
        clock: fn() -> OffsetDateTime,
        known_events: KnownEvents,
        reach: Reach,
        trusted_proxies: Arc<[IpNet]>,
        storage: StorageRules,
    ) -> Self {
        let (explaining, comparing) = (Arc::new(Semaphore::new(1)), Arc::new(Semaphore::new(1)));
        let rechecking = Semaphore::new(1);
        Self {
            store,
            sources,
            clock,
            known_events,
            reach,
            trusted_proxies,
            storage,
            rechecking,
            explaining,
            comparing,
        }
    }

    pub(super) fn now(&self) -> OffsetDateTime {
        (self.clock)()
    }
}
