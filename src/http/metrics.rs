//! What is counted, and the page that shows it.

use actix_web::HttpResponse;
use actix_web::http::header::CONTENT_TYPE;
use prometheus::{
    Encoder, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

use crate::store::{BatchObserver, Stats, TargetNumbers, TargetState};

const ACK_SECONDS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 2.5];
const BATCH_SIZES: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];
const CONTENT_TYPE_OF_PAGE: &str = "text/plain; version=0.0.4; charset=utf-8";

#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    received: IntCounterVec,
    duplicates: IntCounterVec,
    not_json: IntCounterVec,
    rejected: IntCounterVec,
    unavailable: IntCounterVec,
    pub ack_seconds: Histogram,
    batch_size: Histogram,
    queue_depth: IntGauge,
    wal_bytes: IntGauge,
    wal_pinned_seconds: IntGauge,
    database_bytes: IntGauge,
    free_disk_bytes: IntGauge,
    keys_in_memory: IntGauge,
    keys_bytes: IntGauge,
    is_damaged: IntGauge,
    quarantine: QuarantineMetrics,
    attempts: IntCounterVec,
    dead: IntCounter,
    dead_letters: IntGauge,
    targets: IntGaugeVec,
    target_disabled: IntGaugeVec,
    connections: IntGaugeVec,
    pub connections_closed: IntCounterVec,
    pub malformed: IntCounterVec,
}

/// The counters of one source, looked up once.
#[derive(Debug)]
pub struct SourceMetrics {
    pub received: IntCounter,
    pub duplicates: IntCounter,
    pub not_json: IntCounter,
    rejected: IntCounterVec,
    name: String,
}

/// The numbers of the quarantine.
#[derive(Debug)]
struct QuarantineMetrics {
    rows: IntGauge,
    bytes: IntGauge,
    dropped: IntCounterVec,
}

impl QuarantineMetrics {
    fn new(registry: &Registry) -> Self {
        let gauge = |name, help| {
            registered(registry, IntGauge::new(name, help).expect("the name of a metric is well-formed"))
        };
        let dropped = Opts::new(
            "creel_quarantine_dropped_total",
            "Rejected requests that were not kept in quarantine, or had to leave it early, by kind: a candidate may be genuine.",
        );
        let dropped = IntCounterVec::new(dropped, &["kind"]).expect("the name of a metric is well-formed");
        Self {
            rows: gauge("creel_quarantine_rows", "Rejected requests in quarantine."),
            bytes: gauge("creel_quarantine_bytes", "What they take of CREEL_QUARANTINE_SIZE."),
            dropped: registered(registry, dropped),
        }
    }
}

impl SourceMetrics {
    pub fn rejected(&self, cause: &str) {
        self.rejected.with_label_values(&[self.name.as_str(), cause]).inc();
    }
}

