//! How old a signed timestamp may be. The text as sent goes into the signed text; the number is only for the clock.

use std::time::Duration;

use serde::Deserialize;
use time::OffsetDateTime;

use super::layout::Layout;
use super::request::{Cause, Request};

/// Where the timestamp is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimestampPlace {
    /// A header of its own, in lower case.
    Header(String),
    /// A key among the pairs of the signature's value.
    Pair(String),
}

impl TimestampPlace {
    /// The text exactly as sent; `value` is the signature's value.
    ///
    /// # Errors
    /// Absent or ambiguous.
    pub fn find<'a>(
        &self,
        request: &Request<'a>,
        layout: &Layout,
        value: &'a [u8],
    ) -> Result<&'a [u8], Cause> {
        match self {
            Self::Header(name) => request.headers.single(name)?.ok_or(Cause::MissingHeader),
            Self::Pair(key) => layout.named(value, key),
        }
    }
}

/// What a timestamp counts since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum TimestampUnit {
    #[serde(rename = "s")]
    Seconds,
    #[serde(rename = "ms")]
    Milliseconds,
}

impl TimestampUnit {
    /// Plain digits only: a sign, a fraction or an exponent is somebody else's idea of a timestamp.
    ///
    /// # Errors
    /// `MalformedSignature`.
    pub fn parse(self, text: &[u8]) -> Result<i64, Cause> {
        // Eighteen digits fit an i64 whatever they are.
        if text.is_empty() || text.len() > 18 || !text.iter().all(u8::is_ascii_digit) {
            return Err(Cause::MalformedSignature);
        }
        Ok(text.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0')))
    }

    pub fn of(self, time: OffsetDateTime) -> i64 {
        match self {
            Self::Seconds => time.unix_timestamp(),
            // Fits: years up to 9999 are far below 2^63 milliseconds.
            Self::Milliseconds => i64::try_from(time.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX),
        }
    }

    /// # Errors
    /// `StaleTimestamp` where the clocks differ by more than the tolerance, in either direction.
    pub fn check(self, timestamp: i64, now: OffsetDateTime, tolerance: Duration) -> Result<(), Cause> {
        let tolerance = match self {
            Self::Seconds => u128::from(tolerance.as_secs()),
            Self::Milliseconds => tolerance.as_millis(),
        };
        let difference = u128::from(self.of(now).abs_diff(timestamp));
        if difference <= tolerance { Ok(()) } else { Err(Cause::StaleTimestamp) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_digits_are_a_timestamp() {
        assert_eq!(TimestampUnit::Seconds.parse(b"1760000000"), Ok(1_760_000_000));
        assert_eq!(TimestampUnit::Seconds.parse(b"999999999999999999"), Ok(999_999_999_999_999_999));
        for refused in ["", "NaN", "-1", "+1760000000", "1760000000.0", "1e9", " 1", "12345678901234567890"] {
            assert_eq!(
                TimestampUnit::Seconds.parse(refused.as_bytes()),
                Err(Cause::MalformedSignature),
                "{refused}"
            );
        }
    }

    #[test]
    fn a_difference_of_exactly_the_tolerance_is_fresh_in_both_directions() {
        let now = OffsetDateTime::from_unix_timestamp(1_760_000_000).unwrap();
        let seconds = |timestamp| TimestampUnit::Seconds.check(timestamp, now, Duration::from_secs(300));
        let milliseconds =
            |timestamp| TimestampUnit::Milliseconds.check(timestamp, now, Duration::from_secs(300));
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
