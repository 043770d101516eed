//! The Prometheus metrics, and the page that exports them.

mod groups;

use actix_web::HttpResponse;
use actix_web::http::header::CONTENT_TYPE;
use prometheus::{Encoder, Histogram, IntCounter, IntCounterVec, IntGauge, Registry, TextEncoder};

use crate::store::{BatchObserver, Stats, TargetNumbers, UnreadableReason};
use groups::{ConnectionMetrics, Maker, StoreMetrics, TargetMetrics};

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
    unreadable: IntCounterVec,
    rejected: IntCounterVec,
    unavailable: IntCounterVec,
    pub ack_seconds: Histogram,
    batch_size: Histogram,
    store: StoreMetrics,
    targets: TargetMetrics,
    connections: ConnectionMetrics,
}

/// The counters of one source, looked up once.
#[derive(Debug)]
pub struct SourceMetrics {
    pub received: IntCounter,
    pub duplicates: IntCounter,
    not_json: IntCounter,
    unreadable: IntCounterVec,
    rejected: IntCounterVec,
    name: String,
}

impl SourceMetrics {
    /// Counts a message with an unreadable body.
    pub fn unreadable(&self, reason: UnreadableReason) {
        self.unreadable.with_label_values(&[self.name.as_str(), reason.name()]).inc();
        if reason != UnreadableReason::Empty {
            self.not_json.inc();
        }
    }

    pub fn rejected(&self, cause: &str) {
        self.rejected.with_label_values(&[self.name.as_str(), cause]).inc();
    }
}

impl Metrics {
    pub fn new() -> Self {
        let registry = Registry::new();
        let make = Maker(&registry);
        Self {
            received: make.counters(
                "creel_messages_received_total",
                "Messages verified and acknowledged: stored messages and their duplicates.",
                &["source"],
            ),
            duplicates: make.counters(
                "creel_duplicates_total",
                "Duplicates of stored messages. A duplicate is only counted.",
                &["source"],
            ),
            not_json: make.counters(
                "creel_not_json_total",
                "Messages with a body that could not be read.",
                &["source"],
            ),
            unreadable: make.counters(
                "creel_unreadable_total",
                "Messages for which filters could not be evaluated, so only targets without a filter received them, by reason.",
                &["source", "reason"],
            ),
            rejected: make.counters(
                "creel_rejected_total",
                "Requests answered with an error because of the request itself, by cause.",
                &["source", "cause"],
            ),
            unavailable: make.counters(
                "creel_unavailable_total",
                "Requests answered with 503, by reason.",
                &["reason"],
            ),
            ack_seconds: make.histogram(
                "creel_ack_seconds",
                "Time from the head of a request to its acknowledgement.",
                &ACK_SECONDS,
            ),
            batch_size: make.histogram("creel_batch_size", "Messages in one transaction.", &BATCH_SIZES),
            store: StoreMetrics::new(&make),
            targets: TargetMetrics::new(&make),
            connections: ConnectionMetrics::new(&make),
            registry,
        }
    }

    /// Sets the metrics of targets that are read from the database for each page.
    pub fn set_target_numbers(&self, numbers: &TargetNumbers) {
        self.targets.set_numbers(numbers);
    }

    /// Gauge of the open connections to one listening address.
    pub fn connections(&self, listener: &str) -> IntGauge {
        self.connections.open.with_label_values(&[listener])
    }

    /// Counter of connections closed because connections ran short.
    pub fn connections_closed(&self) -> IntCounterVec {
        self.connections.closed.clone()
    }

    /// Counter of requests that are not well-formed HTTP.
    pub fn malformed(&self) -> IntCounterVec {
        self.connections.malformed.clone()
    }

    pub fn of_source(&self, name: &str) -> SourceMetrics {
        SourceMetrics {
            received: self.received.with_label_values(&[name]),
            duplicates: self.duplicates.with_label_values(&[name]),
            not_json: self.not_json.with_label_values(&[name]),
            unreadable: self.unreadable.clone(),
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
        self.store.set(&stats);
        self.targets.set(&stats);
        let mut page = Vec::new();
        // Writing into a vector fails only for a metric without a value, which a registry never
        // returns.
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut page) {
            log::error!("cannot write the metrics: {error}");
        }
        HttpResponse::Ok().insert_header((CONTENT_TYPE, CONTENT_TYPE_OF_PAGE)).body(page)
    }
}

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;

    use super::*;
    use crate::store::TargetState;

    #[actix_web::test]
    async fn page_shows_counted_values() {
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
