//! A source as an endpoint, with the limit on its clients and its counters.

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
    /// Throttle of requests that are not messages: probes must not use up the rate of messages.
    probe_throttle: Option<Throttle>,
}

impl Endpoint {
    /// `throttle_keys`: the number of clients that the throttle tracks separately.
    pub fn new(source: &Arc<Source>, throttle_keys: usize, metrics: &Metrics) -> Self {
        let throttle = || {
            let new = |rate| Throttle::new(rate, throttle_keys, DefaultClock::default());
            source.rate.map(new)
        };
        Self {
            source: Arc::clone(source),
            metrics: metrics.of_source(&source.name),
            throttle: throttle(),
            probe_throttle: source.answers_probes.then(throttle).flatten(),
        }
    }

    /// # Errors
    /// How long the client has to wait.
    pub fn throttle(&self, method: &str, client: Network) -> Result<(), Duration> {
        let of_probes = self.probe_throttle.as_ref().filter(|_| !self.source.makes_message_of(method));
        of_probes.or(self.throttle.as_ref()).map_or(Ok(()), |throttle| throttle.take(client))
    }
}
