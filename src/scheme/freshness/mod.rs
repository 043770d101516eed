//! The format of a signed timestamp, and its maximum difference from the clock. The signed text
//! contains the timestamp as sent; its parsed value is only compared with the clock.

use std::borrow::Cow;
use std::time::Duration;

use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::{Rfc2822, Rfc3339};

use super::layout::Layout;
use super::place::Place;
use crate::content::request::Cause;
use crate::content::view::View;

mod iso_date;

pub use iso_date::MAX_DATE_BYTES;

const SECONDS_DIGITS: usize = 10;
const MILLISECONDS_DIGITS: usize = 13;
const HTTP_DATE_BYTES: [usize; 2] = [29, 31];

/// The timestamp of a signature scheme.
#[derive(Clone, Debug)]
pub struct TimestampRule {
    pub at: TimestampPlace,
    pub unit: TimestampUnit,
}

/// The place of the timestamp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimestampPlace {
    Request(Place),
    /// A named part of the signature's value.
    Layout(String),
}

impl TimestampPlace {
    /// Returns the timestamp exactly as sent; `value` is the signature's value.
    ///
    /// # Errors
    /// Absent or ambiguous.
    pub fn find<'a>(
        &self,
        view: &'a View<'a>,
        layout: &Layout,
        value: &'a [u8],
    ) -> Result<Cow<'a, [u8]>, Cause> {
        match self {
            Self::Request(place) => place.require(view),
            Self::Layout(name) => layout.named(value, name).map(Cow::Borrowed),
        }
    }
}

/// Format of a timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum TimestampUnit {
    /// Seconds since 1970.
    #[serde(rename = "s")]
    Seconds,
    #[serde(rename = "ms")]
    Milliseconds,
    /// Ten digits are seconds, and thirteen are milliseconds.
    #[serde(rename = "s-or-ms")]
    SecondsOrMilliseconds,
    /// RFC 3339 time, or a variant that `iso_date` accepts; UTC if it has no offset.
    #[serde(rename = "rfc3339")]
    Rfc3339,
    /// Seconds (ten digits), milliseconds (thirteen digits) or an RFC 3339 time, recognized by
    /// shape.
    #[serde(rename = "any")]
    Any,
    /// `Thu, 09 Oct 2025 08:53:20 GMT`
    #[serde(rename = "http-date")]
    HttpDate,
}

/// A point in time with the precision in which it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignedTime {
    Seconds(i64),
    Milliseconds(i64),
}

impl TimestampUnit {
    /// Parses a timestamp. Numbers are plain digits only, without leading zeros: ten for seconds,
    /// which last until 2286, and thirteen for milliseconds. Any other way to write the same time
    /// would let a digit move between a signed timestamp and the text next to it.
    ///
    /// # Errors
    /// `MalformedSignature`.
    pub fn parse(self, text: &[u8]) -> Result<SignedTime, Cause> {
        match self {
            Self::Seconds => digits(text, SECONDS_DIGITS).map(SignedTime::Seconds),
            Self::Milliseconds => digits(text, MILLISECONDS_DIGITS).map(SignedTime::Milliseconds),
            Self::SecondsOrMilliseconds if text.len() == MILLISECONDS_DIGITS => {
                Self::Milliseconds.parse(text)
            }
            Self::SecondsOrMilliseconds => Self::Seconds.parse(text),
            Self::Any if text.iter().all(u8::is_ascii_digit) => Self::SecondsOrMilliseconds.parse(text),
            Self::Rfc3339 | Self::Any => {
                iso_date::milliseconds(text).map(SignedTime::Milliseconds).ok_or(Cause::MalformedSignature)
            }
            Self::HttpDate => date(text, http_date),
        }
    }

    /// Whether no timestamp of this format begins or ends with a shorter one.
    pub const fn has_fixed_form(self) -> bool {
        matches!(self, Self::Seconds | Self::Milliseconds | Self::HttpDate)
    }

    /// Whether a timestamp is always a date. Digits before a date cannot be read as a part of it.
    pub const fn is_date(self) -> bool {
        matches!(self, Self::Rfc3339 | Self::HttpDate)
    }

