//! `_HEADERS`: additional headers of every request. No error shows a value.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

use crate::config::error::ValueError;
use crate::config::parse::shown;
use crate::providers::Secret;

const MAX_HEADERS: usize = 50;
const MAX_NAME_CHARACTERS: usize = 100;
const MAX_VALUE_CHARACTERS: usize = 8_192;
/// Reserved headers: those that describe the request, its connection or its body.
const RESERVED: [&str; 12] = [
    "host",
    "content-length",
    "content-type",
    "content-encoding",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "proxy-connection",
];
/// Prefix of the Standard Webhooks headers.
const SIGNED: &str = "webhook-";

/// Parses `{"Authorization": "Bearer x"}`; returns names in lower case, in the given order.
pub fn from_json(text: &str) -> Result<Vec<(String, Secret)>, ValueError> {
    // The error of `serde_json` can contain a value.
    let HeaderList(fields) = serde_json::from_str(text).map_err(|error| {
        ValueError::new(format!(
            "is not a JSON object of texts like {{\"Authorization\": \"Bearer …\"}} (line {}, character {})",
            error.line(),
            error.column()
        ))
    })?;
    check(fields.iter().map(|(name, value)| (name.as_str(), value.as_str())))?;
    Ok(fields.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), Secret::new_text(value))).collect())
}

/// Validates headers from any input.
pub fn check<'a>(headers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<(), ValueError> {
    let mut seen: Vec<String> = Vec::new();
    for (name, value) in headers {
        check_name(name)?;
        check_value(value)
            .map_err(|problem| ValueError::new(format!("the value of {} {problem}", shown(name))))?;
        let name = name.to_ascii_lowercase();
        if seen.contains(&name) {
            let problem = format!("has the header {} twice", shown(&name));
            return Err(ValueError::new(problem).hint("keep one"));
        }
        seen.push(name);
    }
    if seen.len() > MAX_HEADERS {
        return Err(ValueError::new(format!("has more than {MAX_HEADERS} headers")).hint("remove some"));
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), ValueError> {
    // RFC 9110, section 5.6.2.
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || name.len() > MAX_NAME_CHARACTERS || !name.bytes().all(allowed) {
        return Err(ValueError::new(format!("has {} for a header's name", shown(name)))
            .hint("write it like Authorization or X-Api-Key"));
    }
    let lower = name.to_ascii_lowercase();
    if RESERVED.contains(&lower.as_str()) || lower.starts_with(SIGNED) {
        let problem = format!("has the reserved header {lower}");
        return Err(ValueError::new(problem).hint("remove it"));
    }
    Ok(())
}

fn check_value(value: &str) -> Result<(), &'static str> {
    let allowed = |byte: u8| byte.is_ascii_graphic() || matches!(byte, b' ' | b'\t');
    if !value.bytes().all(allowed) {
        return Err("has characters that are not visible ASCII");
    }
    if value.trim() != value {
        return Err("has white space around it");
    }
    if value.is_empty() {
        return Err("has no characters");
    }
    if value.len() > MAX_VALUE_CHARACTERS {
        return Err("has more than 8192 characters");
    }
    Ok(())
}

/// A JSON object with its duplicate members, which a map would silently drop.
struct HeaderList(Vec<(String, String)>);

impl<'de> Deserialize<'de> for HeaderList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = HeaderList;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of texts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<HeaderList, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(HeaderList(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::from_json;

    #[test]
    fn json_headers_get_lowercase_names() {
        let headers =
            from_json(r#" {"X-Api-Key": "a b", "Authorization": "Bearer x"} "#).expect("good headers");
        let read: Vec<(&str, &[u8])> =
            headers.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
        assert_eq!(read, [("x-api-key", &b"a b"[..]), ("authorization", b"Bearer x")]);
    }

    #[test]
    fn invalid_and_reserved_headers_are_rejected_without_values() {
        let rows = [
            ("Authorization: Bearer hidden", "not a JSON object"),
            (r#"["hidden"]"#, "not a JSON object"),
            (r#"{"a": 5150}"#, "not a JSON object"),
            (r#"{"a": "hidden"} x"#, "not a JSON object"),
            (r#"{"a b": "hidden"}"#, "header's name"),
            (r#"{"": "hidden"}"#, "header's name"),
            (r#"{"ä": "hidden"}"#, "header's name"),
            (r#"{"a": "hidden\r\nb: c"}"#, "the value of \"a\" has characters that are not visible ASCII"),
            (r#"{"a": "hidden ä"}"#, "not visible ASCII"),
            (r#"{"a": " hidden"}"#, "white space around"),
            (r#"{"a": ""}"#, "has no characters"),
            (r#"{"a": "hidden", "A": "hidden"}"#, "twice"),
            (r#"{"a": "hidden", "a": "hidden"}"#, "twice"),
        ];
        for (text, part) in rows {
            let problem = from_json(text).expect_err(text).to_string();
            assert!(problem.contains(part), "{text}: {problem}");
            assert!(!problem.contains("hidden") && !problem.contains("5150"), "{problem}");
        }
        for name in [
            "Host",
            "content-length",
            "Content-Type",
            "Transfer-Encoding",
            "Connection",
            "Webhook-Id",
            "webhook-x",
        ] {
            let problem = from_json(&format!(r#"{{"{name}": "x"}}"#)).expect_err(name).to_string();
            assert!(problem.contains("reserved header"), "{problem}");
        }
    }
}
