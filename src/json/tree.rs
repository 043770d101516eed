//! A whole document as a tree of raw values, read in one scan.

use std::collections::HashMap;

use super::document::{BLANKS, candidate, has_syntax};
use super::object::MemberName;
use super::written::string_bytes;

/// A value with all values inside it.
#[derive(Clone, Debug)]
pub struct TreeNode<'a> {
    /// The value as written.
    pub raw: &'a str,
    pub content: TreeContent<'a>,
}

#[derive(Clone, Debug)]
pub enum TreeContent<'a> {
    /// A string, a number, `true`, `false` or `null`.
    Scalar,
    Items(Vec<TreeNode<'a>>),
    /// The raw keys, with quotes, and the values. The last of duplicate keys wins, at the position
    /// of the first.
    Members(Vec<(&'a str, TreeNode<'a>)>),
}

/// Reason why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TreeProblem {
    /// `accepts` is false for the body.
    NotJson,
    TooManyValues,
}

/// Reads a document with at most `max_values` values. Duplicates that lose are counted too.
///
/// # Errors
/// The reason why the body was not read.
pub fn tree(body: &[u8], max_values: usize) -> Result<TreeNode<'_>, TreeProblem> {
    let text = candidate(body).filter(|text| has_syntax(text)).ok_or(TreeProblem::NotJson)?;
    let mut reader = TreeReader { rest: text, max_values };
    reader.value().ok_or(TreeProblem::TooManyValues)
}

/// Reads text whose syntax was checked. The nesting limit of documents limits its recursion.
struct TreeReader<'a> {
    rest: &'a str,
    max_values: usize,
}

impl<'a> TreeReader<'a> {
    /// Returns the next value; `None` if there are too many.
    fn value(&mut self) -> Option<TreeNode<'a>> {
        self.max_values = self.max_values.checked_sub(1)?;
        self.skip_blanks();
        let start = self.rest;
        let content = match start.as_bytes().first()? {
            b'{' => TreeContent::Members(self.members()?),
            b'[' => TreeContent::Items(self.items()?),
            b'"' => {
                self.string()?;
                TreeContent::Scalar
            }
            _ => {
                let ends = |next: char| matches!(next, ',' | ']' | '}') || BLANKS.contains(&next);
                self.skip(start.find(ends).unwrap_or(start.len()))?;
                TreeContent::Scalar
            }
        };
        Some(TreeNode { raw: start.get(..start.len() - self.rest.len())?, content })
    }

    fn items(&mut self) -> Option<Vec<TreeNode<'a>>> {
        self.skip(1)?;
        let mut items = Vec::new();
        while !self.is_at_end(']')? {
            items.push(self.value()?);
        }
        Some(items)
    }

    fn members(&mut self) -> Option<Vec<(&'a str, TreeNode<'a>)>> {
        self.skip(1)?;
        let mut members: Vec<(&'a str, TreeNode<'a>)> = Vec::new();
        let mut places = HashMap::new();
        while !self.is_at_end('}')? {
            self.skip_blanks();
            let key = self.string()?;
            self.skip_blanks();
            // The colon.
            self.skip(1)?;
            let value = self.value()?;
            let place = *places.entry(MemberName::of(key)).or_insert(members.len());
            match members.get_mut(place) {
                Some(member) => member.1 = value,
                None => members.push((key, value)),
            }
        }
        Some(members)
    }

    /// Skips a comma, or the end of an array or object, which is the result.
    fn is_at_end(&mut self, end: char) -> Option<bool> {
        self.skip_blanks();
        let is_end = self.rest.starts_with(end);
        if is_end || self.rest.starts_with(',') {
            self.skip(1)?;
        }
        Some(is_end)
    }

    fn string(&mut self) -> Option<&'a str> {
        let (string, rest) = self.rest.split_at_checked(string_bytes(self.rest))?;
        self.rest = rest;
        Some(string)
    }

    fn skip(&mut self, bytes: usize) -> Option<()> {
        self.rest = self.rest.get(bytes..)?;
        Some(())
    }

    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start_matches(BLANKS);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::json::{compact, pretty};

    /// Writes a tree without white space and without duplicate keys.
    fn written(node: &TreeNode<'_>) -> String {
        match &node.content {
            TreeContent::Scalar => node.raw.to_owned(),
            TreeContent::Items(items) => {
                format!("[{}]", items.iter().map(written).collect::<Vec<_>>().join(","))
            }
            TreeContent::Members(members) => {
                let member = |(key, value): &(&str, TreeNode<'_>)| format!("{key}:{}", written(value));
                format!("{{{}}}", members.iter().map(member).collect::<Vec<_>>().join(","))
            }
        }
    }

    #[test]
    fn values_are_raw_and_last_duplicate_wins() {
        for (document, expected) in [
            ("\u{feff} { \"a\" : 1.10 , \"b\":[ ] } ", r#"{"a":1.10,"b":[]}"#),
            (r#"{"a":1,"b":2,"\u0061":[3]}"#, r#"{"a":[3],"b":2}"#),
            (r#"{"\ud800":1,"\ud800":2,"\ud801":3}"#, r#"{"\ud800":2,"\ud801":3}"#),
            ("\n[1e400,\ttrue , \"]\\\"[\",{}]\r", r#"[1e400,true,"]\"[",{}]"#),
            (" 7 ", "7"),
            ("\"\"", "\"\""),
        ] {
            let tree = tree(document.as_bytes(), 9).unwrap();
            assert_eq!(written(&tree), expected, "{document}");
        }
        let nested = tree(br#"{"a": [ {"b":1 } ]}"#, 9).unwrap();
        let TreeContent::Members(members) = &nested.content else { panic!("{nested:?}") };
        assert_eq!((members[0].0, members[0].1.raw), ("\"a\"", "[ {\"b\":1 } ]"));
    }

    #[test]
    fn limits_are_those_of_values_and_documents() {
        assert!(tree(b"[1,[2],{\"a\":3}]", 6).is_ok());
        let refusal = |body: &str, max_values| tree(body.as_bytes(), max_values).map(|_| ()).unwrap_err();
        assert_eq!(refusal("[1,[2],{\"a\":3}]", 5), TreeProblem::TooManyValues);
        assert_eq!(refusal(r#"{"a":1,"a":1}"#, 2), TreeProblem::TooManyValues);
        for body in ["", "[1", "{\"a\"}", "nul", "[1]]"] {
            assert_eq!(refusal(body, 9), TreeProblem::NotJson, "{body}");
        }
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(tree(deep(127).as_bytes(), 127).is_ok());
        assert_eq!(refusal(&deep(128), 128), TreeProblem::NotJson);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "[\\[\\]{}\",:\\\\ \u{e9}a1]{0,20}") {
            let _ = tree(text.as_bytes(), 9);
        }

        #[test]
        fn tree_has_the_whole_document(
            members in prop::collection::btree_map(".{0,3}", prop::collection::vec(".{0,4}", 0..3), 0..4),
        ) {
            let text = serde_json::json!({"m": members, "n": [1, -2, [null, true]], "o": {}}).to_string();
            for document in [&text, &pretty(&text)] {
                let tree = tree(document.as_bytes(), 99).unwrap();
                prop_assert_eq!(tree.raw, document);
                prop_assert_eq!(written(&tree), compact(document));
            }
        }
    }
}
