//! Forecasts the size of the database: its growth, the size at which retention balances it, and
//! when it reaches a limit. Computes from counts of messages, without I/O and without a clock.

use std::time::Duration;

use time::OffsetDateTime;

use crate::config::Retention;
use crate::store::{SourceTraffic, TrafficCount};

/// Days of counts that a forecast needs, and at most uses.
pub const MIN_DAYS: u64 = 1;
pub const MAX_DAYS: u64 = 7;
/// Stored messages that a forecast needs: with fewer, the size of an empty database distorts the
/// result.
const MIN_STORED_MESSAGES: u64 = 100;
/// The stored messages and their counts may differ by one part in this number.
const MISMATCH_DIVISOR: u64 = 5;
/// Size of an empty database.
const EMPTY_DATABASE_BYTES: u64 = 256 << 10;
/// Estimated bytes of a message without its body: head, headers and index entries.
const HEAD_BYTES: u64 = 800;
/// Limits that are reached later count as not reached.
const HORIZON_DAYS: f64 = 3_650.0;
const SECONDS_PER_DAY: f64 = 86_400.0;

/// Counts of a source, and the retention of its messages.
#[derive(Clone, Copy, Debug)]
pub struct SourceGrowth {
    pub traffic: SourceTraffic,
    pub retention: Retention,
}

/// The data of a forecast.
#[derive(Clone, Debug)]
pub struct ForecastInput {
    pub now: OffsetDateTime,
    /// Time since the first counted hour; `None` while older messages are still being
    /// counted.
    pub counted_for: Option<Duration>,
    /// Sources with the counts of the last `days`.
    pub sources: Vec<SourceGrowth>,
    pub days: u64,
    /// Number of stored messages, independent of the counts.
    pub stored_messages: u64,
    /// Used bytes of the database, without its free pages.
    pub used_bytes: u64,
    /// Free pages of the database.
    pub free_page_bytes: u64,
    /// Part of the used bytes that belongs to the quarantine.
    pub quarantine_bytes: u64,
    pub free_disk_bytes: u64,
    pub min_free_bytes: u64,
    pub max_database_bytes: Option<u64>,
}

/// The limit that is reached first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StorageLimit {
    /// `CREEL_MAX_DATABASE_SIZE`, above which the oldest finished messages are deleted.
    DatabaseSize,
    /// The disk down to `CREEL_MIN_FREE`, below which messages are rejected.
    Disk,
}

/// The expected size of the database.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// Days whose counts determine the rate.
    pub days: u64,
    /// Bytes that new messages add in a day, before retention deletes older ones.
    pub bytes_per_day: u64,
    /// Bytes of the database for each byte of a body, of the stored messages.
    pub stored_bytes_per_body_byte: Option<f64>,
    pub used_bytes: u64,
    /// Size at which retention deletes as much as arrives; `None` if retention is off for a source
    /// that receives messages.
    pub level_bytes: Option<u64>,
    pub limit: StorageLimit,
    /// The limit, as used bytes of the database.
    pub limit_bytes: u64,
    /// When the limit is reached; `None` if it is not reached within ten years.
    pub full_at: Option<OffsetDateTime>,
}

/// Reason why there is no forecast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InsufficientData {
    #[error("Messages have been counted for {hours} h; a forecast needs 24 h.")]
    TooYoung { hours: u64 },
    #[error("Older messages are still being counted.")]
    NotCounted,
    #[error("{messages} messages are stored; a forecast needs 100.")]
    TooFewMessages { messages: u64 },
    #[error("The stored messages do not match the counts.")]
    MismatchedCounts,
    #[error("The counts cannot be read in time.")]
    TooManyCounts,
}

/// The size of the messages of a source over time.
#[derive(Clone, Copy, Debug)]
struct SizeCurve {
    bytes_per_day: f64,
    /// Days until the size is constant; `None` if it never is.
    days_to_level: Option<f64>,
}

/// Computes a forecast.
///
/// # Errors
/// If there are too few counts.
pub fn forecast(input: &ForecastInput) -> Result<Forecast, InsufficientData> {
    let counted_for = input.counted_for.ok_or(InsufficientData::NotCounted)?;
    if input.days < MIN_DAYS {
        return Err(InsufficientData::TooYoung { hours: counted_for.as_secs() / 3_600 });
    }
    let stored: TrafficCount = input.sources.iter().map(|source| source.traffic.stored).sum();
    if input.stored_messages < MIN_STORED_MESSAGES {
        return Err(InsufficientData::TooFewMessages { messages: input.stored_messages });
    }
    // The counts can start after the oldest message, and messages after it can be deleted already,
    // e.g. because of the size limit while the oldest one is pending.
    let max_difference = input.stored_messages / MISMATCH_DIVISOR;
    if stored.messages.abs_diff(input.stored_messages) > max_difference {
        return Err(InsufficientData::MismatchedCounts);
    }
    let message_bytes =
        input.used_bytes.saturating_sub(input.quarantine_bytes).saturating_sub(EMPTY_DATABASE_BYTES);
    let factor = message_bytes as f64 / weight(stored);
    let rate = |source: &SourceGrowth| factor * weight(source.traffic.recent) / input.days as f64;
    let curves: Vec<SizeCurve> = input
        .sources
        .iter()
        .map(|source| curve(source, rate(source), factor * weight(source.traffic.stored), counted_for))
        .collect();
    let (limit, limit_bytes) = limit(input);
    let days_to_limit = days_until(&curves, input.used_bytes as f64, limit_bytes as f64);
    let full_at = days_to_limit
        .filter(|days| *days <= HORIZON_DAYS)
        .and_then(|days| input.now.checked_add(time::Duration::seconds_f64(days * SECONDS_PER_DAY)));
    Ok(Forecast {
        days: input.days,
        bytes_per_day: input.sources.iter().map(rate).sum::<f64>().round() as u64,
        stored_bytes_per_body_byte: (stored.bytes > 0).then(|| message_bytes as f64 / stored.bytes as f64),
        used_bytes: input.used_bytes,
        level_bytes: level(&curves, input.used_bytes as f64),
        limit,
        limit_bytes,
        full_at,
    })
}

