//! Compares an event with a stored event that has the same id and arrived in the other form. The
//! forms are the two modes of CloudEvents: binary, with attributes in headers and data in the body,
//! and structured, with both in one JSON document.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rusqlite::{Connection, OptionalExtension as _};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::json::{self, Object, lookup};
use crate::store::headers::{self, StoredHeaders};
use crate::store::id::MessageId;
use crate::store::message::content::MessageContent;
use crate::store::message::new::{Identity, NewMessage};

/// Maximum size of data that is compared by value, which reads the data repeatedly. Larger data is
/// equal only if its text is, except for white space.
const MAX_COMPARED_BYTES: usize = 1 << 20;
/// Prefix of the headers of attributes.
const ATTRIBUTE_PREFIX: &str = "ce-";
/// Members that are not compared as attributes: the id and source are the key, the type is the
/// event, the version and the content type describe the form, and the rest is the data.
const NOT_COMPARED: [&str; 8] =
    ["id", "source", "type", "specversion", "datacontenttype", "datacontentencoding", "data", "data_base64"];

/// Whether the stored message `of` is the same event in its other form. An event with other data is
/// a different event: it would be lost if it were dropped as a duplicate.
pub fn is_other_form_of(
    connection: &Connection,
    of: MessageId,
    message: &NewMessage,
) -> rusqlite::Result<bool> {
    let Identity::EventId { mark, .. } = message.identity else { return Ok(false) };
    let stored = connection
        .prepare_cached("SELECT event, headers, payload, body FROM messages WHERE id = ?1")?
        .query_row([of], |row| {
            Ok(StoredForm {
                event: row.get(0)?,
                headers: row.get(1)?,
                payload: row.get(2)?,
                body: row.get(3)?,
            })
        })
        .optional()?;
    let Some(stored) = stored.filter(|stored| stored.event == message.event) else { return Ok(false) };
    let (new, old) = (Form::of(&message.content), stored.form());
    let (Some(new_headers), Some(old_headers)) =
        (StoredHeaders::parse(&message.headers), StoredHeaders::parse(&stored.headers))
    else {
        return Ok(false);
    };
    Ok(match (new_headers.first(mark).is_some(), old_headers.first(mark).is_some()) {
        (true, false) => is_same(&new, &new_headers, &old),
        (false, true) => is_same(&old, &old_headers, &new),
        _ => false,
    })
}

struct StoredForm {
    event: String,
    headers: String,
    payload: Option<String>,
    body: Option<Vec<u8>>,
}

impl StoredForm {
    fn form(&self) -> Form<'_> {
        let payload = self.payload.as_deref();
        let bytes = self.body.as_deref().or(payload.map(str::as_bytes));
        Form { payload, bytes: bytes.unwrap_or_default() }
    }
}

/// The content of an event.
struct Form<'a> {
    payload: Option<&'a str>,
    bytes: &'a [u8],
}

impl<'a> Form<'a> {
    fn of(content: &'a MessageContent) -> Self {
        let bytes = match content {
            MessageContent::Json(body)
            | MessageContent::Decoded { body, .. }
            | MessageContent::Unreadable { body, .. } => body,
        };
        let payload = content.payload().and_then(|payload| std::str::from_utf8(payload).ok());
        Self { payload, bytes }
    }
}

/// Whether a structured event has the same data and attributes as a binary event with these
/// headers.
fn is_same(binary: &Form<'_>, headers: &StoredHeaders<'_>, structured: &Form<'_>) -> bool {
    let Some(document) = structured.payload.and_then(|text| json::document(text.as_bytes()).ok()) else {
        return false;
    };
    let has_json = |wanted: &str| binary.payload.is_some_and(|payload| is_same_json(payload, wanted));
    // A structured event can have the attributes in headers as well, and then counts as the binary
    // one here. In this case both bodies are the same document.
    if has_json(document) {
        return true;
    }
    let event = match document.starts_with('[') {
        true => match lookup::items(document).as_deref() {
            Some([event]) => *event,
            _ => return false,
        },
        false => document,
    };
    has_attributes(event, headers) && has_data(binary, event)
}

/// Whether a structured event has exactly the attributes in the headers.
fn has_attributes(event: &str, headers: &StoredHeaders<'_>) -> bool {
    let Some(object) = Object::read(event) else { return false };
    let is_compared = |name: &str| !NOT_COMPARED.contains(&name);
    let written = |(name, value): (&str, &str)| {
        let text = json::text_of(value).unwrap_or_else(|| json::compact(value).into());
        (json::text_lossy(name).to_ascii_lowercase(), text.into_owned())
    };
    let mut members: HashMap<String, String> =
        object.members().filter(|(_, value)| *value != "null").map(written).collect();
    members.retain(|name, value| is_compared(name) && !value.is_empty());
    let mut count = 0;
    for (field, value) in headers.pairs() {
        let Some(name) = field.strip_prefix(ATTRIBUTE_PREFIX).filter(|name| is_compared(name)) else {
            continue;
        };
        if headers.values(field).nth(1).is_some() {
            return false;
        }
        let value = headers::readable(value).trim();
        if value.is_empty() {
            continue;
        }
        if !members.get(name).is_some_and(|member| is_same_attribute(member, value)) {
            return false;
        }
        count += 1;
    }
    count == members.len()
}

/// Compares an attribute in a document with one in a header. Header values are percent-encoded,
/// although some senders omit this; older versions of the specification put them in double quotes.
/// Converters between the forms write times in their own format.
fn is_same_attribute(member: &str, header: &str) -> bool {
    let unquoted = header.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')).unwrap_or(header);
    let time = |text: &str| OffsetDateTime::parse(text, &Rfc3339).ok();
    [header, unquoted].contains(&member)
        || percent_decoded(unquoted).as_deref() == Some(member)
        || time(member).is_some_and(|at| time(unquoted) == Some(at))
}

