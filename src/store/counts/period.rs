//! Minutes and hours, in memory and as text in the tables.

use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput};
use time::OffsetDateTime;

use crate::store::timestamp::Timestamp;

const SECONDS_PER_MINUTE: i64 = 60;
pub const MINUTES_PER_HOUR: i64 = 60;
/// Length of `2026-01-31T23:59`.
const TEXT_BYTES: usize = 16;

/// Start of a minute in UTC, in minutes since 1970. The text in the tables is the beginning of a
/// timestamp: it sorts by time, and SQLite's date functions read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CountMinute(i64);

impl CountMinute {
    /// Returns the minute that contains a time.
    pub fn of(at: OffsetDateTime) -> Self {
        Self(at.unix_timestamp().div_euclid(SECONDS_PER_MINUTE))
    }

    pub const fn of_number(minutes: i64) -> Self {
        Self(minutes)
    }

    pub const fn get(self) -> i64 {
        self.0
    }

    /// Returns the first minute of its hour.
    pub const fn hour(self) -> Self {
        Self(self.0 - self.0.rem_euclid(MINUTES_PER_HOUR))
    }

    pub const fn plus(self, minutes: i64) -> Self {
        Self(self.0.saturating_add(minutes))
    }

    /// Returns the start of the minute; a time out of range is clamped.
    pub fn to_timestamp(self) -> Timestamp {
        let limit = if self.0 < 0 { Timestamp::MIN } else { Timestamp::MAX };
        let at = OffsetDateTime::from_unix_timestamp(self.0.saturating_mul(SECONDS_PER_MINUTE));
        at.map_or(limit, Timestamp::from)
    }

    fn to_text(self) -> String {
        format!("{}Z", &self.to_timestamp().as_str()[..TEXT_BYTES])
    }
}

impl ToSql for CountMinute {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.to_text().into())
    }
}

/// Reads the result of SQLite's `unixepoch`, in seconds.
impl FromSql for CountMinute {
    fn column_result(value: rusqlite::types::ValueRef<'_>) -> FromSqlResult<Self> {
        i64::column_result(value).map(|seconds| Self(seconds.div_euclid(SECONDS_PER_MINUTE)))
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;
    use time::macros::datetime;

    use super::*;

    #[test]
    fn text_is_read_by_date_functions() {
        let connection = Connection::open_in_memory().unwrap();
        for (at, minute, hour) in [
            (datetime!(2026-01-31 23:59:59.9 UTC), "2026-01-31T23:59Z", "2026-01-31T23:00Z"),
            (datetime!(2026-02-01 01:00:00 +01:00), "2026-02-01T00:00Z", "2026-02-01T00:00Z"),
            (datetime!(1969-12-31 23:30:01 UTC), "1969-12-31T23:30Z", "1969-12-31T23:00Z"),
        ] {
            let counted = CountMinute::of(at);
            assert_eq!((counted.to_text(), counted.hour().to_text()), (minute.to_owned(), hour.to_owned()));
            let read = connection.query_row("SELECT unixepoch(?1)", [counted], |row| row.get(0));
            assert_eq!(read, Ok(counted));
        }
    }

    #[test]
    fn time_out_of_range_is_clamped() {
        assert_eq!(CountMinute(i64::MAX).to_timestamp(), Timestamp::MAX);
        assert_eq!(CountMinute(i64::MIN).to_timestamp(), Timestamp::MIN);
    }
}