/// Returns the bytes of messages and their heads, to which the size of the database is
/// proportional.
fn weight(count: TrafficCount) -> f64 {
    count.bytes as f64 + HEAD_BYTES as f64 * count.messages as f64
}

/// Returns the curve of a source that receives `rate` bytes a day and has `stored` bytes. If it has
/// been counted for less than its retention, nothing is deleted until then. Otherwise the stored
/// messages are replaced by new ones within the retention.
fn curve(source: &SourceGrowth, rate: f64, stored: f64, counted_for: Duration) -> SizeCurve {
    let Retention::For(retention) = source.retention else {
        let days_to_level = (rate <= 0.0).then_some(0.0);
        return SizeCurve { bytes_per_day: rate, days_to_level };
    };
    let days = |duration: Duration| duration.as_secs_f64() / SECONDS_PER_DAY;
    let level = rate * days(retention);
    let days_to_level = match retention.checked_sub(counted_for) {
        Some(rest) if !rest.is_zero() => days(rest),
        _ => days(retention),
    };
    SizeCurve { bytes_per_day: (level - stored) / days_to_level, days_to_level: Some(days_to_level) }
}

/// Returns the final size; `None` if the size never stops growing.
fn level(curves: &[SizeCurve], used_bytes: f64) -> Option<u64> {
    let growth: Option<f64> =
        curves.iter().map(|curve| Some(curve.bytes_per_day * curve.days_to_level?)).sum();
    growth.map(|growth| (used_bytes + growth).round().max(0.0) as u64)
}

fn limit(input: &ForecastInput) -> (StorageLimit, u64) {
    let free_bytes = input.free_disk_bytes.saturating_sub(input.min_free_bytes);
    let disk = input.used_bytes.saturating_add(input.free_page_bytes).saturating_add(free_bytes);
    match input.max_database_bytes {
        Some(bytes) if bytes <= disk => (StorageLimit::DatabaseSize, bytes),
        _ => (StorageLimit::Disk, disk),
    }
}