fn percent_decoded(text: &str) -> Option<String> {
    let digit = |byte: Option<&u8>| char::from(*byte?).to_digit(16);
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        bytes.push(match (first, digit(after.first()), digit(after.get(1))) {
            (b'%', Some(high), Some(low)) => {
                rest = &after[2..];
                u8::try_from(high * 16 + low).ok()?
            }
            _ => *first,
        });
    }
    String::from_utf8(bytes).ok()
}

fn has_data(binary: &Form<'_>, event: &str) -> bool {
    let has_json = |wanted: &str| binary.payload.is_some_and(|payload| is_same_json(payload, wanted));
    match (lookup::member(event, "data"), lookup::member(event, "data_base64")) {
        (None, None) => binary.bytes.is_empty(),
        (Some("null"), None) => binary.bytes.is_empty() || has_json("null"),
        (Some(data), None) => {
            has_json(data) || json::text_of(data).is_some_and(|text| text.as_bytes() == binary.bytes)
        }
        (None, Some(data)) => json::text_of(data)
            .and_then(|text| STANDARD.decode(text.as_bytes()).ok())
            .is_some_and(|data| data == binary.bytes),
        (Some(_), Some(_)) => false,
    }
}

fn is_same_json(one: &str, other: &str) -> bool {
    let (Ok(one), Ok(other)) = (json::document(one.as_bytes()), json::document(other.as_bytes())) else {
        return false;
    };
    let is_small = one.len().max(other.len()) <= MAX_COMPARED_BYTES;
    one == other || json::compact(one) == json::compact(other) || (is_small && json::same(one, other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_compared_between_both_forms() {
        let form = |body: &'static str| Form {
            payload: json::accepts(body.as_bytes()).then_some(body),
            bytes: body.as_bytes(),
        };
        for (binary, structured, expected) in [
            (r#"{"a":1,"b":[2]}"#, r#"{"id":"1","data":{ "b":[2.0], "a":1}}"#, true),
            (r#"{"a":1}"#, r#"[{"id":"1","data":{"a":1}}]"#, true),
            (r#"{"a":1}"#, r#"{"id":"1","data":{"a":2}}"#, false),
            (r#"{"a":9007199254740993}"#, r#"{"data":{"a":9007199254740992}}"#, false),
            (r#"{"a":1}"#, r#"[{"data":{"a":1}},{"data":{"a":2}}]"#, false),
            (r#"{"a":1}"#, r#"{"data":{"a":1},"data_base64":"e30="}"#, false),
            (r#"{"a":1}"#, r#"{"id":"1"}"#, false),
            (r#"{"a":1}"#, "<event/>", false),
            ("", r#"{"id":"1"}"#, true),
            ("", r#"{"data":null}"#, true),
            ("null", r#"{"data":null}"#, true),
            ("", r#"{"data":{}}"#, false),
            ("<a/>", r#"{"data":"<a/>"}"#, true),
            ("<b/>", r#"{"data":"<a/>"}"#, false),
            ("<a/>", r#"{"data_base64":"PGEvPg=="}"#, true),
            ("<a/>", r#"{"data_base64":"PGIvPg=="}"#, false),
            ("<a/>", r#"{"data_base64":"?"}"#, false),
            (r#"{"id":"1","data":1}"#, r#"{"id":"1", "data":1}"#, true),
            ("\"\\ud800\"", "{\"data\":\"\\ud801\"}", false),
        ] {
            assert_eq!(
                is_same(&form(binary), &StoredHeaders::default(), &form(structured)),
                expected,
                "{binary} {structured}"
            );
        }
    }

    #[test]
    fn attributes_are_compared_between_both_forms() {
        for (headers, event, expected) in [
            (
                r#"{"ce-id":"1","host":"h"}"#,
                r#"{"id":"1","specversion":"1.0","datacontenttype":"a/b"}"#,
                true,
            ),
            (r#"{"ce-subject":"x"}"#, r#"{"subject":"x"}"#, true),
            (r#"{"ce-subject":"x"}"#, r#"{"subject":"y"}"#, false),
            (r#"{"ce-subject":"x"}"#, "{}", false),
            ("{}", r#"{"subject":"x"}"#, false),
            (r#"{"ce-subject":""}"#, r#"{"subject":null}"#, true),
            (r#"{"ce-subject":["x","x"]}"#, r#"{"subject":"x"}"#, false),
            (r#"{"ce-tenant":"a"}"#, r#"{"tenant":"b"}"#, false),
            (r#"{"ce-count":"7","ce-is":"true"}"#, r#"{"count":7,"is":true}"#, true),
            (r#"{"ce-count":"7"}"#, r#"{"count":8}"#, false),
            (r#"{"ce-subject":"gr%C3%BCn%20%25"}"#, r#"{"subject":"grün %"}"#, true),
            (r#"{"ce-subject":"\u001agr\u00fcn"}"#, r#"{"subject":"grün"}"#, true),
            (r#"{"ce-subject":"50%"}"#, r#"{"subject":"50%"}"#, true),
            (r#"{"ce-subject":"\"x\""}"#, r#"{"subject":"x"}"#, true),
            (r#"{"ce-time":"2018-04-05T17:31:00.000Z"}"#, r#"{"time":"2018-04-05T19:31:00+02:00"}"#, true),
            (r#"{"ce-time":"2018-04-05T17:31:00Z"}"#, r#"{"time":"2018-04-05T17:31:01Z"}"#, false),
        ] {
            let stored = StoredHeaders::parse(headers).unwrap();
            assert_eq!(has_attributes(event, &stored), expected, "{headers} {event}");
        }
    }
}
