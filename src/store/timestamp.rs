//! Timestamps in the database: RFC 3339, UTC, microseconds, fixed width, so that text order is time
//! order.

use std::fmt;

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::format_description::well_known::Rfc3339;
use time::macros::datetime;
use time::{Date, Month, OffsetDateTime, Time, UtcOffset};

/// Length in bytes.
const WIDTH: usize = 27;
/// Template of the text; `0` matches any digit.
const SHAPE: &[u8; WIDTH] = b"0000-00-00T00:00:00.000000Z";
const MIN_TIME: OffsetDateTime = datetime!(0000-01-01 00:00 UTC);
const MAX_TIME: OffsetDateTime = datetime!(9999-12-31 23:59:59.999_999 UTC);

/// A moment in UTC, rounded down to microseconds, stored as 27 characters of text.
///
/// Holds the text, so binding it to a statement does not allocate. Every message, delivery and
/// attempt binds one. Times outside the years 0 to 9999 are clamped.
///
/// ```
/// use creel::testing::Timestamp;
/// let epoch = Timestamp::from(time::OffsetDateTime::UNIX_EPOCH);
/// assert_eq!(epoch.to_string(), "1970-01-01T00:00:00.000000Z");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp([u8; WIDTH]);

/// Error for text that is not a timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a timestamp such as 2026-01-31T23:59:59.123456Z")]
pub struct TimestampError;

impl Timestamp {
    /// The earliest timestamp.
    pub const MIN: Self = Self(*b"0000-01-01T00:00:00.000000Z");
    /// The latest timestamp.
    pub const MAX: Self = Self(*b"9999-12-31T23:59:59.999999Z");

    pub fn as_str(&self) -> &str {
        // Always ASCII.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Returns the text without its fraction and zone: `2026-01-31T23:59:59`.
    pub fn to_seconds(&self) -> &str {
        &self.as_str()[..19]
    }

    pub fn to_time(self) -> OffsetDateTime {
        // The text was checked, or written from a time.
        read(&self.0).unwrap_or(MIN_TIME)
    }
}

/// Writes the digits itself instead of using a formatter, because every message, delivery and
/// attempt needs a timestamp on the writer's path.
impl From<OffsetDateTime> for Timestamp {
    fn from(at: OffsetDateTime) -> Self {
        let at = at.clamp(MIN_TIME, MAX_TIME).to_offset(UtcOffset::UTC);
        let mut text = *SHAPE;
        put(&mut text[0..4], at.year().unsigned_abs());
        put(&mut text[5..7], u32::from(u8::from(at.month())));
        put(&mut text[8..10], u32::from(at.day()));
        put(&mut text[11..13], u32::from(at.hour()));
        put(&mut text[14..16], u32::from(at.minute()));
        put(&mut text[17..19], u32::from(at.second()));
        put(&mut text[20..26], at.microsecond());
        Self(text)
    }
}

/// Writes `number` right-aligned over the zeros of `digits`.
fn put(digits: &mut [u8], mut number: u32) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Returns the time of a text in the stored format; `None` for any other text.
fn read(text: &[u8; WIDTH]) -> Option<OffsetDateTime> {
    let fits = |(byte, shape): (&u8, &u8)| if *shape == b'0' { byte.is_ascii_digit() } else { byte == shape };
    if !text.iter().zip(SHAPE).all(fits) {
        return None;
    }
    let number = |digits: &[u8]| digits.iter().fold(0, |number, digit| number * 10 + u32::from(digit - b'0'));
    let short = |at: usize| u8::try_from(number(&text[at..at + 2])).ok();
    let year = i32::try_from(number(&text[0..4])).ok()?;
    let date = Date::from_calendar_date(year, Month::try_from(short(5)?).ok()?, short(8)?).ok()?;
    let time = Time::from_hms_micro(short(11)?, short(14)?, short(17)?, number(&text[20..26])).ok()?;
    Some(OffsetDateTime::new_utc(date, time))
}

/// Returns the time of a text in another form, e.g. after a manual edit: RFC 3339, or that of
/// SQLite's functions, `2026-01-31 23:59:59.123` in UTC.
fn read_edited(text: &[u8]) -> Option<OffsetDateTime> {
    let mut text = str::from_utf8(text).ok()?.to_owned();
    if text.as_bytes().get(10) == Some(&b' ') {
        text.replace_range(10..11, "T");
    }
    let read = |text: &str| OffsetDateTime::parse(text, &Rfc3339).ok();
    read(&text).or_else(|| read(&(text + "Z")))
}

/// Reads the stored form, and with an allocation also RFC 3339 and SQLite's form.
impl TryFrom<&[u8]> for Timestamp {
    type Error = TimestampError;

