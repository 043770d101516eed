//! Other forms of a body or URL that some senders sign instead of its exact bytes.

mod sorted;

use std::borrow::Cow;

use crate::json::{self, lookup};
use sorted::KeyOrder;

/// Returns JSON without white space between tokens and without byte order mark. `None` if it is not
/// JSON.
pub fn compact(body: &[u8]) -> Option<Cow<'_, [u8]>> {
    json::document(body).ok().map(|document| Cow::Owned(json::compact(document).into_bytes()))
}

/// Returns the canonical form of RFC 8785: keys sorted, no white space, numbers as ECMAScript
/// writes them. `None` if the body is not JSON, has a number out of range, or has a duplicate key,
/// because parsers differ in which of its values they use.
pub fn sorted(body: &[u8]) -> Option<Vec<u8>> {
    sorted::write(json::document(body).ok()?, KeyOrder::Utf16)
}

/// The same as `sorted`, but with array indexes first, as `JSON.stringify` writes an object whose
/// keys were added in sorted order.
pub fn sorted_in_ecmascript(body: &[u8]) -> Option<Vec<u8>> {
    sorted::write(json::document(body).ok()?, KeyOrder::ArrayIndexesFirst)
}

/// Returns the first item of an array, or the whole of any other JSON, in compact form.
pub fn first_item(body: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(json::without_mark(body)).ok()?.trim_ascii();
    if !text.starts_with('[') {
        return compact(body).map(Cow::into_owned);
    }
    compact(lookup::first_item(text)?.as_bytes()).map(Cow::into_owned)
}

/// Converts every line break (LF, CR or CR LF) to CR LF.
pub fn crlf(body: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(body.len() + 16);
    let mut bytes = body.iter().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\r' => {
                bytes.next_if(|next| **next == b'\n');
                text.extend_from_slice(b"\r\n");
            }
            b'\n' => text.extend_from_slice(b"\r\n"),
            other => text.push(*other),
        }
    }
    text
}

/// Returns the names and values of a form, sorted by name (by value if a name repeats), joined
/// without a separator.
pub fn sorted_form(fields: &[(String, String)]) -> String {
    let mut fields: Vec<&(String, String)> = fields.iter().collect();
    fields.sort();
    fields.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]).collect()
}

/// The text as a JSON string with its quotes, escaped as `JSON.stringify` does.
pub fn json_string(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    serde_json::to_string(text).ok()
}

/// Decodes the URL escapes that HubSpot decodes before it signs (its guide to validating requests
/// lists them).
pub fn decoded_url(url: &str) -> String {
    const ESCAPES: [(&str, &str); 12] = [
        ("%3A", ":"),
        ("%2F", "/"),
        ("%3F", "?"),
        ("%40", "@"),
        ("%21", "!"),
        ("%24", "$"),
        ("%27", "'"),
        ("%28", "("),
        ("%29", ")"),
        ("%2A", "*"),
        ("%2C", ","),
        ("%3B", ";"),
    ];
    ESCAPES.iter().fold(url.to_owned(), |text, (escape, character)| {
        text.replace(escape, character).replace(&escape.to_ascii_lowercase(), character)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compact_json_keeps_strings_and_numbers_unchanged() {
        let compacted =
            |text: &str| compact(text.as_bytes()).map(|bytes| String::from_utf8(bytes.into_owned()).unwrap());
        assert_eq!(
            compacted(" { \"a b\" : [ 1.0 , \"x \\\" y\\\\\" , 1e400 ] }\n").as_deref(),
            Some(r#"{"a b":[1.0,"x \" y\\",1e400]}"#)
        );
        assert_eq!(compacted("\u{feff}[ 1 ]").as_deref(), Some("[1]"));
        assert_eq!(compacted("{"), None);
    }

    #[test]
    fn canonical_json_has_sorted_keys() {
        assert_eq!(
            sorted(br#"{"b":1.0,"a":{"z":1,"c":"\u00e9"}}"#).as_deref(),
            Some("{\"a\":{\"c\":\"é\",\"z\":1},\"b\":1}".as_bytes())
        );
        assert_eq!(sorted(b"nothing"), None);
        assert_eq!(sorted(br#"{"a":1e400}"#), None);
    }

    #[test]
    fn duplicate_key_has_no_canonical_form() {
        for twice in [r#"{"a":1,"a":1000}"#, r#"{"a":1,"b":2,"\u0061":3}"#, r#"[{"x":{"b":1,"a":1,"b":1}}]"#]
        {
            assert_eq!(sorted(twice.as_bytes()), None, "{twice}");
        }
        assert!(sorted(br#"[{"a":1},{"a":2}]"#).is_some());
    }

    #[test]
    fn first_item_represents_a_batch() {
        assert_eq!(first_item(br#"[ {"a": 1}, {"b": 2}]"#).as_deref(), Some(&br#"{"a":1}"#[..]));
        assert_eq!(first_item(br#"{"a": 1}"#).as_deref(), Some(&br#"{"a":1}"#[..]));
        assert_eq!(first_item(b"[]"), None);
    }

    #[test]
    fn line_breaks_become_cr_lf() {
        assert_eq!(crlf(b"a\nb\r\nc\rd"), b"a\r\nb\r\nc\r\nd");
    }
}