impl Metrics {
    pub fn new() -> Self {
        let registry = Registry::new();
        let counters = |name, help, labels: &[&str]| {
            let counters = IntCounterVec::new(Opts::new(name, help), labels);
            registered(&registry, counters.expect("the name of a metric is well-formed"))
        };
        let histogram = |name, help, buckets: &[f64]| {
            let histogram = Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()));
            registered(&registry, histogram.expect("the name of a metric is well-formed"))
        };
        let gauge = |name, help| {
            registered(&registry, IntGauge::new(name, help).expect("the name of a metric is well-formed"))
        };
        let gauges = |name, help, labels: &[&str]| {
            let gauges = IntGaugeVec::new(Opts::new(name, help), labels);
            registered(&registry, gauges.expect("the name of a metric is well-formed"))
        };
        Self {
            received: counters(
                "creel_messages_received_total",
                "Messages verified, kept and acknowledged, duplicates included.",
                &["source"],
            ),
            duplicates: counters(
                "creel_duplicates_total",
                "Messages that had come before and were only counted.",
                &["source"],
            ),
            not_json: counters(
                "creel_not_json_total",
                "Messages whose body is neither JSON nor a form.",
                &["source"],
            ),
            rejected: counters(
                "creel_rejected_total",
                "Requests that failed authentication or were over the rate.",
                &["source", "cause"],
            ),
            unavailable: counters(
                "creel_unavailable_total",
                "Requests that were answered 503, by the reason.",
                &["reason"],
            ),
            ack_seconds: histogram(
                "creel_ack_seconds",
                "Time from the head of a request to its acknowledgement.",
                &ACK_SECONDS,
            ),
            batch_size: histogram("creel_batch_size", "Messages in one transaction.", &BATCH_SIZES),
            queue_depth: gauge("creel_queue_depth", "Jobs that wait for the writer."),
            wal_bytes: gauge("creel_wal_bytes", "Size of the write-ahead log."),
            wal_pinned_seconds: gauge("creel_wal_pinned_seconds", "How long a reader has pinned the WAL."),
            database_bytes: gauge("creel_database_bytes", "Size of the database file."),
            free_disk_bytes: gauge("creel_free_disk_bytes", "Free space on the disk of the database."),
            keys_in_memory: gauge(
                "creel_keys_in_memory",
                "Keys of messages, for recognising duplicates, that are held in memory.",
            ),
            keys_bytes: gauge("creel_keys_bytes", "Memory that these keys and their filters take."),
            is_damaged: gauge("creel_database_damaged", "1 after damage was found in the database."),
            quarantine: QuarantineMetrics::new(&registry),
            attempts: counters(
                "creel_attempts_total",
                "Tries of deliveries since the start, by what came of them.",
                &["outcome"],
            ),
            dead: registered(
                &registry,
                IntCounter::new("creel_deliveries_dead_total", "Deliveries that died since the start.")
                    .expect("the name of a metric is well-formed"),
            ),
            dead_letters: gauge("creel_dead_letters", "Dead deliveries that were not replayed."),
            targets: gauges("creel_targets", "Targets by state, without listeners.", &["state"]),
            target_disabled: gauges(
                "creel_target_disabled",
                "1 for each target that answered 410 Gone and was not resumed.",
                &["target"],
            ),
            connections: registered(
                &registry,
                IntGaugeVec::new(Opts::new("creel_connections", "Open connections."), &["listener"])
                    .expect("the name of a metric is well-formed"),
            ),
            connections_closed: counters(
                "creel_connections_closed_total",
                "Connections that were closed because connections ran short, by what they were doing.",
                &["reason"],
            ),
            malformed: counters(
                "creel_malformed_requests_total",
                "Requests that are not well-formed HTTP, or whose head did not arrive in time, by the status answered.",
                &["status"],
            ),
            registry,
        }
    }

    /// Sets what is read from the database for each page.
    pub fn set_target_numbers(&self, numbers: &TargetNumbers) {
        self.dead_letters.set(numbers.dead_letters);
        self.target_disabled.reset();
        for state in [TargetState::Active, TargetState::Paused, TargetState::Disabled] {
            let in_state = numbers.targets.iter().filter(|(_, one)| *one == state);
            let count = in_state.clone().count();
            self.targets.with_label_values(&[state.name()]).set(i64::try_from(count).unwrap_or(i64::MAX));
            if state == TargetState::Disabled {
                in_state.for_each(|(name, _)| self.target_disabled.with_label_values(&[name]).set(1));
            }
        }
    }

    /// The number of open connections of one listener.
    pub fn connections(&self, listener: &str) -> IntGauge {
        self.connections.with_label_values(&[listener])
    }

    pub fn of_source(&self, name: &str) -> SourceMetrics {
        SourceMetrics {
            received: self.received.with_label_values(&[name]),
            duplicates: self.duplicates.with_label_values(&[name]),
            not_json: self.not_json.with_label_values(&[name]),
            rejected: self.rejected.clone(),
            name: name.to_owned(),
        }
    }

    pub fn unavailable(&self, reason: &str) {
        self.unavailable.with_label_values(&[reason]).inc();
    }

    pub fn batch_observer(&self) -> BatchObserver {
        let batch_size = self.batch_size.clone();
        Box::new(move |messages| batch_size.observe(messages as f64))
    }

    /// The page in Prometheus' text format.
    pub fn page(&self, stats: Stats) -> HttpResponse {
        let gauges = [
            (&self.queue_depth, stats.queue_depth as u64),
            (&self.wal_bytes, stats.wal_bytes),
            (&self.wal_pinned_seconds, stats.wal_pinned_seconds),
            (&self.database_bytes, stats.database_bytes),
            (&self.free_disk_bytes, stats.free_disk_bytes),
            (&self.keys_in_memory, stats.keys_in_memory as u64),
            (&self.keys_bytes, stats.keys_bytes as u64),
            (&self.is_damaged, u64::from(stats.is_damaged)),
            (&self.quarantine.rows, stats.quarantine.rows),
            (&self.quarantine.bytes, stats.quarantine.bytes),
        ];
        for (gauge, value) in gauges {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        }
        let counters = [
            (self.attempts.with_label_values(&["delivered"]), stats.attempts_delivered),
            (self.attempts.with_label_values(&["failed"]), stats.attempts_failed),
            (self.dead.clone(), stats.deliveries_dead),
            (self.quarantine.dropped.with_label_values(&["candidate"]), stats.quarantine.candidates_dropped),
            (self.quarantine.dropped.with_label_values(&["noise"]), stats.quarantine.noise_dropped),
        ];
        for (counter, value) in counters {
            counter.inc_by(value.saturating_sub(counter.get()));
        }
        let mut page = Vec::new();
        // Writing into a vector fails only for a metric without a value, which a registry does not give out.
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut page) {
            log::error!("the metrics cannot be written: {error}");
        }
        HttpResponse::Ok().insert_header((CONTENT_TYPE, CONTENT_TYPE_OF_PAGE)).body(page)
    }
}

