//! A source as an endpoint: with the limit on its clients and its counters.

use std::sync::Arc;
use std::time::Duration;

use governor::clock::DefaultClock;

use crate::http::metrics::{Metrics, SourceMetrics};
use crate::http::network::Network;
use crate::ingest::throttle::Throttle;
use crate::verification::Source;

#[derive(Debug)]
pub struct Endpoint {
    pub source: Arc<Source>,
    pub metrics: SourceMetrics,
    throttle: Option<Throttle>,
}

impl Endpoint {
    /// `throttle_keys`: the number of clients that the throttle can tell apart.
    pub fn new(source: &Arc<Source>, throttle_keys: usize, metrics: &Metrics) -> Self {
        let throttle = |rate| Throttle::new(rate, throttle_keys, DefaultClock::default());
        Self {
            source: Arc::clone(source),
            metrics: metrics.of_source(&source.name),
            throttle: source.rate.map(throttle),
        }
    }

    /// # Errors
    /// How long the client has to wait.
    pub fn throttle(&self, client: Network) -> Result<(), Duration> {
        self.throttle.as_ref().map_or(Ok(()), |throttle| throttle.take(client))
    }
}