    fn try_from(text: &[u8]) -> Result<Self, TimestampError> {
        match text.try_into() {
            Ok(stored) if read(&stored).is_some() => Ok(Self(stored)),
            _ => read_edited(text).map(Self::from).ok_or(TimestampError),
        }
    }
}

impl TryFrom<&str> for Timestamp {
    type Error = TimestampError;

    fn try_from(text: &str) -> Result<Self, TimestampError> {
        text.as_bytes().try_into()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Self::try_from(&*text).map_err(D::Error::custom)
    }
}

impl ToSql for Timestamp {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Text(&self.0)))
    }
}

/// Unreadable text is an error that `damage::is_damage` recognizes.
impl FromSql for Timestamp {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_bytes()?.try_into().map_err(FromSqlError::other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(at: OffsetDateTime) -> String {
        Timestamp::from(at).to_string()
    }

    #[test]
    fn text_has_a_fixed_width_and_keeps_microseconds() {
        assert_eq!(text(datetime!(2026-11-22 14:31:00 UTC)), "2026-11-22T14:31:00.000000Z");
        assert_eq!(text(datetime!(2026-01-02 03:04:05.000_789 UTC)), "2026-01-02T03:04:05.000789Z");
        assert_eq!(text(datetime!(2026-01-02 03:04:05.999_999_999 UTC)), "2026-01-02T03:04:05.999999Z");
    }

    #[test]
    fn text_is_in_utc_for_any_offset() {
        assert_eq!(text(datetime!(2026-11-22 01:00:00 +2)), "2026-11-21T23:00:00.000000Z");
    }

    #[test]
    fn time_outside_four_digit_years_is_clamped() {
        assert_eq!(Timestamp::from(datetime!(-0004-02-29 12:00 UTC)), Timestamp::MIN);
        assert_eq!(Timestamp::from(datetime!(9999-12-31 23:59:59.999_999_999 UTC)), Timestamp::MAX);
        assert_eq!(Timestamp::from(datetime!(9999-12-31 23:59 -23)), Timestamp::MAX);
        assert_eq!(Timestamp::MIN.to_time(), MIN_TIME);
        assert_eq!(Timestamp::MAX.to_time(), MAX_TIME);
    }

    #[test]
    fn text_is_read_back_as_the_same_time() {
        for at in [datetime!(2026-12-31 23:59:59.999_999 UTC), datetime!(2024-02-29 00:00 UTC)] {
            assert_eq!(Timestamp::try_from(text(at).as_str()).map(Timestamp::to_time), Ok(at));
        }
    }

    #[test]
    fn timestamps_sort_by_time() {
        let at = datetime!(2026-12-31 23:59:59.999_999 UTC);
        let times = [at - time::Duration::DAY, at, at + time::Duration::MICROSECOND];
        assert!(times.map(Timestamp::from).is_sorted());
    }

    #[test]
    fn text_of_another_form_is_normalized() {
        for text in [
            "2026-11-22T14:31:00Z",
            "2026-11-22T14:31:00.000Z",
            "2026-11-22T14:31:00.000000999Z",
            "2026-11-22T15:31:00.000000+01:00",
            "2026-11-22 14:31:00",
            "2026-11-22 14:31:00.000",
            "2026-11-22 14:31:00.000000Z",
        ] {
            let at = Timestamp::try_from(text).map(|at| at.to_string());
            assert_eq!(at.as_deref(), Ok("2026-11-22T14:31:00.000000Z"), "{text}");
        }
    }

    #[test]
    fn text_without_time_is_rejected() {
        for text in [
            "",
            "yesterday",
            "2026-11-22",
            "2026-11-22 14:31",
            "2026-11-22T14:31:00.00000\u{e9}",
            "2026-02-29T14:31:00.000000Z",
            "2026-13-01T14:31:00.000000Z",
            "2026-11-22T24:00:00.000000Z",
            "+026-11-22T14:31:00.000000Z",
        ] {
            assert_eq!(Timestamp::try_from(text), Err(TimestampError), "{text}");
        }
    }

    #[test]
    fn json_is_the_text() {
        let json = r#""2026-11-22T14:31:00.000000Z""#;
        let at: Timestamp = serde_json::from_str(json).unwrap();
        assert_eq!(at.to_time(), datetime!(2026-11-22 14:31:00 UTC));
        assert_eq!(serde_json::to_string(&at).unwrap(), json);
        assert!(serde_json::from_str::<Timestamp>(r#""2026-11-22""#).is_err());
    }
}
