//! The values of a JSON document with their paths. Positions in arrays are not part of a path. If a
//! key is repeated in an object, its path leads to the value of each.

use std::borrow::Cow;
use std::ops::ControlFlow;

use crate::json::{self, JsonToken, JsonTokens};

/// A value at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeafValue<'a> {
    /// A raw string, number, `true`, `false` or `null`.
    Leaf(&'a str),
    /// An object or an array; its content follows.
    Container,
}

/// Calls `visit` for each value of a document, with the keys that lead to it, until it breaks.
pub fn walk<'a>(document: &'a str, mut visit: impl FnMut(&[Cow<'a, str>], LeafValue<'a>) -> ControlFlow<()>) {
    let mut path: Vec<Cow<'a, str>> = Vec::new();
    // For each open container, the length of its path.
    let mut containers: Vec<usize> = Vec::new();
    for token in JsonTokens::new(document) {
        let flow = match token {
            JsonToken::ObjectStart | JsonToken::ArrayStart => {
                containers.push(path.len());
                visit(&path, LeafValue::Container)
            }
            JsonToken::ObjectEnd | JsonToken::ArrayEnd => {
                path.truncate(containers.pop().unwrap_or(0));
                ControlFlow::Continue(())
            }
            JsonToken::Key(raw) => {
                path.truncate(containers.last().copied().unwrap_or(0));
                path.push(json::text_lossy(raw));
                ControlFlow::Continue(())
            }
            JsonToken::Value(raw) => visit(&path, LeafValue::Leaf(raw)),
        };
        if flow.is_break() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_has_the_keys_without_positions() {
        let document = r#"{"a":{"b":1},"c":[true,{"d":"x"},[null]],"\u0065":2}"#;
        let mut found = Vec::new();
        walk(document, |path, value| {
            if let LeafValue::Leaf(raw) = value {
                found.push(format!("{}={raw}", path.join(".")));
            }
            ControlFlow::Continue(())
        });
        assert_eq!(found, ["a.b=1", "c=true", "c.d=\"x\"", "c=null", "e=2"]);
        let mut visits = 0;
        walk(document, |_, _| {
            visits += 1;
            if visits == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!(visits, 3);
    }
}
