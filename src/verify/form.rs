//! Form bodies: their fields, and the whole of one as JSON.

use std::borrow::Cow;
use std::collections::HashMap;

use bytes::Bytes;
use encoding_rs::Encoding;
use futures_util::FutureExt;
use serde::{Serialize, Serializer};

use super::charset::{self, CharsetProblem};
use super::request::Headers;
use crate::json;

const URL_ENCODED: &[u8] = b"application/x-www-form-urlencoded";
const MULTIPART: &[u8] = b"multipart/form-data";

/// Decoded, a form of many short fields takes thirty times its size.
const MAX_FIELDS: usize = 10_000;
/// As JSON a form takes several times its size: what is larger is kept as bytes alone.
pub const MAX_JSON_BYTES: usize = 1 << 20;

/// How a form is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `application/x-www-form-urlencoded`
    UrlEncoded,
    /// `multipart/form-data` with its boundary.
    Multipart(String),
}

/// What the first Content-Type says; nothing where it is no form's.
pub fn kind(headers: Headers<'_>) -> Option<Kind> {
    let (_, value) = headers.0.iter().find(|(name, _)| *name == "content-type")?;
    let essence = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    if essence.eq_ignore_ascii_case(URL_ENCODED) {
        return Some(Kind::UrlEncoded);
    }
    let is_multipart = essence.eq_ignore_ascii_case(MULTIPART);
    let text = is_multipart.then(|| std::str::from_utf8(value).ok()).flatten()?;
    multer::parse_boundary(text).ok().map(Kind::Multipart)
}

/// Why a form cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormProblem {
    /// Too many fields or bytes.
    TooLarge,
    UnknownCharset,
    /// Bytes that are invalid in the declared charset.
    MalformedText,
}

impl From<CharsetProblem> for FormProblem {
    fn from(problem: CharsetProblem) -> Self {
        match problem {
            CharsetProblem::Unknown => Self::UnknownCharset,
            CharsetProblem::Malformed => Self::MalformedText,
        }
    }
}

/// The fields in the order received, bytes that are not UTF-8 replaced; `None` where there are more than any sender's.
pub fn fields(body: &[u8], kind: Kind) -> Option<Vec<(String, String)>> {
    match kind {
        Kind::UrlEncoded => {
            let separators = body.iter().filter(|byte| **byte == b'&').count();
            let owned = |(name, value): (Cow<'_, str>, Cow<'_, str>)| (name.into_owned(), value.into_owned());
            (separators < MAX_FIELDS).then(|| form_urlencoded::parse(body).map(owned).collect())
        }
        Kind::Multipart(boundary) => {
            Some(parts(body, boundary, None)?.into_iter().map(|part| (part.name, part.value)).collect())
        }
    }
}

/// One field of a multipart body.
struct TextPart {
    name: String,
    value: String,
    /// False if it is invalid in its declared charset.
    is_readable: bool,
}

/// The parts of a multipart body that have a name and are no files; none where it is not well-formed, `None` where there are
/// too many.
fn parts(body: &[u8], boundary: String, declared: Option<&'static Encoding>) -> Option<Vec<TextPart>> {
    let whole = Bytes::copy_from_slice(body);
    let stream = futures_util::stream::iter([Ok::<_, std::convert::Infallible>(whole)]);
    let mut multipart = multer::Multipart::new(stream, boundary);
    let reading = async {
        let mut fields = Vec::new();
        for _ in 0..=MAX_FIELDS {
            let Some(field) = multipart.next_field().await? else { return Ok(Some(fields)) };
            let name = field.name().map(str::to_owned);
            let is_file = field.file_name().is_some();
            let content_type = field.headers().get("content-type").map(|value| value.as_bytes().to_vec());
            let value = field.bytes().await?;
            if let Some(name) = name.filter(|_| !is_file) {
                let text = text_of_part(&value, content_type.as_deref(), declared);
                let is_readable = text.is_ok();
                let value = text.unwrap_or_else(|_| String::from_utf8_lossy(&value).into_owned());
                fields.push(TextPart { name, value, is_readable });
            }
        }
        Ok::<_, multer::Error>(None)
    };
    // Everything is there already: nothing is waited for.
    reading.now_or_never().and_then(Result::ok).unwrap_or_else(|| Some(Vec::new()))
}

/// Decodes a part with the charset of its own Content-Type, or else that of the form.
fn text_of_part(
    bytes: &[u8],
    content_type: Option<&[u8]>,
    declared: Option<&'static Encoding>,
) -> Result<String, CharsetProblem> {
    match content_type.map_or(Ok(None), charset::of_content_type)?.or(declared) {
        Some(charset) => charset::decode(bytes, charset),
        None => Ok(String::from_utf8_lossy(bytes).into_owned()),
    }
}

