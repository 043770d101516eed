//! Stored header fields of a message: a JSON object that maps each name to its value, or to an
//! array if the field is repeated.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Placeholder for a value that must not be stored.
pub const REDACTED: &str = "[redacted]";
/// Marks a stored value that is Latin-1 instead of UTF-8, so that the original bytes can be
/// restored: without it, `grün` would be ambiguous. An HTTP parser rejects this control character
/// in a header value, so no UTF-8 value begins with it.
const LATIN_1: char = '\u{1a}';

/// The stored header fields of a message or rejection, sorted by name. Values without escapes are
/// borrowed from the JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredHeaders<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> StoredHeaders<'a> {
    /// Parses the stored JSON. Returns `None` if it is not an object; values other than text, which
    /// a manually edited database may contain, are ignored.
    pub fn parse(json: &'a str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }

    /// Returns the names with their stored values; a repeated field is returned once for each
    /// value.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Returns the stored values of a field. Case of the name is ignored.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.pairs().filter(move |(stored, _)| stored.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Returns the first stored value of a field. Case of the name is ignored.
    pub fn first(&self, name: &str) -> Option<&str> {
        self.values(name).next()
    }

    /// Like `into_fields`, but keeps the headers.
    pub fn fields(&self) -> Vec<(Cow<'_, str>, Cow<'_, [u8]>)> {
        StoredHeaders(self.pairs().map(|(name, value)| (name.into(), value.into())).collect()).into_fields()
    }

    /// Returns the fields that can be sent, byte for byte as received, without redacted values.
    /// ASCII control characters except tabs, which only a manually edited database contains, are
    /// removed: a line break would end the header line.
    pub fn into_fields(self) -> Vec<(Cow<'a, str>, Cow<'a, [u8]>)> {
        let mut fields = Vec::with_capacity(self.0.len());
        let kept = self.0.into_iter().filter(|(_, value)| *value != REDACTED);
        fields.extend(kept.map(|(name, value)| {
            let value = match value {
                Cow::Borrowed(value) => sendable(value),
                Cow::Owned(value) => Cow::Owned(sendable(&value).into_owned()),
            };
            (name, value)
        }));
        fields
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for StoredHeaders<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(HeadersVisitor)
    }
}

struct HeadersVisitor;

impl<'de> Visitor<'de> for HeadersVisitor {
    type Value = StoredHeaders<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of header fields")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<StoredHeaders<'de>, A::Error> {
        let mut fields = Vec::new();
        while let Some(FieldName(name)) = map.next_key()? {
            map.next_value_seed(ValueReader { name, is_in_array: false, fields: &mut fields })?;
        }
        let by_name = |(a, _): &(Cow<'de, str>, _), (b, _): &(Cow<'de, str>, _)| a.cmp(b);
        if !fields.is_sorted_by(|a, b| by_name(a, b).is_le()) {
            fields.sort_by(by_name);
        }
        Ok(StoredHeaders(fields))
    }
}

#[derive(Deserialize)]
struct FieldName<'a>(#[serde(borrow)] Cow<'a, str>);

/// Adds the value of one name, or each value of an array.
struct ValueReader<'f, 'de> {
    name: Cow<'de, str>,
    is_in_array: bool,
    fields: &'f mut Vec<(Cow<'de, str>, Cow<'de, str>)>,
}

impl<'de> DeserializeSeed<'de> for ValueReader<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueReader<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value or an array of values")
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<(), E> {
        self.fields.push((self.name, Cow::Borrowed(value)));
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.fields.push((self.name, Cow::Owned(value.to_owned())));
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<(), A::Error> {
        let Self { name, is_in_array, fields } = self;
        if is_in_array {
            while values.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(());
        }
        loop {
            let reader = ValueReader { name: name.clone(), is_in_array: true, fields: &mut *fields };
            if values.next_element_seed(reader)?.is_none() {
                return Ok(());
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
}

/// Returns the stored JSON unchanged, for the API; `None` if it is not JSON, e.g. after a manual
/// edit of the database.
pub fn raw_json(stored: &str) -> Option<Box<RawValue>> {
    RawValue::from_string(stored.to_owned()).ok()
}

/// Encodes a value for storage: UTF-8 as text, other bytes as Latin-1 with a mark.
pub fn text(value: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(value) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => {
            let characters = value.iter().map(|byte| char::from(*byte));
            Cow::Owned(std::iter::once(LATIN_1).chain(characters).collect())
        }
    }
}

/// Returns the original bytes of a stored value.
pub fn bytes(stored: &str) -> Cow<'_, [u8]> {
    let latin_1 = stored.strip_prefix(LATIN_1).map(|text| text.chars().map(u8::try_from));
    let original: Option<Vec<u8>> = latin_1.and_then(|bytes| bytes.collect::<Result<_, _>>().ok());
    original.map_or(Cow::Borrowed(stored.as_bytes()), Cow::Owned)
}

/// Returns a stored value for display.
pub fn readable(stored: &str) -> &str {
    stored.strip_prefix(LATIN_1).unwrap_or(stored)
}

/// Returns the bytes of a stored value that are allowed in a header value (RFC 9110, section 5.5).
pub fn sendable(stored: &str) -> Cow<'_, [u8]> {
    let is_allowed = |byte: &u8| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f);
    let mut bytes = bytes(stored);
    if !bytes.iter().all(is_allowed) {
        bytes.to_mut().retain(is_allowed);
    }
    bytes
}

