//! The stored head of a request, with its secrets removed.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::store::headers::{REDACTED, text};

/// Headers that carry credentials for any provider.
const ALWAYS_SECRET: [&str; 3] = ["authorization", "proxy-authorization", "cookie"];
/// Options of `Connection` that name no header field, or a hop-by-hop field that is never
/// forwarded.
const CONNECTION_OPTIONS: [&str; 6] = ["", "close", "keep-alive", "upgrade", "te", "http2-settings"];

/// The header and query fields of one source that hold credentials.
#[derive(Clone, Debug)]
pub struct Redaction {
    /// Names in lower case.
    headers: Vec<String>,
    query: Vec<String>,
}

impl Redaction {
    /// Creates the redaction of a source. The names in `headers` must be in lower case.
    pub fn new(headers: &[String], query: &[String]) -> Self {
        let headers = ALWAYS_SECRET.iter().map(ToString::to_string).chain(headers.iter().cloned()).collect();
        Self { headers, query: query.to_vec() }
    }

    /// Returns the header fields as a JSON object: name to value, or to an array of values for a
    /// repeated field. Fields of the same name must be adjacent. Omits fields that concern only the
    /// connection.
    pub fn headers(&self, fields: &[(&str, &[u8])]) -> String {
        let mut json = Vec::with_capacity(
            fields.iter().map(|(name, value)| name.len() + value.len() + 8).sum::<usize>() + 2,
        );
        json.push(b'{');
        for repeats in fields.chunk_by(|(before, _), (after, _)| before == after) {
            let name = repeats[0].0;
            if concerns_connection_only(name, repeats) {
                continue;
            }
            if json.len() > 1 {
                json.push(b',');
            }
            write_string(&mut json, name);
            json.push(b':');
            let is_secret = self.is_secret_header(name);
            let write_value = |json: &mut Vec<u8>, value| {
                write_string(json, &if is_secret { Cow::Borrowed(REDACTED) } else { text(value) });
            };
            match repeats {
                [(_, value)] => write_value(&mut json, value),
                several => {
                    for (place, (_, value)) in several.iter().enumerate() {
                        json.push(if place == 0 { b'[' } else { b',' });
                        write_value(&mut json, value);
                    }
                    json.push(b']');
                }
            }
        }
        json.push(b'}');
        String::from_utf8(json).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }

    /// Returns the query without its secrets; `None` if there is no query.
    pub fn query<'a>(&self, query: &'a str) -> Option<Cow<'a, str>> {
        if query.is_empty() {
            return None;
        }
        if !query.split('&').any(|field| self.is_secret_field(field)) {
            return Some(Cow::Borrowed(query));
        }
        let show = |field: &'a str| match field.split_once('=') {
            Some((name, _)) if self.is_secret_field(field) => Cow::Owned(format!("{name}={REDACTED}")),
            _ => Cow::Borrowed(field),
        };
        Some(Cow::Owned(query.split('&').map(show).collect::<Vec<_>>().join("&")))
    }

    /// Returns the original values of the redacted headers, and the whole query if it has a
    /// redacted field, as JSON; `None` if nothing is redacted.
    pub fn credentials(&self, fields: &[(&str, &[u8])], query: &str) -> Option<String> {
        let mut headers = Map::new();
        for (name, value) in fields.iter().filter(|(name, _)| self.is_secret_header(name)) {
            let values = headers.entry(*name).or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(values) = values {
                values.push(Value::String(text(value).into_owned()));
            }
        }
        let has_secret_query = query.split('&').any(|field| self.is_secret_field(field));
        if headers.is_empty() && !has_secret_query {
            return None;
        }
        let mut credentials = Map::new();
        credentials.insert("headers".to_owned(), Value::Object(headers));
        if has_secret_query {
            credentials.insert("query".to_owned(), Value::String(query.to_owned()));
        }
        Some(Value::Object(credentials).to_string())
    }

    fn is_secret_header(&self, name: &str) -> bool {
        self.headers.iter().any(|secret| secret == name)
    }

    /// Whether a query field holds a credential. A name without `=` has no value.
    fn is_secret_field(&self, field: &str) -> bool {
        if self.query.is_empty() || !field.contains('=') {
            return false;
        }
        let name = form_urlencoded::parse(field.as_bytes()).next().map(|(name, _)| name);
        name.is_some_and(|name| self.query.iter().any(|secret| *secret == name))
    }
}

