//! CloudEvents (HTTP protocol binding 1.0.2): the type and the id of an event in binary, structured
//! and batched mode.

use std::borrow::Cow;

use crate::json::{self, PathError, PathValue, PathValues, Paths, Slot};
use crate::scheme::encoding::Encoding;

use super::joined_id::join_parts;
use crate::content::request::Request;

/// The common prefix of all content types of the structured and the batched mode.
const STRUCTURED_TYPE: &[u8] = b"application/cloudevents";
/// A header that events have in binary mode, and not in structured or batched mode.
pub(super) const BINARY_MARK: &str = "ce-id";

/// Places of the attributes of a structured event or of the items of a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct EventSlots {
    version: Slot,
    /// The type of the first item.
    event_type: Slot,
    /// The sources of all items.
    source: Slot,
    id: Slot,
}

/// An event, or a batch of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct CloudEvent<'a> {
    pub event_type: Option<Cow<'a, str>>,
    /// Source and id: an id is unique for its source only.
    pub id: Option<String>,
}

impl EventSlots {
    /// Adds the paths of the attributes.
    ///
    /// # Errors
    /// Another field of the recipe expects an object where an attribute is a value.
    pub fn add_to(paths: &mut Paths) -> Result<Self, PathError> {
        Ok(Self {
            version: paths.add("specversion")?,
            event_type: paths.add("type")?,
            source: paths.add_every("source")?,
            id: paths.add_every("id")?,
        })
    }

    /// Reads the type and id; `None` if the request is not an event. With the content type of the
    /// structured or batched mode, the JSON body is read first, and the headers of the binary mode
    /// only if the body has no event type, e.g. because it is not JSON. Otherwise the headers are
    /// read first.
    pub fn read<'a>(self, request: &Request<'a>, json: Option<&'a PathValues>) -> Option<CloudEvent<'a>> {
        if is_declared(request) {
            return self.structured(json, true).or_else(|| binary(request));
        }
        binary(request).or_else(|| self.structured(json, false))
    }

    fn structured(self, json: Option<&PathValues>, is_declared: bool) -> Option<CloudEvent<'_>> {
        let text = |slot: Slot| match json?.get(slot) {
            PathValue::Text(text) | PathValue::Number(text) if !text.is_empty() => Some(text.as_str()),
            _ => None,
        };
        let event_type = text(self.event_type)?;
        (is_declared || text(self.version).is_some()).then(|| CloudEvent {
            event_type: Some(Cow::Borrowed(event_type)),
            id: id(text(self.source), text(self.id)),
        })
    }
}

fn is_declared(request: &Request<'_>) -> bool {
    let content_type = request.headers.0.iter().find(|(name, _)| *name == "content-type");
    content_type.is_some_and(|(_, value)| {
        let value = value.trim_ascii();
        value.get(..STRUCTURED_TYPE.len()).is_some_and(|start| start.eq_ignore_ascii_case(STRUCTURED_TYPE))
    })
}

fn binary<'a>(request: &Request<'a>) -> Option<CloudEvent<'a>> {
    let attribute = |name: &str| {
        let value = decoded(request.headers.single(name).ok()??);
        (!value.is_empty()).then_some(value)
    };
    let of_id = |value: Option<Cow<'a, str>>| value.map(json::unlike_batch);
    let (event_type, event_id) = (attribute("ce-type"), attribute(BINARY_MARK));
    if event_type.is_none() && event_id.is_none() {
        return None;
    }
    let (source, event_id) = (of_id(attribute("ce-source")), of_id(event_id));
    Some(CloudEvent { event_type, id: id(source.as_deref(), event_id.as_deref()) })
}

fn id(source: Option<&str>, id: Option<&str>) -> Option<String> {
    // Colons stay in the source, which is usually a URI with a scheme.
    Some(join_parts(&[source?, id?], 0))
}

/// Decodes an attribute in a header (section 3.1.3.2): removes the double quotes that older
/// versions of the specification required, then percent-decodes once. Percent-escapes stay if the
/// result would not be UTF-8. A value that is not UTF-8 is read as Latin-1: the SDK for JavaScript
/// does not encode, and Node.js sends Latin-1. Such a value keeps its quotes.
fn decoded(value: &[u8]) -> Cow<'_, str> {
    let latin_1 = || -> String { value.iter().copied().map(char::from).collect() };
    let unquoted = match std::str::from_utf8(value) {
        Ok(text) => unquoted(text),
        Err(_) => Cow::Owned(latin_1()),
    };
    if !unquoted.contains('%') {
        return unquoted;
    }
    let mut bytes = Vec::with_capacity(unquoted.len());
    let mut rest = unquoted.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|_| *first == b'%');
        let escaped = digits.and_then(|digits| Encoding::Hex.decode_any(digits));
        rest = if escaped.is_some() { &after[2..] } else { after };
        match escaped {
            Some(byte) => bytes.extend(byte),
            None => bytes.push(*first),
        }
    }
    String::from_utf8(bytes).map_or(unquoted, Cow::Owned)
}

/// Removes the quotes of quoted strings in a value (RFC 7230, section 3.2.6).
fn unquoted(value: &str) -> Cow<'_, str> {
    if !value.contains('"') {
        return Cow::Borrowed(value);
    }
    let mut text = String::with_capacity(value.len());
    let mut is_inside = false;
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => is_inside = !is_inside,
            '\\' if is_inside => text.extend(characters.next()),
            other => text.push(other),
        }
    }
    // An unmatched quote is part of the value.
    if is_inside { Cow::Borrowed(value) } else { Cow::Owned(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_value_is_unquoted_and_percent_decoded_once() {
        for (sent, text) in [
            ("plain", "plain"),
            ("Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro \u{20ac} \u{1f600}"),
            ("com.example.gr%c3%b6%C3%9Fe", "com.example.größe"),
            ("50%25%20%22off%22", "50% \"off\""),
            ("%2541", "%41"),
            ("\"quoted %41 value\"", "quoted A value"),
            (r#""a \"b\" \\c""#, r#"a "b" \c"#),
            ("half\"quoted", "half\"quoted"),
            ("100%", "100%"),
            ("%zz", "%zz"),
            ("%C0%A0", "%C0%A0"),
            ("a%FFb", "a%FFb"),
            ("\"\"", ""),
        ] {
            assert_eq!(decoded(sent.as_bytes()), text, "{sent}");
        }
        assert_eq!(decoded(b"com.example.gr\xf6\xdfe"), "com.example.größe");
    }
}
