//! Compact and pretty-printed documents. Key order and the digits of numbers are preserved.

use super::document::BLANKS;
use super::strings::text_of;

const INDENT: &str = "  ";

/// Removes the white space between tokens.
pub fn compact(document: &str) -> String {
    let mut written = String::with_capacity(document.len());
    let mut rest = document;
    while let Some(at) = rest.find(|next: char| next == '"' || is_blank(next)) {
        written.push_str(&rest[..at]);
        let (part, rest_after) = match rest[at..].starts_with('"') {
            true => rest[at..].split_at(string_bytes(&rest[at..])),
            false => ("", &rest[at + 1..]),
        };
        written.push_str(part);
        rest = rest_after;
    }
    written.push_str(rest);
    written
}

/// Indents with two spaces per level. Unnecessary `\u` escapes are decoded.
pub fn pretty(document: &str) -> String {
    let mut written = String::with_capacity(document.len() * 2);
    let mut level = 0_usize;
    let mut rest = document.trim_start_matches(is_blank);
    while let Some(first) = rest.chars().next() {
        let taken = match first {
            '"' => {
                let taken = string_bytes(rest);
                push_string(&mut written, &rest[..taken]);
                taken
            }
            '{' | '[' => {
                written.push(first);
                let inner = rest[1..].trim_start_matches(is_blank);
                if inner.starts_with(['}', ']']) {
                    written.push_str(&inner[..1]);
                    rest.len() - inner.len() + 1
                } else {
                    level += 1;
                    break_line(&mut written, level);
                    1
                }
            }
            '}' | ']' => {
                level = level.saturating_sub(1);
                break_line(&mut written, level);
                written.push(first);
                1
            }
            ',' => {
                written.push(first);
                break_line(&mut written, level);
                1
            }
            ':' => {
                written.push_str(": ");
                1
            }
            other => {
                written.push(other);
                other.len_utf8()
            }
        };
        rest = rest[taken..].trim_start_matches(is_blank);
    }
    written
}

fn is_blank(character: char) -> bool {
    BLANKS.contains(&character)
}

fn break_line(written: &mut String, level: usize) {
    written.push('\n');
    (0..level).for_each(|_| written.push_str(INDENT));
}

fn push_string(written: &mut String, raw: &str) {
    let text = if raw.contains("\\u") { text_of(raw) } else { None };
    match text.and_then(|text| serde_json::to_string(&text).ok()) {
        Some(quoted) => written.push_str(&quoted),
        None => written.push_str(raw),
    }
}

/// Length of the string at the start of the text, including quotes.
pub(super) fn string_bytes(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn digits_and_key_order_stay() {
        let document = "{\"z\":1.10,\"a\" : [ 123456789012345678901234567890,\n1e400 ],\"e\":{ },\"f\":[],\"s\":\"\\ud83d \\u00e9 {\\\"[\"}";
        assert_eq!(
            pretty(document),
            "{\n  \"z\": 1.10,\n  \"a\": [\n    123456789012345678901234567890,\n    1e400\n  ],\n  \"e\": {},\n  \"f\": [],\n  \"s\": \"\\ud83d \\u00e9 {\\\"[\"\n}"
        );
        assert_eq!(
            compact(document),
            "{\"z\":1.10,\"a\":[123456789012345678901234567890,1e400],\"e\":{},\"f\":[],\"s\":\"\\ud83d \\u00e9 {\\\"[\"}"
        );
        assert_eq!(pretty(r#""\u00e9\u0007\n""#), "\"é\\u0007\\n\"");
    }

    proptest! {
        #[test]
        fn pretty_output_equals_serde_json(members in prop::collection::btree_map(".{0,3}", prop::collection::vec(".{0,4}", 0..3), 0..4)) {
            let value = serde_json::json!({"m": members, "n": [1, -2, [null, true]], "o": {}});
            prop_assert_eq!(pretty(&value.to_string()), serde_json::to_string_pretty(&value).unwrap());
            prop_assert_eq!(compact(&serde_json::to_string_pretty(&value).unwrap()), value.to_string());
        }

        #[test]
        fn any_text_is_written_without_panic(text in "[\\[\\]{}\",:\\\\ \u{e9}a1]{0,20}") {
            let _ = (pretty(&text), compact(&text));
        }
    }
}
