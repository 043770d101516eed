//! The short fields of a form that cannot be read as a whole, because it is too large or has
//! invalid bytes. The event type and the delivery id are usually among these fields, so retries of
//! such a message are still recognized.

use std::collections::BTreeMap;

use encoding_rs::Encoding;

use super::form::{self, FormKind};

/// Maximum size of a name or value; event types and delivery ids are shorter.
const MAX_VALUE_BYTES: usize = 4 << 10;
const MAX_TOTAL_BYTES: usize = 256 << 10;

/// Returns a JSON object of the fields that appear once, are short, and whose values have no
/// replaced bytes. `None` if together they exceed `MAX_TOTAL_BYTES`, if the form has too many
/// fields, or if it has the field named by `payload`: that field then contains the whole message.
pub fn to_json(
    body: &[u8],
    kind: FormKind,
    declared: Option<&'static Encoding>,
    payload: Option<&str>,
) -> Option<String> {
    let mut short: BTreeMap<String, Option<String>> = BTreeMap::new();
    for (name, value) in form::fields(body, kind, declared)?.values {
        if name.len() > MAX_VALUE_BYTES {
            continue;
        }
        // Bytes that were replaced can hide the difference between two ids.
        let is_exact = value.len() <= MAX_VALUE_BYTES && !value.contains(char::REPLACEMENT_CHARACTER);
        let value = is_exact.then_some(value);
        // Left out if repeated, even if only one of its values is short: in the JSON of a whole
        // form, a repeated field is an array, not a text.
        short.entry(name).and_modify(|first| *first = None).or_insert(value);
    }
    if payload.is_some_and(|field| short.contains_key(field)) {
        return None;
    }
    short.retain(|_, value| value.is_some());
    let length = |value: &Option<String>| value.as_ref().map_or(0, String::len);
    let bytes: usize = short.iter().map(|(name, value)| name.len() + length(value)).sum();
    if bytes > MAX_TOTAL_BYTES {
        return None;
    }
    serde_json::to_string(&short).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_short_single_fields_are_kept() {
        let long = "x".repeat(MAX_VALUE_BYTES + 1);
        let body =
            format!("token=a%22&text={long}&twice=1&twice=2&mixed={long}&mixed=1&{long}=1&other=&cut=%FF");
        let kept = to_json(body.as_bytes(), FormKind::UrlEncoded, None, None);
        assert_eq!(to_json(b"a=1&p=%FF", FormKind::UrlEncoded, None, Some("p")), None);
        assert_eq!(kept.as_deref(), Some(r#"{"other":"","token":"a\""}"#));
        let many: String = (0..100).map(|number| format!("f{number}={}&", &long[..4_000])).collect();
        assert_eq!(to_json(many.as_bytes(), FormKind::UrlEncoded, None, None), None);
    }
}
