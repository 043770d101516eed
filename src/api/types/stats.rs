//! Counts over time and the forecast, as clients see them.

use serde::{Deserialize, Serialize};

/// Counts of messages and rejections.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[cfg_attr(test, schema(as = Stats))]
pub struct TrafficStats {
    /// Start of the first bucket.
    #[cfg_attr(test, schema(format = DateTime, examples("2026-11-22T14:00:00.000000Z")))]
    pub from: String,
    /// End of the last bucket, which can be in the future.
    #[cfg_attr(test, schema(format = DateTime, examples("2026-11-22T15:00:00.000000Z")))]
    pub to: String,
    /// Length of a bucket.
    pub step_seconds: u64,
    /// False while older messages, e.g. from before an update, are still being counted, and for
    /// steps below `1h` if counts have lost their minutes while the database was not writable.
    pub complete: bool,
    pub total: CountNumbers,
    /// All buckets, oldest first; those without requests have zeros.
    pub buckets: Vec<CountBucket>,
    /// Null without `by`. At most 50 series, largest first, and the rest as `…other`.
    pub series: Option<Vec<NamedCounts>>,
}

/// Numbers of messages and rejections.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[cfg_attr(test, schema(as = Counts))]
pub struct CountNumbers {
    /// Stored messages, without duplicates.
    pub messages: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// Requests that failed verification.
    pub rejections: u64,
}

/// Counts of a bucket.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct CountBucket {
    #[cfg_attr(test, schema(format = DateTime, examples("2026-11-22T14:00:00.000000Z")))]
    pub start: String,
    #[serde(flatten)]
    pub count: CountNumbers,
}

/// Counts of one source or event. The lists have one number for each bucket.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[cfg_attr(test, schema(as = CountSeries))]
pub struct NamedCounts {
    /// The source or event. `…other` is the rest. Null for rejections, whose event is unknown.
    #[cfg_attr(test, schema(examples("github")))]
    pub name: Option<String>,
    pub total: CountNumbers,
    pub messages: Vec<u64>,
    pub bytes: Vec<u64>,
    pub rejections: Vec<u64>,
}

/// The expected size of the database, or the reason why it is unknown.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct StorageForecast {
    /// Null without a forecast.
    pub forecast: Option<ExpectedSize>,
    /// Why there is no forecast; otherwise null.
    #[cfg_attr(test, schema(examples("Messages have been counted for 3 h; a forecast needs 24 h.")))]
    pub reason: Option<String>,
}

/// The expected size of the database.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct ExpectedSize {
    /// Whole days whose counts determine the rate: 1 to 7.
    pub days: u64,
    /// Bytes that new messages add in a day, before retention deletes older ones.
    pub bytes_per_day: u64,
    /// Bytes of the database for each byte of a body. Null if all stored bodies are empty.
    pub stored_bytes_per_body_byte: Option<f64>,
    /// Used bytes of the database.
    pub used_bytes: u64,
    /// Size at which retention deletes as much as arrives. Null if retention is off for a source
    /// that receives messages.
    pub level_bytes: Option<u64>,
    /// The limit that is reached first: `max_database_size` (`CREEL_MAX_DATABASE_SIZE`, above which
    /// the oldest finished messages are deleted) or `disk` (down to `CREEL_MIN_FREE`, below which
    /// messages are rejected).
    #[cfg_attr(test, schema(examples("disk")))]
    pub limit: String,
    /// The limit, as used bytes of the database.
    pub limit_bytes: u64,
    /// When the limit is reached. Null if it is not reached within ten years.
    #[cfg_attr(test, schema(format = DateTime, examples("2026-11-22T14:31:00.000000Z")))]
    pub full_at: Option<String>,
}