/// Whether a field concerns only the connection: `Upgrade`, and `Connection` unless it names other
/// fields. Such a `Connection` is stored, because deliveries must not forward the fields that it
/// names.
fn concerns_connection_only(name: &str, repeats: &[(&str, &[u8])]) -> bool {
    let is_option = |option: &[u8]| {
        let option = option.trim_ascii();
        CONNECTION_OPTIONS.iter().any(|known| option.eq_ignore_ascii_case(known.as_bytes()))
    };
    match name {
        "upgrade" => true,
        "connection" => repeats.iter().all(|(_, value)| value.split(|byte| *byte == b',').all(is_option)),
        _ => false,
    }
}

fn write_string(json: &mut Vec<u8>, text: &str) {
    let needs_no_escape = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
    if text.bytes().all(needs_no_escape) {
        json.push(b'"');
        json.extend_from_slice(text.as_bytes());
        json.push(b'"');
        return;
    }
    // Writing text into a vector cannot fail.
    let _ = serde_json::to_writer(json, text);
}

#[cfg(test)]
mod tests {
    use super::*;

    type RedactionFields = &'static [(&'static str, &'static [u8])];

    fn redaction() -> Redaction {
        Redaction::new(&["x-token".to_owned()], &["key".to_owned()])
    }

    #[test]
    fn headers_become_an_object_with_repeats_as_arrays() {
        let rows: [(RedactionFields, &str); 5] = [
            (&[], "{}"),
            (&[("a", b"1"), ("b", b"2")], r#"{"a":"1","b":"2"}"#),
            (&[("a", b"1"), ("a", b"2"), ("b", b"3")], r#"{"a":["1","2"],"b":"3"}"#),
            (&[("a", b"say \"\\\t")], r#"{"a":"say \"\\\t"}"#),
            (&[("a", b"gr\xfcn"), ("b", b"gr\xc3\xbcn")], r#"{"a":"\u001agrün","b":"grün"}"#),
        ];
        for (fields, json) in rows {
            assert_eq!(redaction().headers(fields), json);
        }
    }

    #[test]
    fn fields_of_the_connection_are_omitted() {
        let rows: [(RedactionFields, &str); 4] = [
            (&[("connection", b"Upgrade, HTTP2-Settings"), ("upgrade", b"h2c")], "{}"),
            (
                &[("a", b"1"), ("connection", b"close"), ("connection", b" \t,keep-alive"), ("b", b"2")],
                r#"{"a":"1","b":"2"}"#,
            ),
            (&[("connection", b""), ("upgrade", b"   ")], "{}"),
            (&[("connection", b"close, x-a"), ("x-a", b"1")], r#"{"connection":"close, x-a","x-a":"1"}"#),
        ];
        for (fields, json) in rows {
            assert_eq!(redaction().headers(fields), json);
        }
    }

    #[test]
    fn only_credentials_are_removed_from_the_headers() {
        let fields: [(&str, &[u8]); 6] = [
            ("authorization", b"Bearer s1"),
            ("cookie", b"s2"),
            ("cookie", b"s3"),
            ("proxy-authorization", b"s4"),
            ("x-token", b"s5"),
            ("x-hub-signature-256", b"sha256=00"),
        ];
        assert_eq!(
            redaction().headers(&fields),
            r#"{"authorization":"[redacted]","cookie":["[redacted]","[redacted]"],"proxy-authorization":"[redacted]","x-token":"[redacted]","x-hub-signature-256":"sha256=00"}"#
        );
    }

    #[test]
    fn credentials_are_removed_from_the_query_in_any_spelling() {
        let rows = [
            ("", None),
            ("id=1", Some("id=1")),
            ("id=1&key=s1&x", Some("id=1&key=[redacted]&x")),
            ("k%65y=s1&key=s2", Some("k%65y=[redacted]&key=[redacted]")),
            ("key", Some("key")),
            ("keys=1&%ff=%zz", Some("keys=1&%ff=%zz")),
        ];
        for (query, shown) in rows {
            assert_eq!(redaction().query(query).as_deref(), shown, "{query}");
        }
    }

    #[test]
    fn redacted_originals_can_be_stored_separately() {
        let fields: [(&str, &[u8]); 3] = [("x-token", b"s1"), ("x-token", b"s\xfc"), ("accept", b"*/*")];
        assert_eq!(redaction().credentials(&fields[2..], "id=1"), None);
        assert_eq!(redaction().credentials(&[], "key&id=1"), None, "without a value");
        assert_eq!(
            redaction().credentials(&fields, "").as_deref(),
            Some(r#"{"headers":{"x-token":["s1","\u001asü"]}}"#)
        );
        assert_eq!(
            redaction().credentials(&[], "key=s2").as_deref(),
            Some(r#"{"headers":{},"query":"key=s2"}"#)
        );
    }
}
