//! Reads the values at several paths of a document, for event types and delivery ids. Scans the
//! document once; values below a requested key or in the first item of an array are scanned again.
//! Names of keys, and values from all items of an array, need one more scan each.

use std::borrow::Cow;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::document::candidate;
use super::lookup::{JsonPath, first_key_except};
use super::path_error::PathError;
use super::path_value::{PathValue, PathValues, Slot};
use super::strings::key_text;

/// Paths into a JSON document: object keys joined by dots, `items[]` for the first item of an
/// array. In a top-level array, they apply to its first item.
#[derive(Clone, Debug, Default)]
pub struct Paths {
    root: Branch,
    count: usize,
    names: Vec<KeyNamePath>,
    every: Vec<EveryItemPath>,
}

/// A value that is read from every item of a batch (an array of events).
#[derive(Clone, Debug)]
struct EveryItemPath {
    slot: Slot,
    /// The value in a document that is not a batch.
    sole: Slot,
    path: JsonPath,
    leads_through_array: bool,
}

/// Selects the name of a key, not its value.
#[derive(Clone, Debug)]
struct KeyNamePath {
    slot: Slot,
    object: JsonPath,
    except: Vec<String>,
}

#[derive(Clone, Debug, Default)]
struct Branch(Vec<(String, PathNode)>);

#[derive(Clone, Debug)]
enum PathNode {
    Value(Slot),
    Branch(Branch),
    /// The paths into the first item of an array.
    FirstItem(Branch),
}

impl Paths {
    /// # Errors
    /// The path has an empty key, is a JSON pointer, ends in an array, or conflicts with an added
    /// path: one needs a value where the other needs an object or array.
    pub fn add(&mut self, path: &str) -> Result<Slot, PathError> {
        let parsed = JsonPath::parse(path)?;
        let keys = parsed.keys().ok_or_else(|| PathError::Pointer(path.to_owned()))?;
        let mut branch = &mut self.root;
        let mut keys = keys.into_iter().peekable();
        while let Some((key, is_array)) = keys.next() {
            let is_last = keys.peek().is_none();
            if is_last && is_array {
                return Err(PathError::EndsInArray(path.to_owned()));
            }
            let place = branch.place(key).unwrap_or_else(|| {
                let node = match (is_last, is_array) {
                    (true, _) => PathNode::Value(Slot(self.count)),
                    (false, true) => PathNode::FirstItem(Branch::default()),
                    (false, false) => PathNode::Branch(Branch::default()),
                };
                self.count += usize::from(is_last);
                branch.0.push((key.to_owned(), node));
                branch.0.len() - 1
            });
            match (&mut branch.0[place].1, is_last, is_array) {
                (PathNode::Value(slot), true, _) => return Ok(*slot),
                (PathNode::Branch(inner), false, false) | (PathNode::FirstItem(inner), false, true) => {
                    branch = inner
                }
                _ => return Err(PathError::Conflict(path.to_owned())),
            }
        }
        Err(PathError::Empty)
    }

    /// Adds the name of an object's first key that is not in `except`.
    pub fn add_name(&mut self, object: JsonPath, except: Vec<String>) -> Slot {
        let slot = Slot(self.count);
        self.count += 1;
        self.names.push(KeyNamePath { slot, object, except });
        slot
    }

    /// Adds the value at a path; in an array of events, the values of all items. Absent unless
    /// every item has one.
    ///
    /// # Errors
    /// See `add`.
    pub fn add_every(&mut self, path: &str) -> Result<Slot, PathError> {
        let sole = self.add(path)?;
        let slot = Slot(self.count);
        self.count += 1;
        let leads_through_array = path.contains("[]");
        self.every.push(EveryItemPath { slot, sole, path: JsonPath::parse(path)?, leads_through_array });
        Ok(slot)
    }

    /// Reads the values at all paths; `None` unless `accepts(body)`.
    pub fn read(&self, body: &[u8]) -> Option<PathValues> {
        let text = candidate(body)?;
        let mut found = vec![PathValue::Absent; self.count];
        self.root.read(text, &mut found).ok()?;
        for name in &self.names {
            let object = name.object.raw(text.as_bytes());
            if let Some(key) = object.and_then(|object| first_key_except(object, &name.except)) {
                found[name.slot.0] = PathValue::Text(key);
            }
        }
        let is_array = text.trim_start().starts_with('[');
        for every in &self.every {
            found[every.slot.0] = match is_array || every.leads_through_array {
                true => every.path.every(text.as_bytes()).map_or(PathValue::Absent, joined),
                false => single_value(found[every.sole.0].clone()),
            };
        }
        Some(PathValues(found))
    }
}

