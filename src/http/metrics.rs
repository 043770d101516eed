//! What Prometheus is told. The handles that a request needs are made once, at start.

use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    Encoder as _, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder,
};

use crate::providers::Cause;
use crate::store::{Stats, Store};

/// Seconds: from the fastest disk to the last moment at which we still acknowledge.
const ACK_SECONDS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];
const BATCH_SIZES: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// All metrics of the process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    received: IntCounterVec,
    duplicates: IntCounterVec,
    not_json: IntCounterVec,
    rejected: IntCounterVec,
    unavailable: IntCounterVec,
    ack_seconds: Histogram,
    gauges: Gauges,
}

#[derive(Debug)]
struct Gauges {
    wal_bytes: IntGauge,
    database_bytes: IntGauge,
    free_disk_bytes: IntGauge,
    queue_depth: IntGauge,
    keys_in_memory: IntGauge,
    keys_bytes: IntGauge,
}

/// The handles of one source.
#[derive(Clone, Debug)]
pub struct SourceMetrics {
    pub received: IntCounter,
    pub duplicates: IntCounter,
    pub not_json: IntCounter,
    pub ack_seconds: Histogram,
    source: String,
    rejected: IntCounterVec,
    unavailable: IntCounterVec,
}

impl SourceMetrics {
    pub fn rejected(&self, cause: Cause) {
        self.rejected.with_label_values(&[self.source.as_str(), cause.name()]).inc();
    }

    pub fn rate_limited(&self) {
        self.rejected.with_label_values(&[self.source.as_str(), "rate_limited"]).inc();
    }

    pub fn unavailable(&self, reason: &str) {
        self.unavailable.with_label_values(&[reason]).inc();
    }

    pub fn acknowledged(&self, after: Duration) {
        self.ack_seconds.observe(after.as_secs_f64());
    }
}

impl Metrics {
    /// Registers everything; the store reports its batches here from now on.
    pub fn new(store: &Store) -> Self {
        let registry = Registry::new();
        let batch_size =
            histogram(&registry, "creel_batch_size", "Messages in one transaction.", &BATCH_SIZES);
        store.observe_batches(Box::new(move |messages| batch_size.observe(messages as f64)));
        let by_source = |name, help| counters(&registry, name, help, &["source"]);
        Self {
            received: by_source(
                "creel_messages_received_total",
                "Messages that were acknowledged, without duplicates.",
            ),
            duplicates: by_source("creel_duplicates_total", "Messages that came again."),
            not_json: by_source("creel_not_json_total", "Messages whose body is not JSON."),
            rejected: counters(&registry, "creel_rejected_total", "Refused requests.", &["source", "cause"]),
            unavailable: counters(
                &registry,
                "creel_unavailable_total",
                "Requests answered 503.",
                &["reason"],
            ),
            ack_seconds: histogram(
                &registry,
                "creel_ack_seconds",
                "Time from the head of a request to its acknowledgement.",
                &ACK_SECONDS,
            ),
            gauges: Gauges {
                wal_bytes: gauge(&registry, "creel_wal_bytes", "Size of the WAL file."),
                database_bytes: gauge(&registry, "creel_database_bytes", "Size of the database file."),
                free_disk_bytes: gauge(&registry, "creel_free_disk_bytes", "Free space beside the database."),
                queue_depth: gauge(&registry, "creel_queue_depth", "Jobs that wait for the writer."),
                keys_in_memory: gauge(&registry, "creel_keys_in_memory", "Keys of messages held in memory."),
                keys_bytes: gauge(&registry, "creel_keys_bytes", "Memory of these keys and their filters."),
            },
            registry,
        }
    }

    pub fn of_source(&self, source: &str) -> SourceMetrics {
        SourceMetrics {
            received: self.received.with_label_values(&[source]),
            duplicates: self.duplicates.with_label_values(&[source]),
            not_json: self.not_json.with_label_values(&[source]),
            ack_seconds: self.ack_seconds.clone(),
            source: source.to_owned(),
            rejected: self.rejected.clone(),
            unavailable: self.unavailable.clone(),
        }
    }

    /// The text that Prometheus reads.
    pub fn render(&self, stats: &Stats) -> Vec<u8> {
        let set = |gauge: &IntGauge, value: u64| gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        set(&self.gauges.wal_bytes, stats.wal_bytes);
        set(&self.gauges.database_bytes, stats.database_bytes);
        set(&self.gauges.free_disk_bytes, stats.free_disk_bytes);
        set(&self.gauges.queue_depth, stats.queue_depth as u64);
        set(&self.gauges.keys_in_memory, stats.keys_in_memory as u64);
        set(&self.gauges.keys_bytes, stats.keys_bytes as u64);
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            log::error!("cannot write the metrics: {error}");
        }
        text
    }
}

fn register<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> C {
    registry.register(Box::new(collector.clone())).expect("each metric has a name of its own");
    collector
}

fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    register(registry, IntCounterVec::new(Opts::new(name, help), labels).expect("the name is valid"))
}

fn gauge(registry: &Registry, name: &str, help: &str) -> IntGauge {
    register(registry, IntGauge::new(name, help).expect("the name is valid"))
}

fn histogram(registry: &Registry, name: &str, help: &str, buckets: &[f64]) -> Histogram {
    let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
    register(registry, Histogram::with_opts(options).expect("the name is valid"))
}
