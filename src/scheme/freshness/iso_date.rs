//! Reads times as RFC 3339 and ISO 8601 write them. Every byte counts: an offset that is not understood makes the text
//! malformed instead of moving the time by hours.

use time::{Date, Month};

/// A date with nanoseconds and an offset has 35 characters; some senders write more decimals.
pub const MAX_DATE_BYTES: usize = 64;

/// Milliseconds since 1970, rounded down. Accepts `2025-10-09T08:53:20.5+02:00`, the offsets `Z`, `+0200` and `+02`, a
/// blank or a small `t` between date and time, a comma before the decimals, and the basic form `20251009T085320Z`. Without
/// an offset the time is UTC.
pub fn milliseconds(text: &[u8]) -> Option<i64> {
    if text.len() > MAX_DATE_BYTES {
        return None;
    }
    let mut rest = DateText(text);
    let year = rest.number(4)?;
    let is_extended = rest.take(b"-").is_some();
    let month = rest.number(2)?;
    rest.separate(is_extended, b'-')?;
    let day = rest.number(2)?;
    rest.take(b"Tt ")?;
    let hour = rest.number(2)?;
    rest.separate(is_extended, b':')?;
    let minute = rest.number(2)?;
    rest.separate(is_extended, b':')?;
    let second = rest.number(2)?;
    let thousandths = rest.decimals()?;
    let offset = rest.offset_minutes()?;
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
    let date = Date::from_calendar_date(i32::try_from(year).ok()?, month, u8::try_from(day).ok()?).ok()?;
    let days = i64::from(date.to_julian_day()) - i64::from(JULIAN_DAY_OF_1970);
    let minutes = days * MINUTES_OF_DAY + hour * 60 + minute - offset;
    // A leap second ends a day of UTC; anywhere else 60 is no second.
    if second == 60 && minutes.rem_euclid(MINUTES_OF_DAY) != MINUTES_OF_DAY - 1 {
        return None;
    }
    Some((minutes * 60 + second) * 1_000 + thousandths)
}

const MINUTES_OF_DAY: i64 = 24 * 60;
const JULIAN_DAY_OF_1970: i32 = 2_440_588;

/// What has not been read yet.
struct DateText<'a>(&'a [u8]);