    /// Whether the text begins with a timestamp. A timestamp of digits only must be followed by
    /// `close`.
    pub fn begins(self, text: &[u8], close: &[u8]) -> bool {
        let lengths = match self {
            Self::Seconds => &[SECONDS_DIGITS][..],
            Self::Milliseconds => &[MILLISECONDS_DIGITS],
            Self::SecondsOrMilliseconds => &[SECONDS_DIGITS, MILLISECONDS_DIGITS],
            // Up to the seconds, in the basic and the extended form; the text after them makes no
            // difference.
            Self::Rfc3339 => &[15, 19],
            Self::Any => &[SECONDS_DIGITS, MILLISECONDS_DIGITS, 15, 19],
            Self::HttpDate => &HTTP_DATE_BYTES,
        };
        lengths.iter().any(|length| {
            let Some((stamp, rest)) = text.split_at_checked(*length) else { return false };
            self.parse(stamp).is_ok() && (*length > MILLISECONDS_DIGITS || rest.starts_with(close))
        })
    }

    /// Writes a time as a sender does.
    pub fn write(self, time: OffsetDateTime) -> String {
        match self {
            Self::Seconds | Self::SecondsOrMilliseconds | Self::Any => time.unix_timestamp().to_string(),
            Self::Milliseconds => milliseconds(time).to_string(),
            Self::Rfc3339 => time.format(&Rfc3339).unwrap_or_default(),
            Self::HttpDate => {
                let date = time.to_offset(time::UtcOffset::UTC).format(&Rfc2822).unwrap_or_default();
                date.strip_suffix("+0000").map_or(date.clone(), |date| format!("{date}GMT"))
            }
        }
    }
}

impl SignedTime {
    /// Returns the point in time; `None` if it is out of range.
    pub fn to_time(self) -> Option<OffsetDateTime> {
        match self {
            Self::Seconds(seconds) => OffsetDateTime::from_unix_timestamp(seconds).ok(),
            Self::Milliseconds(milliseconds) => {
                OffsetDateTime::from_unix_timestamp_nanos(i128::from(milliseconds) * 1_000_000).ok()
            }
        }
    }

    /// Compares the time with the clock.
    ///
    /// # Errors
    /// `StaleTimestamp` if they differ by more than the tolerance, in either direction.
    pub fn check(self, now: OffsetDateTime, tolerance: Duration) -> Result<(), Cause> {
        let (difference, tolerance) = match self {
            Self::Seconds(timestamp) => {
                (now.unix_timestamp().abs_diff(timestamp), u128::from(tolerance.as_secs()))
            }
            Self::Milliseconds(timestamp) => (milliseconds(now).abs_diff(timestamp), tolerance.as_millis()),
        };
        if u128::from(difference) <= tolerance { Ok(()) } else { Err(Cause::StaleTimestamp) }
    }
}

