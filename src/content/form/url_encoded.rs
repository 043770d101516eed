//! The syntax of urlencoded forms: raw names and values, and their bytes.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8};

/// Decoded, a form of many short fields takes thirty times its size.
pub const MAX_FIELDS: usize = 10_000;
/// Whether a body can be a urlencoded form. Senders escape control characters, and in names also the characters that JSON and
/// XML begin with. Line breaks and quotes in values are written by hand, and allowed. A name that is itself JSON comes from
/// clients that take a whole document for the name of a field.
pub fn is_url_encoded(body: &[u8]) -> bool {
    let name = split(body).next().map_or(&[][..], |(name, _)| name).trim_ascii();
    let is_json = matches!(unescaped(name).trim_ascii_start().first(), Some(b'{' | b'"'));
    let is_blank = |byte: u8| matches!(byte, b'\t' | b'\n' | b'\r');
    Encoding::for_bom(body).is_none()
        && !is_json
        && !name.starts_with(b"[")
        && !name.iter().any(|byte| matches!(byte, b'{' | b'"' | b'<') || byte.is_ascii_control())
        && !body.iter().any(|byte| byte.is_ascii_control() && !is_blank(*byte))
}

/// The charset that a form names in one of its fields: `_charset_` (HTML, RFC 7578), or `charset` (PayPal).
pub fn named_charset<'a>(fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Option<&'static Encoding> {
    let mut labels = fields.filter(|(name, _)| matches!(*name, b"_charset_" | b"charset"));
    let (Some((_, label)), None) = (labels.next(), labels.next()) else { return None };
    Encoding::for_label(label).filter(|charset| *charset != UTF_8 && charset.is_ascii_compatible())
}

/// Splits a form into raw names and values.
pub fn split(body: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let fields = body.split(|byte| *byte == b'&').filter(|field| !field.is_empty());
    fields.map(|field| match field.iter().position(|byte| *byte == b'=') {
        Some(at) => (&field[..at], &field[at + 1..]),
        None => (field, &[][..]),
    })
}

pub fn separators(body: &[u8]) -> usize {
    body.iter().filter(|byte| **byte == b'&').count()
}

/// The bytes of a name or value.
pub fn unescaped(written: &[u8]) -> Cow<'_, [u8]> {
    if !written.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        return Cow::Borrowed(written);
    }
    let digit = |at: usize| written.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let mut bytes = Vec::with_capacity(written.len());
    let mut at = 0;
    while let Some(byte) = written.get(at) {
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push(u8::try_from(high * 16 + low).unwrap_or_default());
                at += 2;
            }
            (b'+', ..) => bytes.push(b' '),
            _ => bytes.push(*byte),
        }
        at += 1;
    }
    Cow::Owned(bytes)
}