/// Joins the values of all items into one text. Two batches have the same text only if all their
/// values are equal. Absent if an item has no value.
fn joined(mut values: Vec<PathValue>) -> PathValue {
    if values.len() == 1 {
        return single_value(values.remove(0));
    }
    let escaped = |value: &PathValue| match value {
        PathValue::Text(text) | PathValue::Number(text) if !text.is_empty() => {
            Some(text.replace('%', "%25").replace(',', "%2C"))
        }
        _ => None,
    };
    let texts: Option<Vec<String>> = values.iter().map(escaped).collect();
    texts.map_or(PathValue::Absent, |texts| PathValue::Text(texts.join(",")))
}

/// Converts a single value to a text that no batch of several values can have. Values without a
/// comma are unchanged.
fn single_value(value: PathValue) -> PathValue {
    match value {
        PathValue::Text(text) => PathValue::Text(unlike_batch(text.into()).into_owned()),
        other => other,
    }
}

/// Returns the text of a single value. A text that contains a comma gets another one in front. The
/// joined text of a batch never starts with a comma, because its values are not empty.
pub fn unlike_batch(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.contains(',') { Cow::Owned(format!(",{text}")) } else { text }
}

impl Branch {
    fn place(&self, key: &str) -> Option<usize> {
        self.0.iter().position(|(name, _)| name == key)
    }

    fn node(&self, key: &str) -> Option<&PathNode> {
        self.place(key).map(|place| &self.0[place].1)
    }

    /// Reads a whole document. Visits only objects and arrays: for any other value, serde_json
    /// would reject numbers and strings that it cannot represent.
    fn read(&self, text: &str, found: &mut [PathValue]) -> serde_json::Result<()> {
        let mut document = serde_json::Deserializer::from_str(text);
        match text.bytes().find(|byte| !byte.is_ascii_whitespace()) {
            Some(b'{') if !self.0.is_empty() => {
                ObjectReader { branch: self, found }.deserialize(&mut document)?
            }
            Some(b'[') if !self.0.is_empty() => {
                FirstItemReader { branch: self, found }.deserialize(&mut document)?
            }
            _ => {
                serde::Deserialize::deserialize(&mut document).map(|IgnoredAny| ())?;
            }
        }
        document.end()
    }

    /// Reads the requested values in a value inside a document. Only an object has any.
    fn read_object(&self, raw: &str, found: &mut [PathValue]) -> serde_json::Result<()> {
        if !raw.starts_with('{') {
            return Ok(());
        }
        ObjectReader { branch: self, found }.deserialize(&mut serde_json::Deserializer::from_str(raw))
    }

    fn forget(&self, found: &mut [PathValue]) {
        for (_, node) in &self.0 {
            match node {
                PathNode::Value(slot) => found[slot.0] = PathValue::Absent,
                PathNode::Branch(inner) | PathNode::FirstItem(inner) => inner.forget(found),
            }
        }
    }
}

impl PathNode {
    fn take(&self, raw: &str, found: &mut [PathValue]) -> serde_json::Result<()> {
        match self {
            Self::Value(slot) => found[slot.0] = PathValue::from_raw(raw),
            Self::Branch(branch) => {
                // The last of duplicate keys wins, together with everything inside it.
                branch.forget(found);
                branch.read_object(raw, found)?;
            }
            Self::FirstItem(branch) => {
                branch.forget(found);
                if raw.starts_with('[') {
                    FirstItemReader { branch, found }
                        .deserialize(&mut serde_json::Deserializer::from_str(raw))?;
                }
            }
        }
        Ok(())
    }
}

struct ObjectReader<'a> {
    branch: &'a Branch,
    found: &'a mut [PathValue],
}

impl<'de> DeserializeSeed<'de> for ObjectReader<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ObjectReader<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key()? {
            match key_text(key).and_then(|key| self.branch.node(&key)) {
                None => map.next_value::<IgnoredAny>().map(|_| ())?,
                Some(node) => {
                    let raw: &RawValue = map.next_value()?;
                    node.take(raw.get(), self.found).map_err(A::Error::custom)?;
                }
            }
        }
        Ok(())
    }
}

struct FirstItemReader<'a> {
    branch: &'a Branch,
    found: &'a mut [PathValue],
}

impl<'de> DeserializeSeed<'de> for FirstItemReader<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for FirstItemReader<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        if let Some(first) = items.next_element::<&RawValue>()? {
            self.branch.read_object(first.get(), self.found).map_err(A::Error::custom)?;
        }
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
}
