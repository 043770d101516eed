//! Timestamps in the database: RFC 3339, UTC, microseconds, fixed width, so that text order is time
//! order.

use time::{OffsetDateTime, UtcOffset};

/// Years beyond 9999 are written as 9999.
///
/// ```
/// use creel::testing::timestamp::to_text;
/// assert_eq!(to_text(time::OffsetDateTime::UNIX_EPOCH), "1970-01-01T00:00:00.000000Z");
/// ```
pub fn to_text(at: OffsetDateTime) -> String {
    let at = at.to_offset(UtcOffset::UTC);
    let mut text = *b"0000-00-00T00:00:00.000000Z";
    put(&mut text[0..4], at.year().clamp(0, 9999).unsigned_abs());
    put(&mut text[5..7], u32::from(u8::from(at.month())));
    put(&mut text[8..10], u32::from(at.day()));
    put(&mut text[11..13], u32::from(at.hour()));
    put(&mut text[14..16], u32::from(at.minute()));
    put(&mut text[17..19], u32::from(at.second()));
    put(&mut text[20..26], at.microsecond());
    text.iter().map(|&byte| char::from(byte)).collect()
}

/// Writes `number` right-aligned over the zeros of `digits`.
fn put(digits: &mut [u8], mut number: u32) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Parses the output of `to_text`; `None` for any other text.
pub fn from_text(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn text_has_a_fixed_width_and_keeps_microseconds() {
        assert_eq!(to_text(datetime!(2026-11-22 14:31:00 UTC)), "2026-11-22T14:31:00.000000Z");
        assert_eq!(to_text(datetime!(2026-01-02 03:04:05.000_789 UTC)), "2026-01-02T03:04:05.000789Z");
    }

    #[test]
    fn text_is_in_utc_for_any_offset() {
        assert_eq!(to_text(datetime!(2026-11-22 01:00:00 +2)), "2026-11-21T23:00:00.000000Z");
    }

    #[test]
    fn text_is_read_back_as_the_same_time() {
        let at = datetime!(2026-12-31 23:59:59.999_999 UTC);
        assert_eq!(from_text(&to_text(at)), Some(at));
        assert_eq!(from_text("yesterday"), None);
    }
}
