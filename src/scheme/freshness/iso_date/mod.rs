//! Parser for times in RFC 3339 and ISO 8601. Every byte is checked: an unsupported offset makes
//! the text malformed instead of shifting the time by hours.

use time::{Date, Month};

/// Maximum length of a date. With nanoseconds and an offset it has 35 characters; some senders
/// write more decimals.
pub const MAX_DATE_BYTES: usize = 64;

/// Returns milliseconds since 1970, rounded down. Accepts `2025-10-09T08:53:20.5+02:00`, the
/// offsets `Z`, `+0200` and `+02`, a space or a lower-case `t` between date and time, a comma
/// before the decimals, and the basic form `20251009T085320Z`. Without an offset the time is UTC.
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
    // A leap second ends a day of UTC; anywhere else second 60 is invalid.
    if second == 60 && minutes.rem_euclid(MINUTES_OF_DAY) != MINUTES_OF_DAY - 1 {
        return None;
    }
    Some((minutes * 60 + second) * 1_000 + thousandths)
}

const MINUTES_OF_DAY: i64 = 24 * 60;
const JULIAN_DAY_OF_1970: i32 = 2_440_588;

/// The unread part of the text.
struct DateText<'a>(&'a [u8]);

impl DateText<'_> {
    /// Reads one of these bytes.
    fn take(&mut self, any_of: &[u8]) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        any_of.contains(first).then(|| {
            self.0 = rest;
            *first
        })
    }

    /// Reads the separator of the extended form; the basic form does not have one.
    fn separate(&mut self, is_extended: bool, separator: u8) -> Option<()> {
        if is_extended { self.take(&[separator]).map(drop) } else { Some(()) }
    }

    /// Reads exactly this number of digits.
    fn number(&mut self, digits: usize) -> Option<i64> {
        let (number, rest) = self.0.split_at_checked(digits)?;
        if !number.iter().all(u8::is_ascii_digit) {
            return None;
        }
        self.0 = rest;
        Some(number.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')))
    }

    /// Reads the decimals as thousandths of a second; zero without decimals.
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

    /// Reads the offset in minutes ahead of UTC. Nothing may follow it.
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
mod tests;
