//! Access to single values of a JSON document. Each access scans the document; `paths` and
//! `pointers` read several values in one scan.

use std::borrow::Cow;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::document::{BLANKS, without_mark};
use super::path_error::PathError;
use super::path_value::PathValue;
use super::pointers::has_valid_escapes;
use super::strings::key_text;

/// Limit on the items of an array. The result holds a reference to each item, which takes several
/// times the memory of a small item.
const MAX_ITEMS: usize = 10_000;

/// A path into a document: object keys joined by dots, with `items[]` for the first item of an
/// array. In a top-level array, the path applies to its first item. A path that starts with a slash
/// is a JSON pointer (RFC 6901) instead, and always applies to the whole document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonPath(Vec<PathStep>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum PathStep {
    Key(String),
    FirstItem,
    /// One token of a pointer: the key of an object, or the index in an array.
    Token(String),
}

impl JsonPath {
    /// # Errors
    /// A path with an empty key, or a pointer with an invalid escape.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        if let Some(pointer) = text.strip_prefix('/') {
            if !has_valid_escapes(text) {
                return Err(PathError::Escape(text.to_owned()));
            }
            let unescaped = |token: &str| PathStep::Token(token.replace("~1", "/").replace("~0", "~"));
            return Ok(Self(pointer.split('/').map(unescaped).collect()));
        }
        let mut steps = Vec::new();
        for part in text.split('.') {
            let (key, is_array) = part.strip_suffix("[]").map_or((part, false), |key| (key, true));
            if key.is_empty() {
                return Err(PathError::EmptyKey(text.to_owned()));
            }
            steps.push(PathStep::Key(key.to_owned()));
            if is_array {
                steps.push(PathStep::FirstItem);
            }
        }
        Ok(Self(steps))
    }

    /// Returns the keys, each with whether it selects the first item of its array; `None` for a
    /// pointer.
    pub(super) fn keys(&self) -> Option<Vec<(&str, bool)>> {
        let mut keys: Vec<(&str, bool)> = Vec::with_capacity(self.0.len());
        for step in &self.0 {
            match step {
                PathStep::Key(key) => keys.push((key, false)),
                PathStep::FirstItem => keys.last_mut()?.1 = true,
                PathStep::Token(_) => return None,
            }
        }
        Some(keys)
    }

    /// The path of the document itself.
    pub const fn root() -> Self {
        Self(Vec::new())
    }

    /// Returns the value as written in the document; `None` if absent, or if the document is not
    /// JSON.
    pub fn raw<'a>(&self, document: &'a [u8]) -> Option<&'a str> {
        let text = trimmed(document)?;
        let means_first = matches!(self.0.first(), Some(PathStep::Key(_) | PathStep::FirstItem));
        let start = if text.starts_with('[') && means_first { first_item(text)? } else { text };
        self.0.iter().try_fold(start, |raw, step| match step {
            PathStep::Key(key) => member(raw, key),
            PathStep::FirstItem => first_item(raw),
            PathStep::Token(token) => at_token(raw, token),
        })
    }

    pub fn find(&self, document: &[u8]) -> PathValue {
        self.raw(document).map_or(PathValue::Absent, PathValue::from_raw)
    }

    /// Returns the values at the path in every item of the arrays along it; `None` if an item has
    /// no value there, if there are no items, or if an array has more than `MAX_ITEMS`.
    pub fn every(&self, document: &[u8]) -> Option<Vec<PathValue>> {
        let text = trimmed(document)?;
        let is_pointer = matches!(self.0.first(), Some(PathStep::Token(_)));
        let mut raws = if text.starts_with('[') && !is_pointer { items(text)? } else { vec![text] };
        for step in &self.0 {
            raws = match step {
                PathStep::Key(key) => raws.into_iter().map(|raw| member(raw, key)).collect::<Option<_>>()?,
                PathStep::FirstItem => raws.into_iter().map(items).collect::<Option<Vec<_>>>()?.concat(),
                PathStep::Token(token) => {
                    raws.into_iter().map(|raw| at_token(raw, token)).collect::<Option<_>>()?
                }
            };
        }
        (!raws.is_empty()).then(|| raws.into_iter().map(PathValue::from_raw).collect())
    }
}

impl std::fmt::Display for JsonPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (place, step) in self.0.iter().enumerate() {
            match step {
                PathStep::Key(key) if place == 0 => f.write_str(key)?,
                PathStep::Key(key) => write!(f, ".{key}")?,
                PathStep::FirstItem => f.write_str("[]")?,
                PathStep::Token(token) => write!(f, "/{}", token.replace('~', "~0").replace('/', "~1"))?,
            }
        }
        Ok(())
    }
}

