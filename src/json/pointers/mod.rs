//! Reads the values at JSON pointers (RFC 6901), for any number of pointers in one pass over a
//! document.

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::document::{BLANKS, JsonProblem, candidate, has_syntax, problem};
use super::path_value::Slot;
use super::strings::key_text;

/// Whether a text is a JSON pointer: empty or with a slash at the start, and with a valid escape
/// after each `~`.
pub fn is_pointer(text: &str) -> bool {
    (text.is_empty() || text.starts_with('/')) && has_valid_escapes(text)
}

/// Whether each `~` is `~0` or `~1`.
pub fn has_valid_escapes(pointer: &str) -> bool {
    pointer.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']))
}

/// A set of pointers, as a tree of their tokens.
#[derive(Clone, Debug, Default)]
pub struct Pointers {
    root: PointerNode,
    count: usize,
}

#[derive(Clone, Debug, Default)]
struct PointerNode {
    slot: Option<Slot>,
    /// Sorted by token.
    children: Vec<PointerChild>,
}

#[derive(Clone, Debug)]
struct PointerChild {
    token: String,
    /// The token as an array index, if it is one.
    place: Option<usize>,
    node: PointerNode,
}

/// The raw value at each pointer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PointedValues<'a>(Vec<Option<&'a str>>);

impl<'a> PointedValues<'a> {
    pub fn get(&self, slot: Slot) -> Option<&'a str> {
        self.0.get(slot.0).copied().flatten()
    }
}

impl Pointers {
    /// Adds a pointer. A text that is not a pointer never matches.
    pub fn add(&mut self, pointer: &str) -> Slot {
        let new = Slot(self.count);
        if !is_pointer(pointer) {
            self.count += 1;
            return new;
        }
        let tokens = pointer.split('/').skip(1).map(|token| token.replace("~1", "/").replace("~0", "~"));
        let node = tokens.fold(&mut self.root, PointerNode::child);
        let slot = *node.slot.get_or_insert(new);
        self.count += usize::from(slot == new);
        slot
    }

    /// Reads all pointers in one pass.
    ///
    /// # Errors
    /// The reason why the body is not a document.
    pub fn read<'a>(&self, body: &'a [u8]) -> Result<PointedValues<'a>, JsonProblem> {
        let text = candidate(body).ok_or_else(|| problem(body))?.trim_matches(BLANKS);
        let mut found = vec![None; self.count];
        let is_visited = !self.root.children.is_empty() && text.starts_with(['{', '[']);
        if !is_visited && !has_syntax(text) {
            return Err(JsonProblem::NotJson);
        }
        self.root.take(text, &mut found).map_err(|_| JsonProblem::NotJson)?;
        Ok(PointedValues(found))
    }
}

impl PointerNode {
    fn child(&mut self, token: String) -> &mut Self {
        let at = match self.children.binary_search_by(|child| child.token.cmp(&token)) {
            Ok(at) => at,
            Err(at) => {
                let place = place(&token);
                self.children.insert(at, PointerChild { token, place, node: Self::default() });
                at
            }
        };
        &mut self.children[at].node
    }

    fn member(&self, key: &str) -> Option<&Self> {
        let at = self.children.binary_search_by(|child| child.token.as_str().cmp(key)).ok()?;
        Some(&self.children[at].node)
    }

    fn item(&self, place: usize) -> Option<&Self> {
        self.children.iter().find(|child| child.place == Some(place)).map(|child| &child.node)
    }

    /// Reads a value and the requested values inside it. Recursion is bounded by the nesting limit
    /// of documents.
    fn take<'a>(&self, raw: &'a str, found: &mut [Option<&'a str>]) -> serde_json::Result<()> {
        if let Some(slot) = self.slot {
            found[slot.0] = Some(raw);
        }
        if self.children.is_empty() {
            return Ok(());
        }
        let mut document = serde_json::Deserializer::from_str(raw);
        match raw.as_bytes().first() {
            Some(b'{') => PointerMembers { node: self, found }.deserialize(&mut document)?,
            Some(b'[') => PointerItems { node: self, found }.deserialize(&mut document)?,
            _ => return Ok(()),
        }
        document.end()
    }

    fn forget(&self, found: &mut [Option<&str>]) {
        if let Some(slot) = self.slot {
            found[slot.0] = None;
        }
        self.children.iter().for_each(|child| child.node.forget(found));
    }
}

/// Parses an array index, which has no sign and no leading zeros (RFC 6901, section 4).
fn place(token: &str) -> Option<usize> {
    let is_place =
        token == "0" || (!token.starts_with('0') && token.bytes().all(|byte| byte.is_ascii_digit()));
    token.parse().ok().filter(|_| is_place)
}

struct PointerMembers<'n, 'f, 'a> {
    node: &'n PointerNode,
    found: &'f mut [Option<&'a str>],
}

impl<'de> DeserializeSeed<'de> for PointerMembers<'_, '_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for PointerMembers<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key()? {
            match key_text(key).and_then(|key| self.node.member(&key)) {
                None => map.next_value::<IgnoredAny>().map(|_| ())?,
                Some(node) => {
                    let raw: &RawValue = map.next_value()?;
                    // The last of duplicate keys wins, together with everything inside it.
                    node.forget(self.found);
                    node.take(raw.get(), self.found).map_err(A::Error::custom)?;
                }
            }
        }
        Ok(())
    }
}

struct PointerItems<'n, 'f, 'a> {
    node: &'n PointerNode,
    found: &'f mut [Option<&'a str>],
}

impl<'de> DeserializeSeed<'de> for PointerItems<'_, '_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for PointerItems<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let last = self.node.children.iter().filter_map(|child| child.place).max();
        let mut at = 0;
        while last.is_some_and(|last| at <= last) {
            match self.node.item(at) {
                Some(node) => match items.next_element::<&RawValue>()? {
                    Some(raw) => node.take(raw.get(), self.found).map_err(A::Error::custom)?,
                    None => return Ok(()),
                },
                None if items.next_element::<IgnoredAny>()?.is_none() => return Ok(()),
                None => {}
            }
            at += 1;
        }
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

#[cfg(test)]
mod tests;
