//! Equality of raw values.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::document::accepts;
use super::lookup;
use super::number::{self, Decimal};
use super::object::Object;
use super::strings::text_of;

/// A JSON value to compare with, e.g. from a filter, exactly as written.
#[derive(Clone, Debug)]
pub struct Literal(Box<RawValue>);

impl Literal {
    /// Parses a literal; `None` if the text is not JSON.
    pub fn parse(text: &str) -> Option<Self> {
        accepts(text.as_bytes())
            .then(|| RawValue::from_string(text.trim().to_owned()).ok().map(Self))
            .flatten()
    }

    pub fn of_text(text: &str) -> Self {
        Self(serde_json::value::to_raw_value(text).expect("a text is always JSON"))
    }

    pub fn raw(&self) -> &str {
        self.0.get()
    }
}

impl PartialEq for Literal {
    fn eq(&self, other: &Self) -> bool {
        self.raw() == other.raw()
    }
}

impl Serialize for Literal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Literal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        if accepts(raw.get().as_bytes()) {
            return Ok(Self(raw));
        }
        Err(D::Error::custom("a value is nested more than 127 levels deep"))
    }
}

/// Whether a value is a number.
pub fn is_number(raw: &str) -> bool {
    raw.starts_with(|first: char| first == '-' || first.is_ascii_digit())
}

/// Whether two raw values are equal: strings by their characters, numbers by value, objects
/// regardless of key order. Nothing equals a string or key with a lone surrogate, or an object or
/// array that is too large for `Object` or `lookup::items`.
pub fn same(one: &str, other: &str) -> bool {
    match (one.as_bytes().first(), other.as_bytes().first()) {
        (Some(b'"'), Some(b'"')) => text_of(one).is_some_and(|text| Some(text) == text_of(other)),
        (Some(b'{'), Some(b'{')) => same_objects(one, other).unwrap_or(false),
        (Some(b'['), Some(b'[')) => same_arrays(one, other).unwrap_or(false),
        _ if is_number(one) && is_number(other) => number::equal(one, other),
        _ => one == other,
    }
}

/// Whether a raw value equals one of several. `found` is decoded only once, since it can be as long
/// as a body.
pub fn is_among<'a>(found: &str, mut wanted: impl Iterator<Item = &'a str>) -> bool {
    match found.as_bytes().first() {
        Some(b'"') => {
            let Some(text) = text_of(found) else { return false };
            wanted.any(|wanted| text_of(wanted).is_some_and(|wanted| wanted == text))
        }
        _ if is_number(found) => {
            let number = Decimal::of(found);
            wanted.any(|wanted| is_number(wanted) && Decimal::of(wanted) == number)
        }
        _ => wanted.any(|wanted| same(found, wanted)),
    }
}

fn same_objects(one: &str, other: &str) -> Option<bool> {
    let (one, other) = (Object::read(one)?, Object::read(other)?);
    let is_in_other = |(key, value): (&str, &str)| {
        text_of(key).and_then(|key| other.get(&key)).is_some_and(|wanted| same(value, wanted))
    };
    Some(one.len() == other.len() && one.members().all(is_in_other))
}

fn same_arrays(one: &str, other: &str) -> Option<bool> {
    let (one, other) = (lookup::items(one)?, lookup::items(other)?);
    Some(one.len() == other.len() && one.iter().zip(&other).all(|(one, other)| same(one, other)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_are_compared_by_meaning() {
        for pair in [
            [r#""a""#, r#""\u0061""#],
            ["1", "1.0"],
            ["null", "null"],
            [r#"{"a":1,"b":[1,{}]}"#, r#"{ "b" : [1.0, { }], "\u0061": 1e0 }"#],
            [r#"{"a":1,"a":2}"#, r#"{"a":2}"#],
            ["[]", "[ ]"],
        ] {
            assert!(same(pair[0], pair[1]) && same(pair[1], pair[0]), "{pair:?}");
            assert!(is_among(pair[0], ["[7]", pair[1]].into_iter()), "{pair:?}");
        }
        for pair in [
            [r#""1""#, "1"],
            ["true", "false"],
            ["null", "0"],
            [r#""\ud800""#, r#""\ud800""#],
            [r#"{"\ud800":1}"#, r#"{"\ud800":1}"#],
            [r#"{"a":1}"#, r#"{"a":1,"b":1}"#],
            [r#"{"a":1,"b":1}"#, r#"{"a":1,"c":1}"#],
            ["[1,2]", "[2,1]"],
            ["[]", "{}"],
            ["[1]", "[]"],
        ] {
            assert!(!same(pair[0], pair[1]) && !same(pair[1], pair[0]), "{pair:?}");
            assert!(!is_among(pair[0], ["[7]", pair[1]].into_iter()), "{pair:?}");
        }
    }

    #[test]
    fn literal_is_kept_as_written() {
        let literal: Literal = serde_json::from_str(" 1.10 ").unwrap();
        assert_eq!(literal.raw(), "1.10");
        assert_eq!(serde_json::to_string(&literal).unwrap(), "1.10");
        assert_eq!(Literal::of_text("a\"b").raw(), r#""a\"b""#);
        assert!(Literal::parse("1e400").is_some() && Literal::parse("nul").is_none());
        let deep = format!("{}{}", "[".repeat(128), "]".repeat(128));
        assert!(serde_json::from_str::<Literal>(&deep).is_err());
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            "[ab\"\\\\\u{e9}]{0,3}".prop_map(Into::into),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::hash_map("[a-c]{0,2}", inner, 0..4)
                    .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn same_agrees_with_serde_json(one in any_json(), other in any_json()) {
            prop_assert_eq!(same(&one.to_string(), &other.to_string()), one == other);
            prop_assert!(same(&one.to_string(), &serde_json::to_string_pretty(&one).unwrap()));
        }
    }
}
