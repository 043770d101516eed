//! The tokens of a document in order. Needs no recursion, and builds no tree.

use super::document::BLANKS;
use super::written::string_bytes;

/// One token. Keys and values are raw: strings have their quotes and escapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonToken<'a> {
    ObjectStart,
    ObjectEnd,
    ArrayStart,
    ArrayEnd,
    Key(&'a str),
    /// A string, a number, `true`, `false` or `null`.
    Value(&'a str),
}

/// Iterates over the tokens of a document. Any text has tokens, even the start of a document: then
/// the last string may have no closing quote.
#[derive(Clone, Debug)]
pub struct JsonTokens<'a> {
    rest: &'a str,
    /// For each open container, whether it is an object.
    containers: Vec<bool>,
    is_key_next: bool,
}

impl<'a> JsonTokens<'a> {
    pub fn new(document: &'a str) -> Self {
        Self { rest: document, containers: Vec::new(), is_key_next: false }
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        taken
    }

    fn open(&mut self, is_object: bool) {
        self.containers.push(is_object);
        self.is_key_next = is_object;
    }

    fn close(&mut self) {
        self.containers.pop();
        self.is_key_next = false;
    }
}

impl<'a> Iterator for JsonTokens<'a> {
    type Item = JsonToken<'a>;

    fn next(&mut self) -> Option<JsonToken<'a>> {
        loop {
            self.rest = self.rest.trim_start_matches(BLANKS);
            match self.rest.as_bytes().first()? {
                b'"' => {
                    let text = self.take(string_bytes(self.rest));
                    let is_key = std::mem::take(&mut self.is_key_next);
                    return Some(if is_key { JsonToken::Key(text) } else { JsonToken::Value(text) });
                }
                b',' => self.is_key_next = self.containers.last() == Some(&true),
                b':' => self.is_key_next = false,
                b'{' => {
                    self.open(true);
                    self.take(1);
                    return Some(JsonToken::ObjectStart);
                }
                b'[' => {
                    self.open(false);
                    self.take(1);
                    return Some(JsonToken::ArrayStart);
                }
                b'}' => {
                    self.close();
                    self.take(1);
                    return Some(JsonToken::ObjectEnd);
                }
                b']' => {
                    self.close();
                    self.take(1);
                    return Some(JsonToken::ArrayEnd);
                }
                _ => {
                    let is_end = |next: char| "\",:{}[]".contains(next) || BLANKS.contains(&next);
                    let bytes = self.rest.find(is_end).unwrap_or(self.rest.len());
                    return Some(JsonToken::Value(self.take(bytes)));
                }
            }
            self.take(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::JsonToken::{ArrayEnd, ArrayStart, Key, ObjectEnd, ObjectStart, Value};
    use super::*;

    #[test]
    fn tokens_distinguish_keys_from_values() {
        let document = r#" {"a\"": [1.50, "x", {"b":{}}], "c" : null, "d":"e"}"#;
        let expected = [
            ObjectStart,
            Key(r#""a\"""#),
            ArrayStart,
            Value("1.50"),
            Value("\"x\""),
            ObjectStart,
            Key("\"b\""),
            ObjectStart,
            ObjectEnd,
            ObjectEnd,
            ArrayEnd,
            Key("\"c\""),
            Value("null"),
            Key("\"d\""),
            Value("\"e\""),
            ObjectEnd,
        ];
        assert_eq!(JsonTokens::new(document).collect::<Vec<_>>(), expected);
        assert_eq!(JsonTokens::new("7").collect::<Vec<_>>(), [Value("7")]);
    }

    #[test]
    fn cut_document_has_an_open_string() {
        let tokens: Vec<_> = JsonTokens::new(r#"{"a":"b\"#).collect();
        assert_eq!(tokens, [ObjectStart, Key("\"a\""), Value("\"b\\")]);
    }

    proptest! {
        #[test]
        fn any_text_has_tokens(text in "[\\[\\]{}\",:\\\\ \u{e9}a1]{0,30}") {
            let bytes: usize = JsonTokens::new(&text).map(|token| match token {
                Key(raw) | Value(raw) => raw.len(),
                _ => 1,
            }).sum();
            prop_assert!(bytes <= text.len());
        }
    }
}