/// Resolves one token of a pointer.
fn at_token<'a>(raw: &'a str, token: &str) -> Option<&'a str> {
    if !raw.starts_with('[') {
        return member(raw, token);
    }
    // An array index has no leading zeros.
    let is_place =
        token == "0" || (!token.starts_with('0') && token.bytes().all(|byte| byte.is_ascii_digit()));
    let place = token.parse::<usize>().ok().filter(|_| is_place)?;
    whole(ItemAt { place }, raw)?
}

/// Returns an object's first key that is not in `except`.
pub fn first_key_except(object: &str, except: &[String]) -> Option<String> {
    if !object.starts_with('{') {
        return None;
    }
    let mut keys = KeyExcept { except, found: None };
    whole(&mut keys, object)?;
    keys.found
}

/// Returns the value of a key: the last of duplicate keys wins.
pub fn member<'a>(object: &'a str, key: &str) -> Option<&'a str> {
    if !object.starts_with('{') {
        return None;
    }
    whole(MemberNamed { key }, object)?
}

/// Reads a whole document; trailing text is an error.
fn whole<'de, S: DeserializeSeed<'de>>(seed: S, text: &'de str) -> Option<S::Value> {
    let mut document = serde_json::Deserializer::from_str(text);
    let value = seed.deserialize(&mut document).ok()?;
    document.end().ok().map(|()| value)
}

/// Strips the byte order mark and JSON white space (which excludes form feeds).
fn trimmed(document: &[u8]) -> Option<&str> {
    Some(std::str::from_utf8(without_mark(document)).ok()?.trim_matches(BLANKS))
}

/// Returns the first item of an array, as written.
pub fn first_item(array: &str) -> Option<&str> {
    let mut first = ItemReader { items: Vec::with_capacity(1), limit: 1, rest: SurplusRule::Skipped };
    read_items(array, &mut first)?;
    first.items.first().copied()
}

/// Returns the items of an array, as written; `None` if there are more than `MAX_ITEMS`.
pub fn items(array: &str) -> Option<Vec<&str>> {
    let mut items = ItemReader { items: Vec::new(), limit: MAX_ITEMS, rest: SurplusRule::Rejected };
    read_items(array, &mut items)?;
    Some(items.items)
}

fn read_items<'a>(array: &'a str, items: &mut ItemReader<'a>) -> Option<()> {
    if !array.starts_with('[') {
        return None;
    }
    whole(items, array)
}

/// Reads items up to a limit.
struct ItemReader<'a> {
    items: Vec<&'a str>,
    limit: usize,
    rest: SurplusRule,
}

/// The treatment of items beyond the limit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SurplusRule {
    Skipped,
    Rejected,
}

impl<'de> DeserializeSeed<'de> for &mut ItemReader<'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for &mut ItemReader<'de> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while self.items.len() < self.limit {
            match items.next_element::<&RawValue>()? {
                Some(item) => self.items.push(item.get()),
                None => return Ok(()),
            }
        }
        while items.next_element::<IgnoredAny>()?.is_some() {
            if self.rest == SurplusRule::Rejected {
                return Err(A::Error::custom("too many items"));
            }
        }
        Ok(())
    }
}

/// Finds the item at an index.
struct ItemAt {
    place: usize,
}

impl<'de> DeserializeSeed<'de> for ItemAt {
    type Value = Option<&'de str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for ItemAt {
    type Value = Option<&'de str>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        for _ in 0..self.place {
            if items.next_element::<IgnoredAny>()?.is_none() {
                return Ok(None);
            }
        }
        let found = items.next_element::<&RawValue>()?.map(RawValue::get);
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(found)
    }
}

struct MemberNamed<'k> {
    key: &'k str,
}

impl<'de> DeserializeSeed<'de> for MemberNamed<'_> {
    type Value = Option<&'de str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for MemberNamed<'_> {
    type Value = Option<&'de str>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key()? {
            if key_text(key).is_some_and(|key| key == self.key) {
                found = Some(map.next_value::<&RawValue>()?.get());
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

struct KeyExcept<'a> {
    except: &'a [String],
    found: Option<String>,
}

impl<'de> DeserializeSeed<'de> for &mut KeyExcept<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut KeyExcept<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key()? {
            map.next_value::<IgnoredAny>()?;
            if self.found.is_none() {
                let is_excepted = |key: &str| self.except.iter().any(|except| except == key);
                self.found = key_text(key).filter(|key| !is_excepted(key)).map(Cow::into_owned);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
