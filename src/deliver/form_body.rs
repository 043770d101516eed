//! The body for targets that accept forms: a received form without its content codings and in
//! UTF-8, or a form generated from the payload.

use std::borrow::Cow;

use bytes::Bytes;
use encoding_rs::{Encoding, UTF_8};

use crate::json::{self, Object};
use crate::outbound::HeaderFields;
use crate::providers::{ByteLimit, Headers, charset, codings, decode};

const FORM: &str = "application/x-www-form-urlencoded";
const MULTIPART: &str = "multipart/form-data";
/// Limit on a decompressed body. It does not depend on the configured limits, because a stored
/// message may exceed the current ones.
const MAX_DECODED_BYTES: usize = 64 << 20;

/// A body for a target that accepts forms.
#[derive(Debug, PartialEq, Eq)]
pub enum FormBody {
    /// The received body: it is already a form in UTF-8 without content codings, or it cannot be
    /// decoded.
    AsReceived,
    Made {
        content_type: String,
        body: Bytes,
    },
}

impl FormBody {
    /// `body` is the received body. `payload` is its JSON, which can be the body itself.
    pub fn of(headers: &HeaderFields<'_>, body: &[u8], payload: &[u8]) -> Self {
        let fields: Vec<(&str, &[u8])> = headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        let headers = Headers(&fields);
        let content_type = fields.iter().find(|(name, _)| *name == "content-type").map(|(_, value)| *value);
        let content_type = String::from_utf8_lossy(content_type.unwrap_or_default());
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        let is_multipart = essence.eq_ignore_ascii_case(MULTIPART);
        let is_form = is_multipart || essence.eq_ignore_ascii_case(FORM);
        // Some senders label JSON as a form.
        if !is_form || json::accepts(body) {
            return Self::made(payload);
        }
        let Ok(codings) = codings(headers) else { return Self::AsReceived };
        let is_coded = !codings.is_empty();
        let plain = match is_coded {
            true => match decode(body, &codings, &mut ByteLimit(MAX_DECODED_BYTES)) {
                Ok(plain) => Cow::Owned(plain),
                Err(_) => return Self::AsReceived,
            },
            false => Cow::Borrowed(body),
        };
        if is_coded && json::accepts(&plain) {
            return Self::made(payload);
        }
        // Each part of a multipart form declares its own charset.
        let charset = charset::declared(headers).ok().flatten().filter(|_| !is_multipart);
        match charset.filter(|charset| *charset != UTF_8).map(|charset| in_utf8(&plain, charset)) {
            Some(Some(form)) => Self::Made { content_type: FORM.to_owned(), body: form.into() },
            None if is_coded => {
                Self::Made { content_type: content_type.into_owned(), body: plain.into_owned().into() }
            }
            Some(None) | None => Self::AsReceived,
        }
    }

    fn made(payload: &[u8]) -> Self {
        Self::Made { content_type: FORM.to_owned(), body: form_of(payload).into() }
    }
}

/// Converts the members of an object to form fields in document order. Strings become plain text,
/// other values compact JSON. A payload that is not an object, or has more members than `Object`
/// reads, becomes one field, `payload`.
fn form_of(payload: &[u8]) -> String {
    let mut form = form_urlencoded::Serializer::new(String::with_capacity(encoded_bytes(payload)));
    match json::document(payload).ok().and_then(Object::read) {
        Some(object) => {
            for (name, value) in object.members() {
                let text = match value.starts_with('"') {
                    true => json::text_lossy(value),
                    false => Cow::Owned(json::compact(value)),
                };
                form.append_pair(&json::text_lossy(name), &text);
            }
        }
        None => {
            form.append_pair("payload", &String::from_utf8_lossy(payload));
        }
    }
    form.finish()
}

/// The size of a form that has the payload as its only field, `payload`.
fn encoded_bytes(payload: &[u8]) -> usize {
    let is_kept = |byte: &u8| byte.is_ascii_alphanumeric() || b"*-._ ".contains(byte);
    let kept = payload.iter().filter(|byte| is_kept(byte)).count();
    "payload=".len() + kept + 3 * (payload.len() - kept)
}

/// Converts a form to UTF-8, with its fields in the same order. `None` if it has bytes that are
/// invalid in the charset.
fn in_utf8(form: &[u8], charset: &'static Encoding) -> Option<String> {
    let mut converted = form_urlencoded::Serializer::new(String::new());
    for field in form.split(|byte| *byte == b'&').filter(|field| !field.is_empty()) {
        let at = field.iter().position(|byte| *byte == b'=');
        let (name, value) = at.map_or((field, &[][..]), |at| (&field[..at], &field[at + 1..]));
        converted.append_pair(&text_in(name, charset)?, &text_in(value, charset)?);
    }
    Some(converted.finish())
}

