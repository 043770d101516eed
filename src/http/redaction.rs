//! What of a request's head is stored: header fields as JSON, credentials taken out.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::providers::{Headers, Verifier};

/// What stands in the place of a credential.
pub const REDACTED: &str = "[redacted]";
/// Never stored, whatever the provider.
const ALWAYS: [&str; 4] = ["authorization", "proxy-authorization", "cookie", "x-csrf-token"];

/// The parts of a request's head that are stored.
#[derive(Debug, PartialEq, Eq)]
pub struct StoredHead {
    /// JSON object: name to value, or to an array of values where the field was repeated.
    pub headers: String,
    pub query: Option<String>,
}

/// Writes the head for storing, with every credential replaced.
pub fn stored_head(headers: Headers<'_>, query: &str, verifier: &Verifier) -> StoredHead {
    StoredHead {
        headers: headers_as_json(headers, |name| is_credential(name, verifier)),
        query: (!query.is_empty()).then(|| redact_query(query, verifier.credential_query()).into_owned()),
    }
}

/// The credentials that `stored_head` took out, as JSON; `None` where there were none.
pub fn credentials(headers: Headers<'_>, query: &str, verifier: &Verifier) -> Option<String> {
    let mut taken = Map::new();
    for (name, value) in headers.0.iter().filter(|(name, _)| is_credential(name, verifier)) {
        let values = taken.entry((*name).to_owned()).or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(values) = values {
            values.push(Value::String(text(value).into_owned()));
        }
    }
    if let Cow::Owned(_) = redact_query(query, verifier.credential_query()) {
        taken.insert("?".to_owned(), Value::String(query.to_owned()));
    }
    (!taken.is_empty()).then(|| Value::Object(taken).to_string())
}

fn is_credential(name: &str, verifier: &Verifier) -> bool {
    ALWAYS.contains(&name) || verifier.credential_headers().iter().any(|credential| credential == name)
}

/// `headers` must have repeats of a name next to each other, as actix gives them.
fn headers_as_json(headers: Headers<'_>, is_credential: impl Fn(&str) -> bool) -> String {
    let mut sorted: Vec<_> = headers.0.iter().collect();
    sorted.sort_by_key(|(name, _)| *name);
    let mut json =
        String::with_capacity(sorted.iter().map(|(name, value)| name.len() + value.len() + 8).sum());
    json.push('{');
    for fields in sorted.chunk_by(|(one, _), (next, _)| one == next) {
        let name = fields[0].0;
        if json.len() > 1 {
            json.push(',');
        }
        push_text(&mut json, name);
        json.push(':');
        if fields.len() > 1 {
            json.push('[');
        }
        for (number, (_, value)) in fields.iter().enumerate() {
            if number > 0 {
                json.push(',');
            }
            push_text(&mut json, &if is_credential(name) { Cow::Borrowed(REDACTED) } else { text(value) });
        }
        if fields.len() > 1 {
            json.push(']');
        }
    }
    json.push('}');
    json
}

fn push_text(json: &mut String, text: &str) {
    let is_plain = text.bytes().all(|byte| (0x20..0x7f).contains(&byte) && byte != b'"' && byte != b'\\');
    if is_plain {
        json.push('"');
        json.push_str(text);
        json.push('"');
    } else {
        json.push_str(&Value::from(text).to_string());
    }
}

/// A value that is not UTF-8 is read as Latin-1, which loses nothing.
fn text(value: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(value) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(value.iter().map(|&byte| char::from(byte)).collect()),
    }
}

/// Borrowed where nothing had to be taken out.
fn redact_query<'a>(query: &'a str, names: &[String]) -> Cow<'a, str> {
    let is_named = |pair: &str| {
        form_urlencoded::parse(pair.as_bytes())
            .next()
            .is_some_and(|(name, _)| names.iter().any(|one| **one == *name))
    };
    if names.is_empty() || !query.split('&').any(is_named) {
        return Cow::Borrowed(query);
    }
    let redact = |pair: &str| match pair.split_once('=') {
        Some((name, _)) if is_named(pair) => format!("{name}={REDACTED}"),
        _ => pair.to_owned(),
    };
    Cow::Owned(query.split('&').map(redact).collect::<Vec<_>>().join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::{Secret, Settings, recipe};

    fn token_verifier() -> Verifier {
        let mut settings = Settings::default();
        settings.values.insert("secret".to_owned(), vec![Secret::new("a long enough secret")]);
        settings.values.insert("header".to_owned(), vec![Secret::new("Acme-Webhook-Token")]);
        Verifier::bind(recipe("token").unwrap(), &settings).unwrap()
    }

    #[test]
    fn credentials_are_redacted_and_signatures_are_kept() {
        let fields: &[(&str, &[u8])] = &[
            ("x-hub-signature-256", b"sha256=abc"),
            ("authorization", b"Bearer secret"),
            ("cookie", b"session=secret"),
            ("acme-webhook-token", b"secret"),
        ];
        let head = stored_head(Headers(fields), "", &token_verifier());
        let expected = r#"{"acme-webhook-token":"[redacted]","authorization":"[redacted]","cookie":"[redacted]","x-hub-signature-256":"sha256=abc"}"#;
        assert_eq!(head, StoredHead { headers: expected.to_owned(), query: None });
        let taken = credentials(Headers(fields), "", &token_verifier()).unwrap();
        assert!(taken.contains(r#""acme-webhook-token":["secret"]"#) && !taken.contains("sha256"));
    }

    #[test]
    fn repeated_fields_become_an_array_and_odd_bytes_are_escaped() {
        let fields: &[(&str, &[u8])] = &[("a", b"1"), ("b", b"\"\\\x1b"), ("a", b"2"), ("c", b"caf\xe9")];
        let json = headers_as_json(Headers(fields), |_| false);
        assert_eq!(json, r#"{"a":["1","2"],"b":"\"\\\u001b","c":"café"}"#);
        assert!(serde_json::from_str::<Value>(&json).is_ok());
    }

    #[test]
    fn tokens_in_the_query_are_redacted_and_the_rest_stays_as_it_is() {
        let names = ["token".to_owned()];
        assert_eq!(redact_query("a=1&token=abc&b=%20", &names), "a=1&token=[redacted]&b=%20");
        assert_eq!(redact_query("a=1&t%6fken=abc", &names), "a=1&t%6fken=[redacted]");
        assert!(matches!(redact_query("a=1&b=2", &names), Cow::Borrowed("a=1&b=2")));
    }
}