/// Returns the days until the sum of the curves, starting with `bytes`, reaches the limit.
fn days_until(curves: &[SizeCurve], mut bytes: f64, limit: f64) -> Option<f64> {
    if bytes >= limit {
        return Some(0.0);
    }
    let mut changes: Vec<f64> = curves.iter().filter_map(|curve| curve.days_to_level).collect();
    changes.sort_by(f64::total_cmp);
    let mut day = 0.0;
    for next in changes.into_iter().chain([f64::INFINITY]) {
        let is_active = |curve: &&SizeCurve| curve.days_to_level.is_none_or(|end| end > day);
        let slope: f64 = curves.iter().filter(is_active).map(|curve| curve.bytes_per_day).sum();
        let days_to_limit = (limit - bytes) / slope;
        if slope > 0.0 && day + days_to_limit <= next {
            return days_to_limit.is_finite().then_some(day + days_to_limit);
        }
        if next.is_infinite() {
            return None;
        }
        bytes += slope * (next - day);
        day = next;
    }
    None
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);
    const NOW: OffsetDateTime = datetime!(2026-12-01 00:00 UTC);

    fn count(messages: u64, bytes: u64) -> TrafficCount {
        TrafficCount { messages, bytes, rejections: 0 }
    }

    /// A source with 1,000 messages of 9,200 bytes a day: 10 MB with their heads.
    fn source(days_stored: u64, days_recent: u64, retention: Retention) -> SourceGrowth {
        let days = |days: u64| count(1_000 * days, 9_200_000 * days);
        let traffic = SourceTraffic { recent: days(days_recent), stored: days(days_stored) };
        SourceGrowth { traffic, retention }
    }

    /// A database that stores 10 MB a day as 20 MB.
    fn input(days_stored: u64, counted_for: Duration, sources: Vec<SourceGrowth>) -> ForecastInput {
        let stored_messages = sources.iter().map(|source| source.traffic.stored.messages).sum();
        ForecastInput {
            now: NOW,
            counted_for: Some(counted_for),
            sources,
            days: 1,
            stored_messages,
            used_bytes: EMPTY_DATABASE_BYTES + days_stored * 20_000_000,
            free_page_bytes: 0,
            quarantine_bytes: 0,
            free_disk_bytes: 1_000_000_000_000,
            min_free_bytes: 0,
            max_database_bytes: None,
        }
    }

    #[test]
    fn young_database_grows_to_its_level() {
        let young = input(2, 2 * DAY, vec![source(2, 1, Retention::For(7 * DAY))]);
        let done = forecast(&young).unwrap();
        assert_eq!(done.bytes_per_day, 20_000_000);
        assert_eq!(done.level_bytes, Some(EMPTY_DATABASE_BYTES + 140_000_000));
        assert_eq!((done.limit, done.full_at), (StorageLimit::Disk, None));
        let ratio = done.stored_bytes_per_body_byte.unwrap();
        assert!((ratio - 20.0 / 9.2).abs() < 1e-9, "{ratio}");

        // 100 MB are reached after three more days at 20 MB a day.
        let limited = ForecastInput { max_database_bytes: Some(EMPTY_DATABASE_BYTES + 100_000_000), ..young };
        let done = forecast(&limited).unwrap();
        assert_eq!((done.limit, done.full_at), (StorageLimit::DatabaseSize, Some(NOW + 3 * DAY)));
    }

    #[test]
    fn steady_database_keeps_its_size() {
        let steady = input(7, 100 * DAY, vec![source(7, 1, Retention::For(7 * DAY))]);
        let done = forecast(&steady).unwrap();
        assert_eq!((done.level_bytes, done.full_at), (Some(steady.used_bytes), None));
    }

    #[test]
    fn doubled_rate_doubles_the_level_within_the_retention() {
        let growing = source(7, 2, Retention::For(7 * DAY));
        let max_database_bytes = Some(EMPTY_DATABASE_BYTES + 210_000_000);
        let input = ForecastInput { max_database_bytes, ..input(7, 100 * DAY, vec![growing]) };
        let done = forecast(&input).unwrap();
        assert_eq!(done.bytes_per_day, 40_000_000);
        assert_eq!(done.level_bytes, Some(EMPTY_DATABASE_BYTES + 280_000_000));
        // From 140 MB to 280 MB in seven days.
        assert_eq!(done.full_at, Some(NOW + DAY * 7 / 2));
    }

    #[test]
    fn database_without_retention_fills_the_disk() {
        let sources = vec![source(10, 1, Retention::Keep), source(10, 0, Retention::Keep)];
        let kept = ForecastInput {
            free_disk_bytes: 300_000_000,
            min_free_bytes: 100_000_000,
            ..input(20, 10 * DAY, sources)
        };
        let done = forecast(&kept).unwrap();
        assert_eq!((done.level_bytes, done.limit), (None, StorageLimit::Disk));
        assert_eq!(done.full_at, Some(NOW + 10 * DAY));
    }

    #[test]
    fn growth_continues_after_the_first_source_is_level() {
        let sources = vec![source(1, 1, Retention::For(2 * DAY)), source(1, 1, Retention::Keep)];
        let max_database_bytes = Some(EMPTY_DATABASE_BYTES + 100_000_000);
        let input = ForecastInput { max_database_bytes, ..input(2, DAY, sources) };
        // 40 MB, after one day 80 MB, then 20 MB a day.
        assert_eq!(forecast(&input).unwrap().full_at, Some(NOW + 2 * DAY));
    }

    #[test]
    fn database_above_its_limit_is_full_now() {
        let above = ForecastInput {
            max_database_bytes: Some(1_000_000),
            ..input(7, 100 * DAY, vec![source(7, 1, Retention::For(7 * DAY))])
        };
        assert_eq!(forecast(&above).unwrap().full_at, Some(NOW));
    }

    #[test]
    fn mismatched_counts_give_no_forecast() {
        let counted = input(7, 100 * DAY, vec![source(7, 1, Retention::For(7 * DAY))]);
        for (stored_messages, is_forecast) in
            [(7_000, true), (6_000, true), (8_500, true), (5_000, false), (9_000, false), (70_000, false)]
        {
            let done = forecast(&ForecastInput { stored_messages, ..counted.clone() });
            let expected = if is_forecast { None } else { Some(InsufficientData::MismatchedCounts) };
            assert_eq!(done.err(), expected, "{stored_messages}");
        }
    }

    #[test]
    fn too_little_data_is_reported() {
        let young = ForecastInput { days: 0, ..input(0, DAY / 4, Vec::new()) };
        assert_eq!(forecast(&young), Err(InsufficientData::TooYoung { hours: 6 }));
        let uncounted = ForecastInput { counted_for: None, ..young };
        assert_eq!(forecast(&uncounted), Err(InsufficientData::NotCounted));
        let empty = input(0, DAY, Vec::new());
        assert_eq!(forecast(&empty), Err(InsufficientData::TooFewMessages { messages: 0 }));
    }
}
