//! Writes sorted JSON in one pass over the input. A document tree would take forty times the
//! document's size, for unauthenticated requests; this module keeps only the keys of the open
//! objects and the positions of their members.

mod surrogates;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::ops::Range;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// The order of the keys of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyOrder {
    /// The order of UTF-16 code units, as RFC 8785 requires.
    Utf16,
    /// The order in which ECMAScript lists keys that were added to an object in UTF-16 order: array
    /// indexes come first, by value.
    ArrayIndexesFirst,
}

/// Writes JSON with sorted keys. `None` for invalid JSON, a duplicate key, a number out of range,
/// or a lone surrogate that cannot be marked (see `surrogates::mark`). A lone surrogate stays an
/// escape, in lower case as `JSON.stringify` writes it.
pub fn write(text: &str, order: KeyOrder) -> Option<Vec<u8>> {
    let marked = surrogates::mark(text)?;
    let mut written = Vec::with_capacity(text.len());
    let mut document = serde_json::Deserializer::from_str(&marked);
    SortedValue(&mut written, order).deserialize(&mut document).ok()?;
    document.end().ok()?;
    Some(match marked {
        Cow::Borrowed(_) => written,
        Cow::Owned(_) => surrogates::escape(&String::from_utf8(written).ok()?).into_bytes(),
    })
}

/// Writes one value.
struct SortedValue<'w>(&'w mut Vec<u8>, KeyOrder);

/// A member of an object, and its place in the output, including the comma after it.
struct SortedMember<'de> {
    key: Cow<'de, str>,
    written: Range<usize>,
}

impl SortedValue<'_> {
    /// Writes a value other than an object or array in canonical form.
    fn scalar<E: Error>(self, value: &impl serde::Serialize) -> Result<(), E> {
        serde_json_canonicalizer::to_writer(value, self.0).map_err(E::custom)
    }

    /// Closes an object or array: the bracket replaces the last comma, if any.
    fn close(self, bracket: u8) {
        if self.0.last() == Some(&b',') {
            self.0.pop();
        }
        self.0.push(bracket);
    }
}

