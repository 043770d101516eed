//! Exact comparison of numbers by value, without floats.

use std::cmp::Ordering;

use super::document::accepts;

/// A number in normal form: 0.d₁d₂… × 10^magnitude, without leading and trailing zeros. Zero has no
/// digits and no sign.
#[derive(Debug)]
pub struct Decimal<'a> {
    is_negative: bool,
    whole: &'a str,
    fraction: &'a str,
    magnitude: Magnitude<'a>,
}

/// An exponent with any number of digits. If it has more than `MAX_EXPONENT_DIGITS`, it is not
/// combined with the position of the decimal point.
#[derive(Debug, PartialEq, Eq)]
enum Magnitude<'a> {
    Exact(i128),
    /// The exponent without leading zeros, and the position of the decimal point.
    Huge {
        is_negative: bool,
        digits: &'a str,
        add: i128,
    },
}

/// Maximum digits of an exponent. Longer exponents are compared as text.
const MAX_EXPONENT_DIGITS: usize = 30;

/// Whether two JSON numbers have the same value, e.g. `1`, `1.0` and `10e-1`. Linear in the length
/// of both, for any exponent. Equal numbers with exponents of more than 30 digits can compare as
/// different.
pub fn equal(one: &str, other: &str) -> bool {
    Decimal::of(one) == Decimal::of(other)
}

/// Maximum digits of a plain number, and maximum zeros that are added to it.
const MAX_PLAIN_DIGITS: usize = 40;

/// Whether a text is exactly a JSON number.
pub fn is_plain_number(text: &str) -> bool {
    let is_numeric = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
    text.bytes().all(is_numeric) && accepts(text.as_bytes())
}

/// The size of a number with a huge exponent, compared with other numbers.
fn huge(is_negative: bool) -> Ordering {
    if is_negative { Ordering::Less } else { Ordering::Greater }
}

/// Returns a JSON number without exponent and unnecessary zeros, the same text for all numbers of
/// the same value; `None` if it would have too many digits.
pub fn plain_number(text: &str) -> Option<String> {
    let number = Decimal::of(text);
    let digits: String = number.digits().map(char::from).collect();
    if digits.is_empty() {
        return Some("0".to_owned());
    }
    let Magnitude::Exact(point) = number.magnitude else { return None };
    let sign = if number.is_negative { "-" } else { "" };
    let is_short = |count: i128| usize::try_from(count).ok().filter(|count| *count <= MAX_PLAIN_DIGITS);
    if digits.len() > MAX_PLAIN_DIGITS {
        return None;
    }
    if point <= 0 {
        return Some(format!("{sign}0.{}{digits}", "0".repeat(is_short(-point)?)));
    }
    let point = is_short(point)?;
    Some(match digits.split_at_checked(point) {
        Some((whole, "")) => format!("{sign}{whole}"),
        Some((whole, fraction)) => format!("{sign}{whole}.{fraction}"),
        None => format!("{sign}{digits}{}", "0".repeat(point - digits.len())),
    })
}

impl PartialEq for Decimal<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.is_negative == other.is_negative
            && self.magnitude == other.magnitude
            && self.digits().eq(other.digits())
    }
}

impl<'a> Decimal<'a> {
    /// Parses a number in JSON syntax.
    pub fn of(text: &'a str) -> Self {
        let (is_negative, text) = text.strip_prefix('-').map_or((false, text), |text| (true, text));
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let whole = whole.trim_start_matches('0');
        let mut point = length(whole);
        let mut fraction = fraction;
        if whole.is_empty() {
            let significant = fraction.trim_start_matches('0');
            point = -length(&fraction[..fraction.len() - significant.len()]);
            fraction = significant;
        }
        let fraction = fraction.trim_end_matches('0');
        let whole = if fraction.is_empty() { whole.trim_end_matches('0') } else { whole };
        if whole.is_empty() && fraction.is_empty() {
            return Self { is_negative: false, whole, fraction, magnitude: Magnitude::Exact(0) };
        }
        Self { is_negative, whole, fraction, magnitude: Magnitude::of(exponent, point) }
    }

    /// Compares two numbers by value; `None` if both have the same sign and different exponents of
    /// more than 30 digits.
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        let signs = self.sign().cmp(&other.sign());
        if signs.is_ne() || self.sign() == 0 {
            return Some(signs);
        }
        let sizes = match (&self.magnitude, &other.magnitude) {
            (Magnitude::Exact(one), Magnitude::Exact(other)) => one.cmp(other),
            (Magnitude::Huge { is_negative, .. }, Magnitude::Exact(_)) => huge(*is_negative),
            (Magnitude::Exact(_), Magnitude::Huge { is_negative, .. }) => huge(*is_negative).reverse(),
            (one, other) if one == other => Ordering::Equal,
            (Magnitude::Huge { .. }, Magnitude::Huge { .. }) => return None,
        };
        let sizes = sizes.then_with(|| self.digits().cmp(other.digits()));
        Some(if self.is_negative { sizes.reverse() } else { sizes })
    }

    /// -1, 0 or 1.
    fn sign(&self) -> i8 {
        match self.whole.is_empty() && self.fraction.is_empty() {
            true => 0,
            false if self.is_negative => -1,
            false => 1,
        }
    }

    fn digits(&self) -> impl Iterator<Item = u8> + '_ {
        self.whole.bytes().chain(self.fraction.bytes())
    }
}

