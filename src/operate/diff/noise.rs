//! Recognises ids and times, which differ between any two messages.

use super::words::words;

/// 2000-01-01 and 2100-01-01, in seconds since 1970.
const CENTURY_SECONDS: std::ops::Range<u64> = 946_684_800..4_102_444_800;
/// Minimum length of a hexadecimal id; shorter ones could be words or numbers.
const MIN_HEX_DIGITS: usize = 16;
/// Minimum length of an id after its prefix, as in `evt_1NG8Du2eZvKYlo2C`.
const MIN_SUFFIX_CHARACTERS: usize = 8;
const MAX_PREFIX_CHARACTERS: usize = 16;
/// Groups of the digits in a UUID.
const UUID_GROUPS: [usize; 5] = [8, 4, 4, 4, 12];

/// The kind of a word that is noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NoiseKind {
    Id,
    Time,
}

/// Whether two texts differ, but only in ids and times. Looks at whole words, so that an id in a
/// URL is found.
pub fn is_noise(left: &str, right: &str) -> bool {
    let (mut left_rest, mut right_rest) = (left, right);
    let mut differs = false;
    loop {
        match (words(left_rest).next(), words(right_rest).next()) {
            (None, None) => return differs,
            (Some(left_word), Some(right_word)) => {
                left_rest = &left_rest[left_word.len()..];
                right_rest = &right_rest[right_word.len()..];
                if left_word == right_word {
                    continue;
                }
                let kind = kind(left_word, left_rest);
                if kind.is_none() || kind != self::kind(right_word, right_rest) {
                    return false;
                }
                differs = true;
            }
            _ => return false,
        }
    }
}

/// Whether two JSON numbers differ, but only as Unix times. A long number is not a hexadecimal id.
pub fn is_number_noise(left: &str, right: &str) -> bool {
    left != right && is_unix_time(left) && is_unix_time(right)
}

/// Returns the kind of a word, if it is noise. `rest`: the text after it.
fn kind(word: &str, rest: &str) -> Option<NoiseKind> {
    let is_before_time =
        || rest.strip_prefix(' ').and_then(|rest| words(rest).next()).is_some_and(is_clock_time);
    if is_date_time(word) || is_clock_time(word) || is_unix_time(word) || (is_date(word) && is_before_time())
    {
        return Some(NoiseKind::Time);
    }
    (is_uuid(word) || is_hex(word) || is_prefixed(word)).then_some(NoiseKind::Id)
}

/// A date. Without a time, it is more likely content than the time of the message.
fn is_date(word: &str) -> bool {
    is_of(word, &["dddd-dd-dd"])
}

/// An ISO 8601 time with a date: `2026-11-22T14:31:05.123Z`, `20261122T143105+0100`.
fn is_date_time(word: &str) -> bool {
    let Some((date, time)) = word.split_once(['T', 't']) else { return false };
    is_of(date, &["dddd-dd-dd", "dddddddd"]) && is_time_of_day(time)
}

/// The time after a date and a space: `14:31:05.123`.
fn is_clock_time(word: &str) -> bool {
    word.get(..8).is_some_and(|start| is_of(start, &["dd:dd:dd"])) && is_time_of_day(word)
}