fn digits(text: &[u8], count: usize) -> Result<i64, Cause> {
    if text.len() != count || text.first() == Some(&b'0') || !text.iter().all(u8::is_ascii_digit) {
        return Err(Cause::MalformedSignature);
    }
    Ok(text.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0')))
}

fn date(text: &[u8], parse: impl Fn(&str) -> Option<OffsetDateTime>) -> Result<SignedTime, Cause> {
    let text = std::str::from_utf8(text).ok().filter(|text| text.len() <= MAX_DATE_BYTES);
    let time = text.and_then(parse).ok_or(Cause::MalformedSignature)?;
    Ok(SignedTime::Milliseconds(milliseconds(time)))
}

/// Parses `Thu, 09 Oct 2025 08:53:20 GMT`, or with another zone of RFC 2822 at the end, e.g.
/// `+0000`. The weekday is required, and comments are rejected.
fn http_date(text: &str) -> Option<OffsetDateTime> {
    let has_form = HTTP_DATE_BYTES.contains(&text.len())
        && text.get(3..5) == Some(", ")
        && !text.contains(['(', '\\'])
        && !text.ends_with(' ');
    let zoned = text.strip_suffix("GMT").map(|date| format!("{date}+0000"));
    has_form.then(|| OffsetDateTime::parse(zoned.as_deref().unwrap_or(text), &Rfc2822).ok())?
}

fn milliseconds(time: OffsetDateTime) -> i64 {
    // Always fits: years up to 9999 are far below 2^63 milliseconds.
    i64::try_from(time.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_digits_are_a_number() {
        assert_eq!(TimestampUnit::Seconds.parse(b"1760000000"), Ok(SignedTime::Seconds(1_760_000_000)));
        assert_eq!(TimestampUnit::Seconds.parse(b"9999999999"), Ok(SignedTime::Seconds(9_999_999_999)));
        for rejected in [
            "0176000000",
            "01760000000",
            "176000000",
            "17600000001",
            "",
            "NaN",
            "-1",
            "+1760000000",
            "1760000000.0",
            "1e9",
            " 1",
            "12345678901234567890",
        ] {
            assert_eq!(
                TimestampUnit::Seconds.parse(rejected.as_bytes()),
                Err(Cause::MalformedSignature),
                "{rejected}"
            );
        }
    }

    #[test]
    fn http_date_is_read_and_other_dates_rejected() {
        let read = |text: &str| TimestampUnit::HttpDate.parse(text.as_bytes());
        assert_eq!(read("Thu, 09 Oct 2025 08:53:20 GMT"), Ok(SignedTime::Milliseconds(1_760_000_000_000)));
        for text in [
            "",
            "yesterday",
            "2025-10-09T08:53:20Z",
            "1760000000",
            "09 Oct 2025 08:53:20 GMT",
            "Thu, 9 Oct 2025 08:53:20 GMT",
            "(a) Thu, 09 Oct 2025 08:53:20 GMT",
            "Thu, 09 Oct 2025 08:53:20  GMT",
            "9 Oct 2025 08:53:20 (a) +0000",
        ] {
            assert_eq!(read(text), Err(Cause::MalformedSignature), "{text}");
        }
    }

    #[test]
    fn any_unit_is_recognized_by_shape() {
        let read = |text: &str| TimestampUnit::Any.parse(text.as_bytes());
        assert_eq!(read("1760000000"), Ok(SignedTime::Seconds(1_760_000_000)));
        assert_eq!(read("1760000000123"), Ok(SignedTime::Milliseconds(1_760_000_000_123)));
        for text in ["2025-10-09T08:53:20.123Z", "2025-10-09T10:53:20.123+0200", "2025-10-09t08:53:20.123"] {
            assert_eq!(read(text), Ok(SignedTime::Milliseconds(1_760_000_000_123)), "{text}");
        }
        for text in ["", "-1760000000", "1760000000.5", "1e9", "Thu, 09 Oct 2025 08:53:20 GMT", "1760000000Z"]
        {
            assert_eq!(read(text), Err(Cause::MalformedSignature), "{text}");
        }
    }

    #[test]
    fn written_time_is_parsed_back() {
        let now = OffsetDateTime::from_unix_timestamp(1_760_000_000).unwrap();
        for unit in [
            TimestampUnit::Seconds,
            TimestampUnit::Milliseconds,
            TimestampUnit::SecondsOrMilliseconds,
            TimestampUnit::Rfc3339,
            TimestampUnit::Any,
            TimestampUnit::HttpDate,
        ] {
            let moment = unit.parse(unit.write(now).as_bytes()).unwrap();
            assert_eq!(moment.check(now, Duration::ZERO), Ok(()), "{unit:?}");
        }
    }

    #[test]
    fn difference_equal_to_tolerance_is_fresh_both_ways() {
        let now = OffsetDateTime::from_unix_timestamp(1_760_000_000).unwrap();
        let seconds = |timestamp| SignedTime::Seconds(timestamp).check(now, Duration::from_secs(300));
        let milliseconds =
            |timestamp| SignedTime::Milliseconds(timestamp).check(now, Duration::from_secs(300));
        for (distance, verdict) in [(0, Ok(())), (300, Ok(())), (301, Err(Cause::StaleTimestamp))] {
            assert_eq!(seconds(1_760_000_000 + distance), verdict);
            assert_eq!(seconds(1_760_000_000 - distance), verdict);
        }
        for (distance, verdict) in [(300_000, Ok(())), (300_001, Err(Cause::StaleTimestamp))] {
            assert_eq!(milliseconds(1_760_000_000_000 + distance), verdict);
            assert_eq!(milliseconds(1_760_000_000_000 - distance), verdict);
        }
    }
}