impl<'a> Magnitude<'a> {
    fn of(exponent: &'a str, point: i128) -> Self {
        let (is_negative, digits) = match exponent.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, exponent.strip_prefix('+').unwrap_or(exponent)),
        };
        let digits = digits.trim_start_matches('0');
        let huge = Self::Huge { is_negative, digits, add: point };
        if digits.len() > MAX_EXPONENT_DIGITS {
            return huge;
        }
        match if digits.is_empty() { Ok(0) } else { digits.parse::<i128>() } {
            Ok(value) if is_negative => Self::Exact(point - value),
            Ok(value) => Self::Exact(point + value),
            Err(_) => huge,
        }
    }
}

fn length(text: &str) -> i128 {
    i128::try_from(text.len()).unwrap_or(i128::MAX / 2)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_equal_by_value_alone() {
        for same in [
            ["1", "1.0"],
            ["1", "1e0"],
            ["1", "10e-1"],
            ["100", "1E+2"],
            ["0.001", "1e-3"],
            ["0.0010", "0.1e-02"],
            ["0", "-0.0e99999999999999999999999999999999999999999999"],
            ["123456789012345678901234567890", "123456789012345678901234567890.0"],
            ["1e400", "10e399"],
            ["1e999999999", "0.1e1000000000"],
            ["-9223372036854775809", "-9223372036854775809"],
            ["1e9999999999999999999999999999999999999", "1e+09999999999999999999999999999999999999"],
        ] {
            assert!(equal(same[0], same[1]) && equal(same[1], same[0]), "{same:?}");
        }
        for other in [
            ["1", "-1"],
            ["1", "1.0000000000000000000001"],
            ["123456789012345678901234567890", "123456789012345678901234567891"],
            ["9007199254740993", "9007199254740992"],
            ["1e400", "1e401"],
            ["1e-400", "0"],
            ["0.1", "0.01"],
            ["1", "11"],
            ["1e9999999999999999999999999999999999999", "1e-9999999999999999999999999999999999999"],
        ] {
            assert!(!equal(other[0], other[1]) && !equal(other[1], other[0]), "{other:?}");
        }
    }

    #[test]
    fn plain_number_is_the_same_for_equal_numbers() {
        for (number, plain) in [
            ("1200", "1200"),
            ("1.2e3", "1200"),
            ("-1200.00", "-1200"),
            ("0.050", "0.05"),
            ("5E-2", "0.05"),
            ("-0", "0"),
            ("12.5", "12.5"),
        ] {
            assert_eq!(plain_number(number).as_deref(), Some(plain), "{number}");
        }
        for number in ["1e400", "1e-400", "1e99999999999999999999999999999999999"] {
            assert_eq!(plain_number(number), None, "{number}");
        }
    }

    #[test]
    fn plain_number_has_no_white_space() {
        assert!(is_plain_number("-1.5e3"));
        for text in ["", " 1", "1 ", "01", "+1", "1.", "true", "1,2", "e"] {
            assert!(!is_plain_number(text), "{text}");
        }
    }

    #[test]
    fn number_of_a_million_digits_is_compared() {
        let (many, exponent) = ("9".repeat(1 << 20), "7".repeat(1 << 20));
        assert!(equal(&many, &format!("{many}.{}", "0".repeat(1 << 20))));
        assert!(!equal(&format!("{many}1"), &format!("{many}2")));
        assert!(equal(&format!("1e{exponent}"), &format!("1e{exponent}")));
    }

    proptest! {
        #[test]
        fn shifting_point_and_exponent_changes_nothing(
            digits in "[1-9][0-9]{0,40}", fraction in "[0-9]{1,40}", exponent in -500_i64..500,
        ) {
            let shift = i64::try_from(fraction.len()).unwrap();
            let one = format!("{digits}.{fraction}e{exponent}");
            let other = format!("{digits}{fraction}00e{}", exponent - shift - 2);
            prop_assert!(equal(&one, &other));
            let next = format!("{digits}{fraction}01e{}", exponent - shift - 2);
            prop_assert!(!equal(&one, &next));
        }

        #[test]
        fn whole_numbers_compare_like_integers(one in any::<i64>(), other in any::<i64>()) {
            prop_assert_eq!(equal(&one.to_string(), &other.to_string()), one == other);
            let texts = (one.to_string(), other.to_string());
            prop_assert_eq!(Decimal::of(&texts.0).compare(&Decimal::of(&texts.1)), Some(one.cmp(&other)));
            prop_assert_eq!(plain_number(&one.to_string()), Some(one.to_string()));
            let with_fraction = format!("{one}.00");
            prop_assert!(equal(&one.to_string(), &with_fraction));
        }
    }
}