/// Percent-decodes a name or value and decodes it from the charset.
fn text_in(mut written: &[u8], charset: &'static Encoding) -> Option<String> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut bytes = Vec::with_capacity(written.len());
    while let [first, rest @ ..] = written {
        written = rest;
        bytes.push(match (first, rest) {
            (b'+', _) => b' ',
            (b'%', [high, low, after @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    written = after;
                    u8::try_from(high * 16 + low).unwrap_or_default()
                }
                _ => *first,
            },
            _ => *first,
        });
    }
    charset::decode(&bytes, charset).ok()
}

#[cfg(test)]
mod tests {
    use miniz_oxide::deflate::compress_to_vec_zlib;

    use super::*;

    const PAYLOAD: &str = r#"{"a":"é","b":1.10}"#;

    fn of(content_type: &str, coding: Option<&str>, body: &[u8]) -> FormBody {
        let mut headers: HeaderFields<'_> = vec![("content-type".into(), content_type.as_bytes().into())];
        headers.extend(coding.map(|coding| ("content-encoding".into(), coding.as_bytes().into())));
        FormBody::of(&headers, body, PAYLOAD.as_bytes())
    }

    fn made(content_type: &str, body: &str) -> FormBody {
        FormBody::Made {
            content_type: content_type.to_owned(),
            body: Bytes::copy_from_slice(body.as_bytes()),
        }
    }

    #[test]
    fn received_form_is_decompressed_and_in_utf_8() {
        let latin = format!("{FORM}; charset=iso-8859-1");
        let deflated = |text: &str| compress_to_vec_zlib(text.as_bytes(), 6);
        let form = "b=2&a=%C3%A9&b=1&&c=%";
        assert_eq!(of(FORM, None, form.as_bytes()), FormBody::AsReceived);
        assert_eq!(of(&format!("{FORM};charset=UTF-8"), None, form.as_bytes()), FormBody::AsReceived);
        assert_eq!(of(FORM, Some("deflate"), &deflated(form)), made(FORM, form));
        let utf_8 = made(FORM, "b=2&a=%C3%A9+%2B%25zz&b=1&c=");
        assert_eq!(of(&latin, None, b"b=2&a=%E9+%2b%zz&b=1&&c"), utf_8);
        assert_eq!(of(&latin, None, b"b=2&a=\xe9+%2b%zz&b=1&c="), utf_8);
        assert_eq!(of(&latin, Some("deflate"), &deflated("b=2&a=%E9+%2b%zz&b=1&c=")), utf_8);
        let multipart = "multipart/form-data; boundary=x; charset=iso-8859-1";
        assert_eq!(of(multipart, None, b"--x--"), FormBody::AsReceived);
        assert_eq!(of(multipart, Some("deflate"), &deflated("--x--")), made(multipart, "--x--"));
    }

    #[test]
    fn other_payload_becomes_a_form() {
        let form = made(FORM, "a=%C3%A9&b=1.10");
        assert_eq!(of("application/json", None, PAYLOAD.as_bytes()), form);
        assert_eq!(of(FORM, None, PAYLOAD.as_bytes()), form);
        assert_eq!(of(FORM, Some("deflate"), &compress_to_vec_zlib(PAYLOAD.as_bytes(), 6)), form);
        assert_eq!(of("application/json", Some("deflate"), b"?"), form);
    }

    #[test]
    fn payload_with_too_many_members_becomes_one_field() {
        let of = |count: usize| {
            let members: Vec<String> = (0..count).map(|number| format!("\"{number}\":\"é 1\"")).collect();
            format!("{{{}}}", members.join(","))
        };
        assert!(form_of(of(10_000).as_bytes()).starts_with("0=%C3%A9+1&1=%C3%A9+1&"));
        let payload = of(10_001);
        let form = form_of(payload.as_bytes());
        assert!(form.starts_with("payload=%7B%220%22%3A%22%C3%A9+1%22%2C"), "{}", &form[..60]);
        assert_eq!(form.len(), encoded_bytes(payload.as_bytes()));
    }

    #[test]
    fn undecodable_form_stays_as_received() {
        assert_eq!(of(FORM, Some("br"), b"a=1"), FormBody::AsReceived);
        assert_eq!(of(FORM, Some("gzip"), b"a=1"), FormBody::AsReceived);
        assert_eq!(of(&format!("{FORM}; charset=shift_jis"), None, b"a=%FF"), FormBody::AsReceived);
    }
}
