//! The members of an object in document order, as raw text.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::strings::text_of;

/// Limit on the members of an object that is read as a whole, far above the number in any real
/// message. A member takes about 100 bytes of memory, but may be only five bytes of JSON.
pub const MAX_MEMBERS: usize = 10_000;

/// An object. The last of duplicate keys wins, at the position of the first.
#[derive(Debug, Default)]
pub struct Object<'a> {
    members: Vec<(&'a str, &'a str)>,
    places: HashMap<MemberName<'a>, usize>,
}

/// A key. A key with a lone surrogate equals only an identically written one.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) enum MemberName<'a> {
    Text(Cow<'a, str>),
    Odd(&'a str),
}

impl<'a> MemberName<'a> {
    /// Decodes a raw key.
    pub fn of(key: &'a str) -> Self {
        text_of(key).map_or(Self::Odd(key), Self::Text)
    }
}

impl<'a> Object<'a> {
    /// Parses a raw value; `None` if it is not an object, or has more than [`MAX_MEMBERS`] members.
    pub fn read(raw: &'a str) -> Option<Self> {
        if !raw.starts_with('{') {
            return None;
        }
        let mut object = Self::default();
        let mut document = serde_json::Deserializer::from_str(raw);
        MemberReader(&mut object).deserialize(&mut document).ok()?;
        document.end().ok().map(|()| object)
    }

    /// Returns the raw keys (with quotes) and raw values.
    pub fn members(&self) -> impl Iterator<Item = (&'a str, &'a str)> + '_ {
        self.members.iter().copied()
    }

    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Returns the raw value of a key.
    pub fn get(&self, key: &str) -> Option<&'a str> {
        let place = self.places.get(&MemberName::Text(Cow::Borrowed(key)))?;
        self.members.get(*place).map(|(_, value)| *value)
    }

    /// Returns the value of a key if it is a string with valid Unicode.
    pub fn text(&self, key: &str) -> Option<Cow<'a, str>> {
        self.get(key).and_then(text_of)
    }

    fn insert(&mut self, key: &'a str, value: &'a str) {
        let next = self.members.len();
        let place = *self.places.entry(MemberName::of(key)).or_insert(next);
        match self.members.get_mut(place) {
            Some(member) => member.1 = value,
            None => self.members.push((key, value)),
        }
    }
}

struct MemberReader<'o, 'a>(&'o mut Object<'a>);

impl<'de> DeserializeSeed<'de> for MemberReader<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for MemberReader<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((key, value)) = map.next_entry::<&RawValue, &RawValue>()? {
            self.0.insert(key.get(), value.get());
            if self.0.len() > MAX_MEMBERS {
                return Err(A::Error::custom("too many members"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_keep_order_and_last_value_counts() {
        let object = Object::read(r#"{"b":1.10,"a":"x","\u0062":2.0,"\ud800":1,"c":{"a":1}}"#).unwrap();
        let members: Vec<_> = object.members().collect();
        assert_eq!(
            members,
            [("\"b\"", "2.0"), ("\"a\"", "\"x\""), (r#""\ud800""#, "1"), ("\"c\"", r#"{"a":1}"#)]
        );
        assert_eq!(
            (object.get("b"), object.text("a").as_deref(), object.text("b")),
            (Some("2.0"), Some("x"), None)
        );
        assert_eq!(object.len(), 4);
        assert!(Object::read("[]").is_none() && Object::read("{").is_none() && Object::read("{}x").is_none());
        assert!(Object::read("{}").unwrap().members.is_empty());
    }

    #[test]
    fn object_with_too_many_members_is_not_read() {
        let of = |count: usize| {
            let members: Vec<String> = (0..count).map(|number| format!("\"{number}\":1")).collect();
            format!("{{{}}}", members.join(","))
        };
        assert_eq!(Object::read(&of(MAX_MEMBERS)).unwrap().len(), MAX_MEMBERS);
        assert!(Object::read(&of(MAX_MEMBERS + 1)).is_none());
    }
}