/// Removes control characters, for use in a header value.
pub fn visible(text: &str) -> Cow<'_, str> {
    match text.contains(char::is_control) {
        true => text.chars().filter(|character| !character.is_control()).collect(),
        false => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_value_restores_every_byte() {
        let all: Vec<u8> = (b' '..=0xff).filter(|byte| *byte != 0x7f).chain([b'\t']).collect();
        let values: [&[u8]; 8] = [
            b"",
            b"plain",
            "gr\u{fc}n".as_bytes(),
            b"gr\xfcn",
            // Both are valid UTF-8. The bytes of the second could also be two characters in
            // Latin-1, which the first encodes as UTF-8.
            "\u{c3}\u{bc}".as_bytes(),
            b"\xc3\xbc",
            // C1 control characters in both encodings.
            b"\xc2\x80 \x85",
            &all,
        ];
        for value in values {
            assert_eq!(*bytes(&text(value)), *value, "{value:x?}");
            assert_eq!(*sendable(&text(value)), *value, "{value:x?}");
        }
    }

    #[test]
    fn latin_1_value_reads_without_its_mark() {
        assert_eq!(text(b"gr\xfcn"), "\u{1a}gr\u{fc}n");
        assert_eq!(readable(&text(b"gr\xfcn")), "gr\u{fc}n");
        assert_eq!(readable("gr\u{fc}n"), "gr\u{fc}n");
    }

    #[test]
    fn pairs_are_sorted_and_repeats_keep_their_order() {
        let json = r#"{"x-b":["2","1"],"accept":"*/*","x-a":"\u001agr\u00fcn"}"#;
        let headers = StoredHeaders::parse(json).unwrap();
        let pairs: Vec<(&str, &str)> = headers.pairs().collect();
        assert_eq!(pairs, [("accept", "*/*"), ("x-a", "\u{1a}grün"), ("x-b", "2"), ("x-b", "1")]);
    }

    #[test]
    fn field_is_found_in_any_case() {
        let headers = StoredHeaders::parse(r#"{"Content-Type":"a/b","x":["1","2"]}"#).unwrap();
        assert_eq!(headers.first("content-type"), Some("a/b"));
        assert_eq!((headers.first("X"), headers.values("X").count()), (Some("1"), 2));
        assert_eq!(headers.first("content"), None);
    }

    #[test]
    fn values_other_than_text_are_ignored() {
        let json =
            r#"{"a":1,"b":-1,"c":1.5,"d":true,"e":null,"f":{"g":["h"]},"i":["j",2,{},null,["n"]],"k":[]}"#;
        let headers = StoredHeaders::parse(json).unwrap();
        assert_eq!(headers.pairs().collect::<Vec<_>>(), [("i", "j")]);
        for other in ["", "[]", "\"a\"", "{\"a\":1", "{} {}", "null"] {
            assert_eq!(StoredHeaders::parse(other), None, "{other}");
        }
    }

    #[test]
    fn values_without_escapes_are_borrowed() {
        let headers = StoredHeaders::parse(r#"{"a":["b","c"],"d":"\""}"#).unwrap();
        let is_borrowed: Vec<bool> =
            headers.0.iter().map(|(_, value)| matches!(value, Cow::Borrowed(_))).collect();
        assert_eq!(is_borrowed, [true, true, false]);
        assert!(headers.0.iter().all(|(name, _)| matches!(name, Cow::Borrowed(_))));
    }

    #[test]
    fn raw_json_keeps_its_text() {
        assert_eq!(raw_json("{\"a\": 1.50}").unwrap().get(), "{\"a\": 1.50}");
        assert!(raw_json("{").is_none());
    }

    #[test]
    fn edited_value_cannot_end_its_line() {
        let json = r#"{"a":"1\r\nb: 2\u0000","c":"\u001a\u20ac","d":["[redacted]",5]}"#;
        let expected = [("a", b"1b: 2".as_slice()), ("c", "\u{20ac}".as_bytes())];
        let headers = StoredHeaders::parse(json).unwrap();
        let fields = headers.fields();
        let fields: Vec<(&str, &[u8])> = fields.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(fields, expected);
    }
}