fn registered<M: prometheus::core::Collector + Clone + 'static>(registry: &Registry, metric: M) -> M {
    registry.register(Box::new(metric.clone())).expect("no two metrics have the same name");
    metric
}

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;

    use super::*;

    #[actix_web::test]
    async fn the_page_shows_what_was_counted() {
        let metrics = Metrics::new();
        let acme = metrics.of_source("acme");
        acme.received.inc();
        acme.rejected("token_mismatch");
        metrics.unavailable("queue_full");
        metrics.batch_observer()(3);
        metrics.set_target_numbers(&TargetNumbers {
            dead_letters: 7,
            targets: vec![("a".to_owned(), TargetState::Active), ("b".to_owned(), TargetState::Disabled)],
        });
        let page = metrics.page(Stats { wal_bytes: 4_096, attempts_failed: 2, ..Stats::default() });
        let page = String::from_utf8(to_bytes(page.into_body()).await.unwrap().to_vec()).unwrap();
        for line in [
            "creel_messages_received_total{source=\"acme\"} 1",
            "creel_duplicates_total{source=\"acme\"} 0",
            "creel_rejected_total{cause=\"token_mismatch\",source=\"acme\"} 1",
            "creel_unavailable_total{reason=\"queue_full\"} 1",
            "creel_batch_size_bucket{le=\"4\"} 1",
            "creel_wal_bytes 4096",
            "creel_attempts_total{outcome=\"failed\"} 2",
            "creel_deliveries_dead_total 0",
            "creel_quarantine_dropped_total{kind=\"candidate\"} 0",
            "creel_ack_seconds_count 0",
            "creel_dead_letters 7",
            "creel_targets{state=\"paused\"} 0",
            "creel_targets{state=\"disabled\"} 1",
            "creel_target_disabled{target=\"b\"} 1",
        ] {
            assert!(page.lines().any(|shown| shown == line), "{line} is missing in\n{page}");
        }
    }
}