/// The JSON in the field that holds a form's payload.
///
/// # Errors
/// Why the form cannot be read.
pub fn payload(
    body: &[u8],
    kind: Kind,
    field: &str,
    declared: Option<&'static Encoding>,
) -> Result<Option<String>, FormProblem> {
    match kind {
        Kind::UrlEncoded => sole_payload(body, field, declared),
        Kind::Multipart(boundary) => {
            let parts = parts(body, boundary, declared).ok_or(FormProblem::TooLarge)?;
            let mut values = parts.into_iter().filter(|part| part.name == field);
            Ok(match (values.next(), values.next()) {
                (Some(part), None) if !part.is_readable => return Err(FormProblem::MalformedText),
                (Some(part), None) if json::accepts(part.value.as_bytes()) => Some(without_mark(part.value)),
                _ => None,
            })
        }
    }
}

/// The form as the text of a JSON object: fields in the order of their first appearance, repeats as arrays. A form whose only
/// field is `unwrap` and holds JSON becomes that JSON. Bytes that are not UTF-8 are replaced where no charset is `declared`.
///
/// # Errors
/// Why the form cannot be read.
pub fn to_json(
    body: &[u8],
    unwrap: Option<&str>,
    declared: Option<&'static Encoding>,
) -> Result<String, FormProblem> {
    let separators = body.iter().filter(|byte| **byte == b'&').count();
    if separators == 0
        && let Some(name) = unwrap
        && let Some(payload) = sole_payload(body, name, declared)?
    {
        return Ok(payload);
    }
    if body.len() > MAX_JSON_BYTES || separators >= MAX_FIELDS {
        return Err(FormProblem::TooLarge);
    }
    let mut fields = Fields::default();
    match declared {
        None => form_urlencoded::parse(body).for_each(|(name, value)| fields.push(name, value)),
        Some(_) => {
            for (name, value) in split(body) {
                fields.push(decoded(name, declared)?.into(), decoded(value, declared)?.into());
            }
        }
    }
    Ok(serde_json::to_string(&fields).expect("text keys and text values always serialize"))
}

/// The fields of a multipart form as `to_json` has them; files are left out. `None` where there are no fields.
///
/// # Errors
/// Why the form cannot be read.
pub fn fields_to_json(
    body: &[u8],
    boundary: String,
    declared: Option<&'static Encoding>,
) -> Result<Option<String>, FormProblem> {
    let parts = parts(body, boundary, declared).ok_or(FormProblem::TooLarge)?;
    let bytes: usize = parts.iter().map(|part| part.name.len() + part.value.len()).sum();
    if bytes > MAX_JSON_BYTES {
        return Err(FormProblem::TooLarge);
    }
    if parts.iter().any(|part| !part.is_readable) {
        return Err(FormProblem::MalformedText);
    }
    let mut all = Fields::default();
    parts.iter().for_each(|part| all.push(Cow::Borrowed(&part.name), Cow::Borrowed(&part.value)));
    let json = || serde_json::to_string(&all).expect("text keys and text values always serialize");
    Ok((!parts.is_empty()).then(json))
}

/// The value of the only field, if it has this name and holds JSON.
fn sole_payload(
    body: &[u8],
    name: &str,
    declared: Option<&'static Encoding>,
) -> Result<Option<String>, FormProblem> {
    if body.contains(&b'&') {
        return Ok(None);
    }
    let Some((found, value)) = split(body).next() else { return Ok(None) };
    if decoded(found, declared)? != name {
        return Ok(None);
    }
    let value = decoded(value, declared)?;
    Ok(json::accepts(value.as_bytes()).then(|| without_mark(value)))
}

fn without_mark(text: String) -> String {
    text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text)
}

/// Splits a form into raw names and values.
fn split(body: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let fields = body.split(|byte| *byte == b'&').filter(|field| !field.is_empty());
    fields.map(|field| match field.iter().position(|byte| *byte == b'=') {
        Some(at) => (&field[..at], &field[at + 1..]),
        None => (field, &[][..]),
    })
}

/// Decodes a name or value. The syntax of forms is ASCII, so UTF-16 is not possible.
fn decoded(written: &[u8], declared: Option<&'static Encoding>) -> Result<String, FormProblem> {
    if declared.is_some_and(|charset| !charset.is_ascii_compatible()) {
        return Err(FormProblem::UnknownCharset);
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
    match declared {
        Some(charset) => Ok(charset::decode(&bytes, charset)?),
        None => Ok(String::from_utf8_lossy(&bytes).into_owned()),
    }
}

#[derive(Default)]
struct Fields<'a> {
    values: Vec<(Cow<'a, str>, Vec<Cow<'a, str>>)>,
    places: HashMap<Cow<'a, str>, usize>,
}

impl<'a> Fields<'a> {
    fn push(&mut self, name: Cow<'a, str>, value: Cow<'a, str>) {
        let place = *self.places.entry(name.clone()).or_insert_with(|| {
            self.values.push((name, Vec::with_capacity(1)));
            self.values.len() - 1
        });
        self.values[place].1.push(value);
    }
}

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.values.iter().map(|(name, values)| (name, OneOrMany(values))))
    }
}

struct OneOrMany<'a>(&'a [Cow<'a, str>]);

impl Serialize for OneOrMany<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            [value] => serializer.serialize_str(value),
            values => serializer.collect_seq(values),
        }
    }
}

#[cfg(test)]
mod tests;
