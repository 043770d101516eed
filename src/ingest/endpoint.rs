//! The HTTP endpoint of a source, with its rate limits and metrics.

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
    /// A separate throttle for requests that are not messages, so that probes cannot use up the
    /// rate limit of messages.
    probe_throttle: Option<Throttle>,
}

impl Endpoint {
    /// `throttle_keys`: the number of clients that each of the two throttles tracks separately.
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

    /// Takes one request from the client's rate limit.
    ///
    /// # Errors
    /// The limit is exceeded: the time until the client may retry.
    pub fn throttle(&self, method: &str, client: Network) -> Result<(), Duration> {
        let of_probes = self.probe_throttle.as_ref().filter(|_| !self.source.is_message_method(method));
        of_probes.or(self.throttle.as_ref()).map_or(Ok(()), |throttle| throttle.take(client))
    }
}
