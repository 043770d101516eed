//! Times in a query: ages, days, minutes, seconds and moments.

use std::fmt::{self, Display, Formatter};

use time::{Date, Duration, Month, OffsetDateTime, Time, UtcOffset};

/// The longest age, as in the configuration: 36,500 days.
const MAX_AGE_SECONDS: u64 = 36_500 * DAY_SECONDS;
const DAY_SECONDS: u64 = 24 * 60 * 60;
/// Units of ages in seconds, the longest first.
const UNITS: [(char, u64); 5] =
    [('w', 7 * DAY_SECONDS), ('d', DAY_SECONDS), ('h', 3_600), ('m', 60), ('s', 1)];

/// A time as written. All but ages are in UTC, with years from 0 to 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryTime {
    /// Seconds before the current time.
    Ago(u64),
    Day(Date),
    Minute(OffsetDateTime),
    Second(OffsetDateTime),
    /// A moment, in whole microseconds.
    Moment(OffsetDateTime),
}

impl QueryTime {
    /// Parses an age such as `2h`, a day such as `2026-11-22`, or an RFC 3339 time, whose seconds
    /// and offset can be omitted; the default is UTC.
    pub fn parse(text: &str) -> Option<Self> {
        age(text).or_else(|| point(text))
    }

    /// Returns the first moment of the time.
    pub fn start(self, now: OffsetDateTime) -> OffsetDateTime {
        match self {
            Self::Ago(seconds) => {
                let age = Duration::seconds(i64::try_from(seconds).unwrap_or(i64::MAX));
                whole_microseconds(now.checked_sub(age).unwrap_or(now))
            }
            Self::Day(date) => OffsetDateTime::new_utc(date, Time::MIDNIGHT),
            Self::Minute(at) | Self::Second(at) | Self::Moment(at) => at,
        }
    }

    /// Returns the first moment after the time.
    pub fn end(self, now: OffsetDateTime) -> OffsetDateTime {
        let length = match self {
            Self::Day(_) => Duration::DAY,
            Self::Minute(_) => Duration::MINUTE,
            Self::Second(_) => Duration::SECOND,
            Self::Ago(_) | Self::Moment(_) => Duration::MICROSECOND,
        };
        let start = self.start(now);
        start.checked_add(length).unwrap_or(start)
    }
}

impl Display for QueryTime {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let at = match self {
            Self::Ago(seconds) => {
                let fits = |(_, length): &&(char, u64)| seconds.is_multiple_of(*length);
                let (unit, length) = UNITS.iter().find(fits).unwrap_or(&('s', 1));
                return write!(f, "{}{unit}", seconds / length);
            }
            Self::Day(date) => return write_date(f, *date),
            Self::Minute(at) | Self::Second(at) | Self::Moment(at) => at,
        };
        write_date(f, at.date())?;
        write!(f, "T{:02}:{:02}", at.hour(), at.minute())?;
        match self {
            Self::Second(_) => write!(f, ":{:02}", at.second())?,
            Self::Moment(_) => write!(f, ":{:02}.{:06}", at.second(), at.microsecond())?,
            _ => {}
        }
        f.write_str("Z")
    }
}

fn write_date(f: &mut Formatter<'_>, date: Date) -> fmt::Result {
    write!(f, "{:04}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day())
}

fn age(text: &str) -> Option<QueryTime> {
    let unit = text.chars().last()?;
    let length = UNITS.iter().find(|(other, _)| *other == unit).map(|(_, length)| length)?;
    let digits = text.strip_suffix(unit)?;
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let count: u64 = digits.parse().ok().filter(|_| is_number)?;
    let seconds = count.checked_mul(*length)?;
    (1..=MAX_AGE_SECONDS).contains(&seconds).then_some(QueryTime::Ago(seconds))
}

fn point(text: &str) -> Option<QueryTime> {
    let (date, rest) = text.split_at_checked(10).filter(|_| text.is_ascii())?;
    let date = parse_date(date)?;
    if rest.is_empty() {
        return Some(QueryTime::Day(date));
    }
    let rest = rest.strip_prefix(['T', 't'])?;
    let (minute, rest) = rest.split_at_checked(5)?;
    let (hour, minute) =
        (number(&minute[..2])?, (&minute[2..3] == ":").then(|| number(&minute[3..])).flatten()?);
    let (second, rest) = match rest.strip_prefix(':') {
        Some(rest) => {
            let (second, rest) = rest.split_at_checked(2)?;
            (Some(number(second)?), rest)
        }
        None => (None, rest),
    };
    let (microsecond, rest) = match rest.strip_prefix('.').filter(|_| second.is_some()) {
        Some(rest) => {
            let (microsecond, rest) = fraction(rest)?;
            (Some(microsecond), rest)
        }
        None => (None, rest),
    };
    let time = Time::from_hms_micro(hour, minute, second.unwrap_or(0), microsecond.unwrap_or(0)).ok()?;
    let at = OffsetDateTime::new_in_offset(date, time, offset(rest)?).checked_to_offset(UtcOffset::UTC)?;
    let kind = match (second, microsecond) {
        (None, _) => QueryTime::Minute,
        (Some(_), None) => QueryTime::Second,
        (Some(_), Some(_)) => QueryTime::Moment,
    };
    // An offset with seconds does not exist, so a minute stays a whole minute.
    (0..=9_999).contains(&at.year()).then(|| kind(at))
}

fn parse_date(text: &str) -> Option<Date> {
    let bytes = text.as_bytes();
    if bytes.get(4) != Some(&b'-') || bytes.get(7) != Some(&b'-') {
        return None;
    }
    let year = i32::from(number(&text[..2])?) * 100 + i32::from(number(&text[2..4])?);
    Date::from_calendar_date(year, Month::try_from(number(&text[5..7])?).ok()?, number(&text[8..])?).ok()
}

/// Parses two digits.
fn number(text: &str) -> Option<u8> {
    let is_number = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

/// Parses one to nine digits after the point, as microseconds; returns the rest.
fn fraction(text: &str) -> Option<(u32, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if !(1..=9).contains(&digits) {
        return None;
    }
    let (fraction, rest) = text.split_at(digits);
    let microseconds = format!("{fraction:0<6}")[..6].parse().ok()?;
    Some((microseconds, rest))
}

fn offset(text: &str) -> Option<UtcOffset> {
    if matches!(text, "" | "Z" | "z") {
        return Some(UtcOffset::UTC);
    }
    let (sign, rest) = text.split_at_checked(1)?;
    let sign = match sign {
        "+" => 1,
        "-" => -1,
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    let (hours, minutes) = (i8::try_from(number(hours)?).ok()?, i8::try_from(number(minutes)?).ok()?);
    (hours < 24).then(|| UtcOffset::from_hms(sign * hours, sign * minutes, 0).ok()).flatten()
}

fn whole_microseconds(at: OffsetDateTime) -> OffsetDateTime {
    at.replace_microsecond(at.microsecond()).unwrap_or(at)
}
