//! Groups of related metrics, and their registration.

use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

use crate::store::{Stats, TargetNumbers, TargetState};

/// Creates metrics and registers them.
pub struct Maker<'a>(pub &'a Registry);

impl Maker<'_> {
    pub fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.registered(IntCounter::new(name, help))
    }

    pub fn counters(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.registered(IntCounterVec::new(Opts::new(name, help), labels))
    }

    pub fn gauge(&self, name: &str, help: &str) -> IntGauge {
        self.registered(IntGauge::new(name, help))
    }

    pub fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.registered(IntGaugeVec::new(Opts::new(name, help), labels))
    }

    pub fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Histogram {
        self.registered(Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec())))
    }

    fn registered<M: Collector + Clone + 'static>(&self, metric: prometheus::Result<M>) -> M {
        let metric = metric.expect("the name of a metric is well-formed");
        self.0.register(Box::new(metric.clone())).expect("no two metrics have the same name");
        metric
    }
}

/// The database, its files and its writer.
#[derive(Debug)]
pub struct StoreMetrics {
    queue_depth: IntGauge,
    wal_bytes: IntGauge,
    wal_pinned_seconds: IntGauge,
    database_bytes: IntGauge,
    free_disk_bytes: IntGauge,
    keys_in_memory: IntGauge,
    keys_bytes: IntGauge,
    is_damaged: IntGauge,
    quarantine_rows: IntGauge,
    quarantine_bytes: IntGauge,
    quarantine_dropped: IntCounterVec,
    search_lag: IntGauge,
    search_bytes: IntGauge,
    search_indexed: IntCounter,
}

impl StoreMetrics {
    pub fn new(make: &Maker<'_>) -> Self {
        Self {
            queue_depth: make.gauge("creel_queue_depth", "Jobs queued for the writer."),
            wal_bytes: make.gauge("creel_wal_bytes", "Size of the write-ahead log."),
            wal_pinned_seconds: make
                .gauge("creel_wal_pinned_seconds", "Time for which a reader has blocked a reset of the WAL."),
            database_bytes: make.gauge("creel_database_bytes", "Size of the database file."),
            free_disk_bytes: make.gauge("creel_free_disk_bytes", "Free space on the disk of the database."),
            keys_in_memory: make.gauge(
                "creel_keys_in_memory",
                "Keys of messages in memory, used to find duplicates.",
            ),
            keys_bytes: make.gauge("creel_keys_bytes", "Memory used by message keys and their filters."),
            is_damaged: make.gauge(
                "creel_database_damaged",
                "1 after damage was found in the database: see `creel verify`.",
            ),
            quarantine_rows: make.gauge("creel_quarantine_rows", "Rejected requests in quarantine."),
            quarantine_bytes: make
                .gauge("creel_quarantine_bytes", "Bytes of CREEL_QUARANTINE_SIZE that are in use."),
            quarantine_dropped: make.counters(
                "creel_quarantine_dropped_total",
                "Rejected requests that the quarantine did not store, or evicted early, by kind: a candidate may be genuine.",
                &["kind"],
            ),
            search_lag: make.gauge("creel_search_lag_messages", "Messages that are not in the search index."),
            search_bytes: make.gauge("creel_search_bytes", "Size of the search index."),
            search_indexed: make
                .counter("creel_search_indexed_total", "Messages added to the search index since the start."),
        }
    }

    pub fn set(&self, stats: &Stats) {
        let search = stats.search.unwrap_or_default();
        raise(&self.search_indexed, search.indexed_total);
        let gauges = [
            (&self.queue_depth, stats.queue_depth as u64),
            (&self.wal_bytes, stats.wal_bytes),
            (&self.wal_pinned_seconds, stats.wal_pinned_seconds),
            (&self.database_bytes, stats.database_bytes),
            (&self.free_disk_bytes, stats.free_disk_bytes),
            (&self.keys_in_memory, stats.keys_in_memory as u64),
            (&self.keys_bytes, stats.keys_bytes as u64),
            (&self.is_damaged, u64::from(stats.is_damaged)),
            (&self.quarantine_rows, stats.quarantine.rows),
            (&self.quarantine_bytes, stats.quarantine.bytes),
            (&self.search_lag, search.lag_messages),
            (&self.search_bytes, search.bytes),
        ];
        for (gauge, value) in gauges {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        }
        let dropped = |kind| self.quarantine_dropped.with_label_values(&[kind]);
        raise(&dropped("candidate"), stats.quarantine.candidates_dropped);
        raise(&dropped("noise"), stats.quarantine.noise_dropped);
    }
}

/// Metrics of targets and their deliveries.
#[derive(Debug)]
pub struct TargetMetrics {
    attempts: IntCounterVec,
    dead: IntCounter,
    dead_letters: IntGauge,
    by_state: IntGaugeVec,
    disabled: IntGaugeVec,
}

impl TargetMetrics {
    pub fn new(make: &Maker<'_>) -> Self {
        Self {
            attempts: make.counters(
                "creel_attempts_total",
                "Delivery attempts since the start, by outcome.",
                &["outcome"],
            ),
            dead: make.counter(
                "creel_deliveries_dead_total",
                "Deliveries that became dead letters since the start.",
            ),
            dead_letters: make.gauge("creel_dead_letters", "Dead letters that were not replayed."),
            by_state: make.gauges("creel_targets", "Targets by state, without listeners.", &["state"]),
            disabled: make.gauges(
                "creel_target_disabled",
                "1 for each target that answered 410 Gone and was not resumed.",
                &["target"],
            ),
        }
    }

    pub fn set(&self, stats: &Stats) {
        raise(&self.attempts.with_label_values(&["delivered"]), stats.attempts_delivered);
        raise(&self.attempts.with_label_values(&["failed"]), stats.attempts_failed);
        raise(&self.dead, stats.deliveries_dead);
    }

    pub fn set_numbers(&self, numbers: &TargetNumbers) {
        self.dead_letters.set(numbers.dead_letters);
        self.disabled.reset();
        for state in [TargetState::Active, TargetState::Paused, TargetState::Disabled] {
            let in_state = numbers.targets.iter().filter(|(_, one)| *one == state);
            let count = in_state.clone().count();
            self.by_state.with_label_values(&[state.name()]).set(i64::try_from(count).unwrap_or(i64::MAX));
            if state == TargetState::Disabled {
                in_state.for_each(|(name, _)| self.disabled.with_label_values(&[name]).set(1));
            }
        }
    }
}

/// Connections and malformed requests.
#[derive(Debug)]
pub struct ConnectionMetrics {
    pub open: IntGaugeVec,
    pub closed: IntCounterVec,
    pub malformed: IntCounterVec,
}

impl ConnectionMetrics {
    pub fn new(make: &Maker<'_>) -> Self {
        Self {
            open: make.gauges("creel_connections", "Open connections.", &["listener"]),
            closed: make.counters(
                "creel_connections_closed_total",
                "Connections closed because connections ran short, by their activity.",
                &["reason"],
            ),
            malformed: make.counters(
                "creel_malformed_requests_total",
                "Requests that are not well-formed HTTP, or whose head did not arrive in time, by status of the reply.",
                &["status"],
            ),
        }
    }
}

/// Raises a counter to a value that is counted elsewhere.
fn raise(counter: &IntCounter, value: u64) {
    counter.inc_by(value.saturating_sub(counter.get()));
}
