//! Stored header fields of a message: a JSON object that maps each name to its value, or to an
//! array if the field is repeated.

use std::borrow::Cow;

use serde_json::{Map, Value};

/// Placeholder for a value that must not be stored.
pub const REDACTED: &str = "[redacted]";
/// Marks a stored value that is Latin-1 instead of UTF-8, so that the original bytes can be
/// restored: without it, `grün` would be ambiguous. An HTTP parser rejects this control character
/// in a header value, so no UTF-8 value begins with it.
const LATIN_1: char = '\u{1a}';

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
pub fn bytes(stored: &str) -> Vec<u8> {
    let latin_1 = stored.strip_prefix(LATIN_1).map(|text| text.chars().map(u8::try_from));
    let original: Option<Vec<u8>> = latin_1.and_then(|bytes| bytes.collect::<Result<_, _>>().ok());
    original.unwrap_or_else(|| stored.as_bytes().to_vec())
}

/// Returns a stored value for display.
pub fn readable(stored: &str) -> &str {
    stored.strip_prefix(LATIN_1).unwrap_or(stored)
}

/// Returns the fields that can be sent, byte for byte as received, without redacted values. Bytes
/// that would end a header line, which a manually edited database may contain, are removed.
pub fn fields(stored: &Map<String, Value>) -> Vec<(String, Vec<u8>)> {
    let mut fields = Vec::with_capacity(stored.len());
    for (name, value) in stored {
        let values = match value {
            Value::Array(values) => values.as_slice(),
            value => std::slice::from_ref(value),
        };
        let kept = values.iter().filter_map(Value::as_str).filter(|text| *text != REDACTED);
        fields.extend(kept.map(|text| (name.clone(), sendable(text))));
    }
    fields
}

/// Returns the bytes of a stored value that are allowed in a header value (RFC 9110, section 5.5).
pub fn sendable(stored: &str) -> Vec<u8> {
    let mut bytes = bytes(stored);
    bytes.retain(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f));
    bytes
}

/// Removes control characters, for use in a header value.
pub fn visible(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).collect()
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
            // Valid UTF-8 that would also be plausible Latin-1, and the other way round.
            "\u{c3}\u{bc}".as_bytes(),
            b"\xc3\xbc",
            // C1 control characters in both encodings.
            b"\xc2\x80 \x85",
            &all,
        ];
        for value in values {
            assert_eq!(bytes(&text(value)), value, "{value:x?}");
            assert_eq!(sendable(&text(value)), value, "{value:x?}");
        }
    }

    #[test]
    fn latin_1_value_reads_without_its_mark() {
        assert_eq!(text(b"gr\xfcn"), "\u{1a}gr\u{fc}n");
        assert_eq!(readable(&text(b"gr\xfcn")), "gr\u{fc}n");
        assert_eq!(readable("gr\u{fc}n"), "gr\u{fc}n");
    }

    #[test]
    fn edited_value_cannot_end_its_line() {
        let stored =
            serde_json::json!({"a": "1\r\nb: 2\u{0}", "c": "\u{1a}\u{20ac}", "d": ["[redacted]", 5]});
        let stored = stored.as_object().cloned().unwrap_or_default();
        let expected =
            [("a".to_owned(), b"1b: 2".to_vec()), ("c".to_owned(), "\u{20ac}".as_bytes().to_vec())];
        assert_eq!(fields(&stored), expected);
    }
}