impl<'de> DeserializeSeed<'de> for SortedValue<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for SortedValue<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.scalar(&())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.scalar(&value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.scalar(&value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.scalar(&value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.scalar(&value)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.scalar(&value)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        self.0.push(b'[');
        while items.next_element_seed(SortedValue(self.0, self.1))?.is_some() {
            self.0.push(b',');
        }
        self.close(b']');
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.0.push(b'{');
        let first = self.0.len();
        let mut members: Vec<SortedMember<'de>> = Vec::new();
        while let Some(key) = map.next_key_seed(SortedKey)? {
            let start = self.0.len();
            SortedValue(self.0, self.1).scalar(&key)?;
            self.0.push(b':');
            map.next_value_seed(SortedValue(self.0, self.1))?;
            self.0.push(b',');
            members.push(SortedMember { key, written: start..self.0.len() });
        }
        let order = self.1;
        if !members.is_sorted_by(|one, next| order.compare(&one.key, &next.key) == Ordering::Less) {
            members.sort_by(|one, next| order.compare(&one.key, &next.key));
            if members.windows(2).any(|pair| pair[0].key == pair[1].key) {
                return Err(A::Error::custom("duplicate key"));
            }
            let as_read = self.0.split_off(first);
            for SortedMember { written, .. } in members {
                self.0.extend_from_slice(&as_read[written.start - first..written.end - first]);
            }
        }
        self.close(b'}');
        Ok(())
    }
}

impl KeyOrder {
    /// Returns `Equal` only for equal keys, in both key orders.
    fn compare(self, one: &str, next: &str) -> Ordering {
        let by_units = || surrogates::utf_16(one).cmp(surrogates::utf_16(next));
        match self {
            Self::Utf16 => by_units(),
            Self::ArrayIndexesFirst => match (array_index(one), array_index(next)) {
                (Some(one), Some(next)) => one.cmp(&next),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => by_units(),
            },
        }
    }
}

/// Parses an array index: an integer below 2^32 - 1, without leading zeros (ECMA-262, 6.1.7).
fn array_index(key: &str) -> Option<u32> {
    let is_canonical = key == "0" || key.starts_with(|first: char| matches!(first, '1'..='9'));
    key.parse().ok().filter(|index| is_canonical && *index != u32::MAX)
}

struct SortedKey;

impl<'de> DeserializeSeed<'de> for SortedKey {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for SortedKey {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E: Error>(self, key: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(key))
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(key.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tree(text: &str) -> Option<Vec<u8>> {
        let value: serde_json::Value = serde_json::from_str(text).ok()?;
        serde_json_canonicalizer::to_vec(&value).ok()
    }

    #[test]
    fn output_equals_sorted_document_tree() {
        for text in [
            "null",
            " true ",
            "-0.0",
            "[1e21,1.50,0.1,-5,18446744073709551615,9007199254740993,1E-7]",
            r#"{"b":[{},[],""],"a":{"z":null,"y":{"b":1,"a":2}},"":0}"#,
            "{\"\u{fb33}\":1,\"\u{1f600}\":2,\"\\r\":3,\"\u{20ac}\":4,\"1\":5,\"\u{80}\":6,\"\u{f6}\":7}",
            r#"{"\u0062":"\u00e9\u0007\"\\\/\n","a":"é"}"#,
        ] {
            assert!(tree(text).is_some(), "{text}");
            assert_eq!(write(text, KeyOrder::Utf16), tree(text), "{text}");
        }
        for wrong in ["", "{", "[1,]", "1 2", "{\"a\":1e400}", "\"\\ud80\"", "\\ud800", "nul"] {
            assert_eq!(write(wrong, KeyOrder::Utf16), None, "{wrong}");
        }
    }

    fn written(text: &str, order: KeyOrder) -> Option<String> {
        write(text, order).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    /// Expected values from Node.js: `JSON.stringify` of sorted keys, and npm `canonicalize` 2.1.
    #[test]
    fn lone_surrogate_stays_an_escape_in_lower_case() {
        for (text, expected) in [
            (r#""x \uD83D""#, r#""x \ud83d""#),
            (r#""\uDE00\ud83d\ude00\\ud83d""#, "\"\\ude00\u{1f600}\\\\ud83d\""),
            (
                r#"{"\ud83d":1,"é":2,"\ue000":3,"\ud83d\ude00":4,"\udbff":5}"#,
                "{\"é\":2,\"\\ud83d\":1,\"\u{1f600}\":4,\"\\udbff\":5,\"\u{e000}\":3}",
            ),
        ] {
            assert_eq!(written(text, KeyOrder::Utf16).as_deref(), Some(expected), "{text}");
        }
        assert_eq!(written(r#"{"\ud83d":1,"\uD83D":2}"#, KeyOrder::Utf16), None);
        // A document with a lone surrogate cannot also contain the characters that replace
        // surrogates.
        assert_eq!(written("\"\\ud800\u{10f000}\"", KeyOrder::Utf16), None);
        assert_eq!(written(r#""\ud800\udbfc\udc00""#, KeyOrder::Utf16), None);
        assert_eq!(written("\"\u{10f000}\"", KeyOrder::Utf16).as_deref(), Some("\"\u{10f000}\""));
    }

    #[test]
    fn array_indexes_are_first_in_the_order_of_ecmascript() {
        let text = r#"{"b":1,"10":2,"9":3,"01":4,"-1":5,"4294967294":6,"4294967295":7,"0":{"2":1,"10":2,"a":3},"+1":8,"":9}"#;
        let expected = r#"{"0":{"2":1,"10":2,"a":3},"9":3,"10":2,"4294967294":6,"":9,"+1":8,"-1":5,"01":4,"4294967295":7,"b":1}"#;
        assert_eq!(written(text, KeyOrder::ArrayIndexesFirst).as_deref(), Some(expected));
        assert_eq!(written(r#"{"9":1,"10":2}"#, KeyOrder::Utf16).as_deref(), Some(r#"{"10":2,"9":1}"#));
        assert_eq!(written(r#"{"1":1,"1":2}"#, KeyOrder::ArrayIndexesFirst), None);
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            ".*".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Into::into),
                prop::collection::hash_map("[a-c\u{e9}\u{ffff}\u{1f600}]{0,3}", inner, 0..8)
                    .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_document_is_written_like_its_tree(value in any_json()) {
            let text = value.to_string();
            prop_assert_eq!(write(&text, KeyOrder::Utf16), tree(&text), "{}", text);
        }
    }

    /// Checks the capacity of the output, the only part of the memory that a test can observe; the
    /// rest follows from the size of a member.
    #[test]
    fn extra_memory_is_small_for_shortest_members() {
        let body: String = (0..200_000).map(|number| format!("\"{number:x}\":0,")).collect();
        let body = format!("{{{body}\"z\":0}}");
        let written = write(&body, KeyOrder::Utf16).unwrap();
        assert_eq!(written.len(), body.len());
        assert!(written.capacity() <= 2 * body.len());
        assert!(size_of::<SortedMember<'_>>() <= 48);
    }
}
