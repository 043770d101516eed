//! Retention of the counts, which is fixed: 400 days by hour and three days by minute.

use rusqlite::{Connection, params};
use time::{Duration, OffsetDateTime};

use crate::store::counts::period::CountMinute;

const HOUR_RETENTION: Duration = Duration::days(400);
/// Retention of minutes for a reader.
pub const MINUTE_RETENTION: Duration = Duration::days(3);
/// Minutes are deleted an hour later, so that a time that was rounded down is complete.
const EXTRA_MINUTE_RETENTION: Duration = Duration::hours(1);
/// Limit on rows that one step deletes.
const ROWS_PER_STEP: usize = 256;

/// Returns the oldest hour that is kept.
pub fn oldest_hour(now: OffsetDateTime) -> CountMinute {
    before(now, HOUR_RETENTION).hour()
}

/// Returns the oldest minute that is kept.
pub fn oldest_minute(now: OffsetDateTime) -> CountMinute {
    before(now, MINUTE_RETENTION + EXTRA_MINUTE_RETENTION)
}

fn before(now: OffsetDateTime, age: Duration) -> CountMinute {
    CountMinute::of(now.checked_sub(age).unwrap_or(OffsetDateTime::UNIX_EPOCH))
}

/// Deletes some old counts; returns their number, 0 when done.
pub fn delete(connection: &Connection, now: OffsetDateTime) -> rusqlite::Result<usize> {
    let minutes = connection
        .prepare_cached(
            "DELETE FROM minute_counts WHERE (minute, source, event) IN
               (SELECT minute, source, event FROM minute_counts WHERE minute < ?1
                ORDER BY minute, source, event LIMIT ?2)",
        )?
        .execute(params![oldest_minute(now), ROWS_PER_STEP])?;
    if minutes > 0 {
        return Ok(minutes);
    }
    connection
        .prepare_cached(
            "DELETE FROM hourly_counts WHERE (hour, source, event) IN
               (SELECT hour, source, event FROM hourly_counts WHERE hour < ?1
                ORDER BY hour, source, event LIMIT ?2)",
        )?
        .execute(params![oldest_hour(now), ROWS_PER_STEP])
}
