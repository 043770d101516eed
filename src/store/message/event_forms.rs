//! Comparison of an event with a stored one that has the same id and came in the other of its two forms: with attributes in
//! headers and data in the body, or with both in a JSON document (CloudEvents in binary and structured mode).

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rusqlite::{Connection, OptionalExtension as _};
use serde::de::IgnoredAny;

use crate::json::{self, lookup};
use crate::store::message::content::MessageContent;
use crate::store::message::new::{Identity, NewMessage};

/// Larger data must be written in the same way, except for white space: comparison by value reads it repeatedly.
const MAX_COMPARED_BYTES: usize = 1 << 20;

/// Whether the stored message `of` is the same event in its other form. An event with other data is not: it would be lost.
pub fn is_other_form_of(connection: &Connection, of: i64, message: &NewMessage) -> rusqlite::Result<bool> {
    let Identity::EventId { mark, .. } = message.identity else { return Ok(false) };
    let stored = connection
        .prepare_cached("SELECT event, headers, payload, body FROM messages WHERE id = ?1")?
        .query_row([of], |row| {
            Ok(Stored { event: row.get(0)?, headers: row.get(1)?, payload: row.get(2)?, body: row.get(3)? })
        })
        .optional()?;
    let Some(stored) = stored.filter(|stored| stored.event == message.event) else { return Ok(false) };
    let (new, old) = (Form::of(&message.content), stored.form());
    Ok(match (has_header(&message.headers, mark), has_header(&stored.headers, mark)) {
        (Some(true), Some(false)) => is_same(&new, &old),
        (Some(false), Some(true)) => is_same(&old, &new),
        _ => false,
    })
}

struct Stored {
    event: String,
    headers: String,
    payload: Option<String>,
    body: Option<Vec<u8>>,
}

impl Stored {
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

fn has_header(headers: &str, name: &str) -> Option<bool> {
    let headers: HashMap<String, IgnoredAny> = serde_json::from_str(headers).ok()?;
    Some(headers.contains_key(name))
}

/// Whether the document of an event has the data of the event whose attributes are in headers.
fn is_same(binary: &Form<'_>, structured: &Form<'_>) -> bool {
    let Some(document) = structured.payload.and_then(|text| json::document(text.as_bytes()).ok()) else {
        return false;
    };
    let has_json = |wanted: &str| binary.payload.is_some_and(|payload| is_same_json(payload, wanted));
    // A structured event may have the headers too.
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
            assert_eq!(is_same(&form(binary), &form(structured)), expected, "{binary} {structured}");
        }
    }
}