impl DateText<'_> {
    /// One of these bytes.
    fn take(&mut self, any_of: &[u8]) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        any_of.contains(first).then(|| {
            self.0 = rest;
            *first
        })
    }

    /// The separator of the extended form; the basic form has none.
    fn separate(&mut self, is_extended: bool, separator: u8) -> Option<()> {
        if is_extended { self.take(&[separator]).map(drop) } else { Some(()) }
    }

    /// Exactly this number of digits.
    fn number(&mut self, digits: usize) -> Option<i64> {
        let (number, rest) = self.0.split_at_checked(digits)?;
        if !number.iter().all(u8::is_ascii_digit) {
            return None;
        }
        self.0 = rest;
        Some(number.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')))
    }

    /// Thousandths of a second; zero without decimals.
    fn decimals(&mut self) -> Option<i64> {
        if self.take(b".,").is_none() {
            return Some(0);
        }
        let count = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (decimals, rest) = self.0.split_at(count);
        self.0 = rest;
        let digit = |place: usize| decimals.get(place).map_or(0, |digit| i64::from(digit - b'0'));
        (count > 0).then(|| digit(0) * 100 + digit(1) * 10 + digit(2))
    }

    /// Minutes ahead of UTC. Nothing may follow.
    fn offset_minutes(&mut self) -> Option<i64> {
        let minutes = match self.take(b"Zz+-") {
            None | Some(b'Z' | b'z') => 0,
            Some(sign) => {
                let hours = self.number(2)?;
                let has_minutes = self.take(b":").is_some() || !self.0.is_empty();
                let minutes = if has_minutes { self.number(2)? } else { 0 };
                if hours > 23 || minutes > 59 {
                    return None;
                }
                let ahead = hours * 60 + minutes;
                if sign == b'-' { -ahead } else { ahead }
            }
        };
        self.0.is_empty().then_some(minutes)
    }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;
    use time::format_description::well_known::Rfc3339;

    use super::*;

    fn read(text: &str) -> Option<i64> {
        milliseconds(text.as_bytes())
    }

    #[test]
    fn every_form_of_an_offset_is_the_same_time() {
        for text in [
            "2025-10-09T08:53:20Z",
            "2025-10-09t08:53:20z",
            "2025-10-09 08:53:20Z",
            "2025-10-09T08:53:20",
            "2025-10-09T08:53:20+00:00",
            "2025-10-09T08:53:20-00:00",
            "2025-10-09T08:53:20-00",
            "2025-10-09T10:53:20+02:00",
            "2025-10-09T10:53:20+0200",
            "2025-10-09T10:53:20+02",
            "2025-10-09T05:23:20-0330",
            "2025-10-09T14:38:20+05:45",
            "2025-10-08T20:53:20-12",
            "2025-10-09T22:53:20+14:00",
            "20251009T085320Z",
            "20251009T105320+0200",
        ] {
            assert_eq!(read(text), Some(1_760_000_000_000), "{text}");
        }
    }

    #[test]
    fn decimals_of_any_length_are_cut_to_milliseconds() {
        for (decimals, thousandths) in [
            (".1", 100),
            (".12", 120),
            (",123", 123),
            (".1239", 123),
            (".000000000", 0),
            (".999999999999999999999999", 999),
        ] {
            for offset in ["", "Z", "+0000"] {
                let text = format!("2025-10-09T08:53:20{decimals}{offset}");
                assert_eq!(read(&text), Some(1_760_000_000_000 + thousandths), "{text}");
            }
        }
    }

    #[test]
    fn leap_second_counts_only_at_day_end() {
        let next_day = read("2017-01-01T00:00:00Z");
        for text in ["2016-12-31T23:59:60Z", "2017-01-01T00:59:60+01:00", "2016-12-31T20:29:60-0330"] {
            assert_eq!(read(text), next_day, "{text}");
        }
        for text in [
            "2016-12-31T23:58:60Z",
            "2016-12-31T23:59:60+01:00",
            "2016-12-31T12:00:60",
            "2016-12-31T23:59:61Z",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn malformed_time_is_rejected() {
        for text in [
            "",
            "yesterday",
            "2025-10-09",
            "2025-10-09T",
            "2025-10-09T08",
            "2025-10-09T08:53",
            "2025-13-09T08:53:20Z",
            "2025-00-09T08:53:20Z",
            "2025-02-29T08:53:20Z",
            "2025-10-09T24:00:00Z",
            "2025-10-09T08:60:20Z",
            "2025-10-09T08:53:20.",
            "2025-10-09T08:53:20.Z",
            "2025-10-09T08:53:20+",
            "2025-10-09T08:53:20+2",
            "2025-10-09T08:53:20+020",
            "2025-10-09T08:53:20+02:",
            "2025-10-09T08:53:20+02:0",
            "2025-10-09T08:53:20+02:000",
            "2025-10-09T08:53:20+24:00",
            "2025-10-09T08:53:20+02:60",
            "2025-10-09T08:53:20 +02:00",
            "2025-10-09T08:53:20ZZ",
            "2025-10-09T08:53:20Z ",
            " 2025-10-09T08:53:20Z",
            "2025-1009T08:53:20Z",
            "2025-10-09T085320Z",
            "20251009T08:53:20Z",
            "+2025-10-09T08:53:20Z",
            "12025-10-09T08:53:20Z",
            "2025-10-09T08:53:20[Europe/Berlin]",
            "2025-10-09T08:53:20 UTC",
            "2025-W41-4T08:53:20Z",
            "1760000000",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(read(&format!("2025-10-09T08:53:20.{}Z", "0".repeat(100))), None);
    }

    #[test]
    fn dates_agree_with_the_time_library() {
        let mut day = OffsetDateTime::from_unix_timestamp(0).unwrap();
        while day.year() < 2105 {
            let text = day.format(&Rfc3339).unwrap();
            assert_eq!(read(&text), Some(day.unix_timestamp() * 1_000), "{text}");
            day += time::Duration::new(86_400 * 9 + 3_723, 0);
        }
    }
}
