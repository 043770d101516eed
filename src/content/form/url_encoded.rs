//! The syntax of urlencoded forms: raw names and values, and their bytes.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8};

/// Maximum number of fields: a form of many short fields needs thirty times its size when decoded.
pub const MAX_FIELDS: usize = 10_000;

/// Whether a body can be a urlencoded form. A form has no byte order mark and no NUL. Its names
/// have no control characters, because senders escape them; only tabs and line breaks are accepted,
/// in names after the first. A body in which a name, or a value without a name, is a document or
/// its beginning is not a form: as a form, it would pass filters such as `!/draft`.
pub fn is_url_encoded(body: &[u8]) -> bool {
    if Encoding::for_bom(body).is_some() || memchr::memchr(0, body).is_some() {
        return false;
    }
    let mut is_first = true;
    for field in body.split(|byte| *byte == b'&') {
        let (name, value) = name_and_value(field);
        let name = name.trim_ascii();
        if name.is_empty() && value.unwrap_or_default().trim_ascii().is_empty() {
            continue;
        }
        let is_allowed = |byte: &u8| !is_first && matches!(byte, b'\t' | b'\n' | b'\r');
        let has_control = name.iter().any(|byte| byte.is_ascii_control() && !is_allowed(byte));
        if has_control || is_document(name, value, is_first) {
            return false;
        }
        is_first = false;
    }
    true
}

/// Whether a field is a document (JSON, XML, a script) or its beginning. A document that contains
/// `=` or `&` continues in later fields, so the rules for the first field are stricter.
fn is_document(written: &[u8], value: Option<&[u8]>, is_first: bool) -> bool {
    let unescaped_name = unescaped(written);
    let name = without_invisible_start(&unescaped_name);
    let has_value = value.is_some_and(|value| !value.trim_ascii().is_empty());
    let has = |text: &[u8], wanted: &[u8]| text.iter().any(|byte| wanted.contains(byte));
    match name {
        [] => {
            let value = unescaped(value.unwrap_or_default());
            return matches!(without_invisible_start(&value), [b'{' | b'[' | b'"', ..]);
        }
        _ if !has_value && has(name, b"{\"") => return true,
        [b'[', rest @ ..] if is_first || value.is_some_and(|_| !has_value) => {
            return (is_first && value.is_none()) || !is_index(rest);
        }
        _ if !is_first => return false,
        [b'{', ..] => return true,
        _ => {}
    }
    let is_object = |start: usize| without_invisible_start(&name[start + 1..]).starts_with(b"\"");
    let begins_object = (0..name.len()).any(|at| name[at] == b'{' && is_object(at));
    // `"a"=1` and `<a>=1` are forms, `"a=1"` and `<a b="1"/>` are not.
    let is_enclosed = match written {
        [b'"', inner @ .., b'"'] => !has(inner, b"\"\\{<"),
        [b'<', inner @ .., b'>'] => !has(inner, b"<>\"{ /") && !has(value.unwrap_or_default(), b"<"),
        _ => false,
    };
    begins_object || (has(written, b"{\"<") && !(has_value && is_enclosed))
}

/// Whether a name that starts with a bracket is an index such as `[0][a]`, and not a JSON array
/// with strings, objects or several items.
fn is_index(after_bracket: &[u8]) -> bool {
    let Some(end) = memchr::memchr(b']', after_bracket) else { return false };
    !after_bracket[..end].iter().any(|byte| matches!(byte, b'[' | b','))
        && !after_bracket.iter().any(|byte| matches!(byte, b'{' | b'"'))
}

/// Skips white space, control characters and characters without a glyph. Also skips invalid bytes,
/// which can be white space in another declared charset.
fn without_invisible_start(mut text: &[u8]) -> &[u8] {
    const MAX_CHAR_BYTES: usize = 4;
    while let Some(chunk) = text[..text.len().min(MAX_CHAR_BYTES)].utf8_chunks().next() {
        let skipped = match chunk.valid().chars().next() {
            Some(first) if is_invisible(first) => first.len_utf8(),
            Some(_) => break,
            None => chunk.invalid().len(),
        };
        text = &text[skipped..];
    }
    text
}

fn is_invisible(character: char) -> bool {
    character.is_whitespace()
        || character.is_control()
        || matches!(
            character,
            '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}'
        )
}

/// The charset that a form names in one of its fields: `_charset_` (HTML, RFC 7578), or `charset`
/// (PayPal). `None` if it is UTF-8, not ASCII-compatible, or named more than once.
pub fn named_charset<'a>(fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Option<&'static Encoding> {
    let mut labels = fields.filter(|(name, _)| matches!(*name, b"_charset_" | b"charset"));
    let (Some((_, label)), None) = (labels.next(), labels.next()) else { return None };
    Encoding::for_label(label).filter(|charset| *charset != UTF_8 && charset.is_ascii_compatible())
}

/// Splits a form into raw names and values.
pub fn split(body: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let fields = body.split(|byte| *byte == b'&').filter(|field| !field.is_empty());
    fields.map(|field| {
        let (name, value) = name_and_value(field);
        (name, value.unwrap_or_default())
    })
}

/// The value is `None` if there is no equals sign.
fn name_and_value(field: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(b'=', field) {
        Some(at) => (&field[..at], Some(&field[at + 1..])),
        None => (field, None),
    }
}

pub fn separators(body: &[u8]) -> usize {
    body.iter().filter(|byte| **byte == b'&').count()
}

/// Decodes percent escapes and plus signs in a raw name or value.
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
