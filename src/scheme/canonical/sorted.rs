//! Sorted JSON, written while it is read. A tree of a document takes forty times its size, and this is done for strangers: kept
//! are only the keys of the objects that are being written, and where their members stand.

use std::borrow::Cow;
use std::ops::Range;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// `None` where it is not JSON, has a key twice, or a number that no reader holds.
pub fn write(text: &str) -> Option<Vec<u8>> {
    let mut written = Vec::with_capacity(text.len());
    let mut document = serde_json::Deserializer::from_str(text);
    SortedValue(&mut written).deserialize(&mut document).ok()?;
    document.end().ok()?;
    Some(written)
}

/// Writes one value.
struct SortedValue<'w>(&'w mut Vec<u8>);

/// A member, with the comma behind it.
struct SortedMember<'de> {
    key: Cow<'de, str>,
    written: Range<usize>,
}

impl SortedValue<'_> {
    /// Numbers and texts as the canonical form has them.
    fn scalar<E: Error>(self, value: &impl serde::Serialize) -> Result<(), E> {
        serde_json_canonicalizer::to_writer(value, self.0).map_err(E::custom)
    }

    /// In the place of the comma behind the last part.
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
        while items.next_element_seed(SortedValue(self.0))?.is_some() {
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
            SortedValue(self.0).scalar(&key)?;
            self.0.push(b':');
            map.next_value_seed(SortedValue(self.0))?;
            self.0.push(b',');
            members.push(SortedMember { key, written: start..self.0.len() });
        }
        if !members.is_sorted_by(|one, next| is_before(one, next)) {
            members.sort_by(|one, next| one.key.encode_utf16().cmp(next.key.encode_utf16()));
            if members.windows(2).any(|pair| pair[0].key == pair[1].key) {
                return Err(A::Error::custom("a key comes twice"));
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

/// By UTF-16, as RFC 8785 wants it; two that are the same are in no order.
fn is_before(one: &SortedMember<'_>, next: &SortedMember<'_>) -> bool {
    one.key.encode_utf16().lt(next.key.encode_utf16())
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
    fn it_is_what_the_tree_of_the_document_gives() {
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
            assert_eq!(write(text), tree(text), "{text}");
        }
        for wrong in ["", "{", "[1,]", "1 2", "{\"a\":1e400}", "\"\\ud800\"", "nul"] {
            assert_eq!(write(wrong), None, "{wrong}");
        }
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
        fn any_document_is_written_as_its_tree_is(value in any_json()) {
            let text = value.to_string();
            prop_assert_eq!(write(&text), tree(&text), "{}", text);
        }
    }

    /// Of the memory that a document takes nothing can be seen here but its capacity; what is kept beside is known.
    #[test]
    fn what_is_kept_beside_the_text_is_small_even_for_the_shortest_members() {
        let body: String = (0..200_000).map(|number| format!("\"{number:x}\":0,")).collect();
        let body = format!("{{{body}\"z\":0}}");
        let written = write(&body).unwrap();
        assert_eq!(written.len(), body.len());
        assert!(written.capacity() <= 2 * body.len());
        assert!(size_of::<SortedMember<'_>>() <= 48);
    }
}
