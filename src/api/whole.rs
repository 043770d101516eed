//! Whole numbers in JSON, including `30.0`, the only form that some languages write.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

/// Limit of whole numbers that a double represents exactly.
const MAX_IN_DOUBLE: f64 = 9_007_199_254_740_992.0;

/// A whole number that fits into `T`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whole<T>(pub T);

impl<'de, T: TryFrom<i64>> Deserialize<'de> for Whole<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WholeVisitor(PhantomData))
    }
}

struct WholeVisitor<T>(PhantomData<T>);

impl<T: TryFrom<i64>> Visitor<'_> for WholeVisitor<T> {
    type Value = Whole<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number in its bounds")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Whole<T>, E> {
        let wrong = || E::invalid_value(Unexpected::Signed(number), &self);
        T::try_from(number).map(Whole).map_err(|_| wrong())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Whole<T>, E> {
        match i64::try_from(number) {
            Ok(number) => self.visit_i64(number),
            Err(_) => Err(E::invalid_value(Unexpected::Unsigned(number), &self)),
        }
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Whole<T>, E> {
        if number.fract() != 0.0 || number.abs() > MAX_IN_DOUBLE {
            return Err(E::invalid_value(Unexpected::Float(number), &self));
        }
        #[expect(clippy::cast_possible_truncation, reason = "whole, and far within an i64")]
        self.visit_i64(number as i64)
    }
}

/// Parses a number that may be omitted or null.
///
/// # Errors
/// If the value is not a whole number or does not fit.
pub fn optional<'de, T: TryFrom<i64>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Ok(Option::<Whole<T>>::deserialize(deserializer)?.map(|whole| whole.0))
}

/// Parses a list of numbers.
///
/// # Errors
/// As for one.
pub fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<i64>, D::Error> {
    let list = Vec::<Whole<i64>>::deserialize(deserializer)?;
    Ok(list.into_iter().map(|whole| whole.0).collect())
}

/// Parses a list that may be omitted or null.
///
/// # Errors
/// As for one.
pub fn optional_list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<i64>>, D::Error> {
    let list = Option::<Vec<Whole<i64>>>::deserialize(deserializer)?;
    Ok(list.map(|list| list.into_iter().map(|whole| whole.0).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_number_is_accepted_in_every_notation() {
        for (text, number) in [
            ("30", Some(30)),
            ("30.0", Some(30)),
            ("3e1", Some(30)),
            ("-0.0", Some(0)),
            ("4294967295", Some(u32::MAX)),
        ] {
            assert_eq!(serde_json::from_str(text).ok(), number.map(Whole::<u32>), "{text}");
        }
        for text in
            ["30.5", "-1", "4294967296", "1e300", "18446744073709551615", "\"30\"", "null", "true", "[]"]
        {
            assert!(serde_json::from_str::<Whole<u32>>(text).is_err(), "{text}");
        }
    }
}