fn is_time_of_day(text: &str) -> bool {
    let text = text.strip_suffix(['Z', 'z']).unwrap_or(text);
    let (time, offset) = text.split_once(['+', '-']).unwrap_or((text, "00"));
    let (whole, fraction) = time.split_once(['.', ',']).unwrap_or((time, "0"));
    is_of(whole, &["dd:dd:dd", "dd:dd", "dddddd", "dddd"])
        && is_of(offset, &["dd:dd", "dddd", "dd"])
        && !fraction.is_empty()
        && fraction.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a text has one of the forms; `d` is a digit.
fn is_of(text: &str, forms: &[&str]) -> bool {
    forms.iter().any(|form| {
        let fits = |(byte, form): (u8, u8)| if form == b'd' { byte.is_ascii_digit() } else { byte == form };
        text.len() == form.len() && text.bytes().zip(form.bytes()).all(fits)
    })
}

/// Seconds, with or without a fraction, or milliseconds since 1970, from 2000 to 2099.
fn is_unix_time(word: &str) -> bool {
    let (whole, fraction) = word.split_once('.').unwrap_or((word, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = match whole.len() {
        9..=10 => whole.parse::<u64>().ok(),
        12..=13 if fraction.is_empty() => whole.parse::<u64>().ok().map(|milliseconds| milliseconds / 1000),
        _ => None,
    };
    is_number(whole)
        && is_number(fraction)
        && seconds.is_some_and(|seconds| CENTURY_SECONDS.contains(&seconds))
}

fn is_uuid(word: &str) -> bool {
    let mut groups = word.split('-');
    let is_group = |digits: &usize| {
        groups.next().is_some_and(|group| group.len() == *digits && has_only_hex_digits(group))
    };
    UUID_GROUPS.iter().all(is_group) && groups.next().is_none()
}

fn is_hex(word: &str) -> bool {
    word.len() >= MIN_HEX_DIGITS && has_only_hex_digits(word)
}

fn has_only_hex_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// An id with a prefix: `evt_1NG8Du2eZvKYlo2C`. Without a digit, the word could be a name or a
/// state, such as `payment_succeeded` or `order_CANCELLED`.
fn is_prefixed(word: &str) -> bool {
    let Some((prefix, suffix)) = word.rsplit_once('_') else { return false };
    let is_in_prefix = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    (2..=MAX_PREFIX_CHARACTERS).contains(&prefix.len())
        && prefix.bytes().all(is_in_prefix)
        && prefix.starts_with(|first: char| first.is_ascii_lowercase())
        && suffix.len() >= MIN_SUFFIX_CHARACTERS
        && suffix.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && suffix.bytes().any(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ids_and_times_are_noise() {
        for [left, right] in [
            ["2026-11-22T14:31:05Z", "2026-11-22T14:31:06.123456+01:00"],
            ["20261122T143105Z", "2026-11-23T00:00:00Z"],
            ["2026-11-22 14:31:05", "2026-11-22 14:31:06.5"],
            ["2026-11-22 14:31:05 UTC", "2026-12-01 14:31:05 UTC"],
            ["1790000000", "1790000000.000200"],
            ["1790000000", "1790000000123"],
            ["72d3162e-cc78-11e3-81ab-4c9367dc0958", "00000000-CC78-11e3-81ab-4c9367dc0958"],
            ["9e107d9d372bb6826bd81d3542a419d6", "e4d909c290d0fb1ca068ffaddf22cbd0e4d909c2"],
            ["evt_1NG8Du2eZvKYlo2C", "evt_1NG8Du2eZvKYlo2D"],
            ["sk_test_4eC39HqLyjWDarjt", "cus_NffrFeUfNV2Hib"],
            ["sha256=9e107d9d372bb682", "sha256=e4d909c290d0fb1c"],
            [
                "https://api.example/commits/9e107d9d372bb682?at=1790000000",
                "https://api.example/commits/e4d909c290d0fb1c?at=1790000001",
            ],
        ] {
            assert!(is_noise(left, right) && is_noise(right, left), "{left} {right}");
        }
        for [left, right] in [
            ["", "9e107d9d372bb682"],
            ["same", "same"],
            ["9e107d9d372bb682", "9e107d9d372bb682"],
            ["2026-11-22", "2026-11-23"],
            ["14:31", "15:00"],
            ["0.01", "0.02"],
            ["100", "200"],
            ["946684799", "946684798"],
            ["4102444800", "4102444801"],
            ["9e107d9d372bb68", "e4d909c290d0fb1"],
            ["1790000000", "9e107d9d372bb682"],
            ["payment_succeeded", "payment_cancelled"],
            ["order_CANCELLED", "order_COMPLETED"],
            ["refs/heads/main", "refs/heads/dev"],
            ["evt_1NG8Du2eZvKYlo2C is late", "evt_1NG8Du2eZvKYlo2D is here"],
            ["9e107d9d372bb682 9e107d9d372bb682", "e4d909c290d0fb1c"],
        ] {
            assert!(!is_noise(left, right) && !is_noise(right, left), "{left} {right}");
        }
    }

    #[test]
    fn only_unix_times_are_noise_of_numbers() {
        for [left, right] in
            [["1790000000", "1790000001"], ["1790000000", "1790000000.5"], ["1790000000", "1790000000123"]]
        {
            assert!(is_number_noise(left, right) && is_number_noise(right, left), "{left} {right}");
        }
        for [left, right] in [
            ["1000000000000000000", "2000000000000000000"],
            ["1790000000", "1000000000000000000"],
            ["1790000000", "1790000000"],
            ["-1790000000", "-1790000001"],
            ["100", "200"],
        ] {
            assert!(!is_number_noise(left, right) && !is_number_noise(right, left), "{left} {right}");
        }
    }
}
