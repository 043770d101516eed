//! Numbers the values of two documents, so that equal values have equal numbers. Objects are equal
//! regardless of key order, strings by their characters, and numbers only as written: 1.0 is not 1.
//! A string or key with a lone surrogate equals only an identically written one.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::json::{TreeContent, TreeNode, text_of};

/// A value and the number of its equivalence class.
#[derive(Debug)]
pub struct NumberedValue<'a> {
    pub raw: &'a str,
    pub number: u32,
    pub content: NumberedContent<'a>,
}

#[derive(Debug)]
pub enum NumberedContent<'a> {
    Scalar,
    Items(Vec<NumberedValue<'a>>),
    Members(Vec<NumberedMember<'a>>),
}

/// A member of an object.
#[derive(Debug)]
pub struct NumberedMember<'a> {
    /// The raw key, with quotes.
    pub key: &'a str,
    pub key_number: u32,
    pub value: NumberedValue<'a>,
}

/// The numbers given so far.
#[derive(Debug, Default)]
pub struct Numbering<'a>(HashMap<Shape<'a>, u32>);

/// The parts of a value that determine its equality.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Shape<'a> {
    Text(Cow<'a, str>),
    /// Any other scalar, or a string with a lone surrogate.
    Raw(&'a str),
    Items(Vec<u32>),
    /// Numbers of keys and values, sorted.
    Members(Vec<(u32, u32)>),
}

impl<'a> Numbering<'a> {
    /// Numbers a value and all values inside it.
    pub fn value(&mut self, node: TreeNode<'a>) -> NumberedValue<'a> {
        let raw = node.raw;
        let (shape, content) = match node.content {
            TreeContent::Scalar => (scalar(raw), NumberedContent::Scalar),
            TreeContent::Items(items) => {
                let items: Vec<_> = items.into_iter().map(|item| self.value(item)).collect();
                let numbers = items.iter().map(|item| item.number).collect();
                (Shape::Items(numbers), NumberedContent::Items(items))
            }
            TreeContent::Members(members) => {
                let member = |(key, value)| {
                    let value = self.value(value);
                    NumberedMember { key, key_number: self.number(scalar(key)), value }
                };
                let members: Vec<_> = members.into_iter().map(member).collect();
                let mut numbers: Vec<_> =
                    members.iter().map(|member| (member.key_number, member.value.number)).collect();
                numbers.sort_unstable();
                (Shape::Members(numbers), NumberedContent::Members(members))
            }
        };
        NumberedValue { raw, number: self.number(shape), content }
    }

    fn number(&mut self, shape: Shape<'a>) -> u32 {
        // The limit on values keeps the count far below 2³².
        let next = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        *self.0.entry(shape).or_insert(next)
    }
}

fn scalar(raw: &str) -> Shape<'_> {
    text_of(raw).map_or(Shape::Raw(raw), Shape::Text)
}

#[cfg(test)]
mod tests {
    use super::Numbering;
    use crate::json::tree;

    #[test]
    fn equal_values_have_equal_numbers() {
        let mut numbering = Numbering::default();
        let mut number = |text: &'static str| numbering.value(tree(text.as_bytes(), 99).unwrap()).number;
        for [one, other] in [
            [r#""a""#, r#""\u0061""#],
            [r#"{"a":1,"b":[{}]}"#, r#"{ "b": [ { } ], "\u0061": 1 }"#],
            [r#"{"a":1,"a":2}"#, r#"{"a":2}"#],
            [r#""\ud800""#, r#""\ud800""#],
        ] {
            assert_eq!(number(one), number(other), "{one} {other}");
        }
        for [one, other] in [
            ["1", "1.0"],
            ["1", r#""1""#],
            ["1e400", "1e401"],
            ["[1,2]", "[2,1]"],
            ["[]", "{}"],
            [r#""\ud800""#, r#""\uD800""#],
            [r#""null""#, "null"],
        ] {
            assert_ne!(number(one), number(other), "{one} {other}");
        }
    }
}
