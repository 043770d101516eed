//! Form bodies: their fields, and the whole of one as JSON.

use std::borrow::Cow;
use std::collections::HashMap;

use bytes::Bytes;
use encoding_rs::{Encoding, UTF_8};
use futures_util::FutureExt;
use serde::{Serialize, Serializer};

use super::charset::{self, CharsetProblem, DeclaredCharset};
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
pub enum FormKind {
    /// `application/x-www-form-urlencoded`
    UrlEncoded,
    /// `multipart/form-data` with its boundary.
    Multipart(String),
}

/// What the first Content-Type says; nothing where it is no form's.
pub fn kind(headers: Headers<'_>) -> Option<FormKind> {
    let (_, value) = headers.0.iter().find(|(name, _)| *name == "content-type")?;
    let essence = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    if essence.eq_ignore_ascii_case(URL_ENCODED) {
        return Some(FormKind::UrlEncoded);
    }
    let is_multipart = essence.eq_ignore_ascii_case(MULTIPART);
    let text = is_multipart.then(|| std::str::from_utf8(value).ok()).flatten()?;
    multer::parse_boundary(text).ok().map(FormKind::Multipart)
}

/// Why a form cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormProblem {
    /// Too many fields or bytes.
    TooLarge,
    UnknownCharset,
    /// Bytes that are invalid in the declared charset.
    MalformedText,
    /// The payload field comes twice, or holds something other than JSON.
    NotJson,
    /// The payload is nested too deep.
    TooDeep,
}

impl From<json::JsonProblem> for FormProblem {
    fn from(problem: json::JsonProblem) -> Self {
        match problem {
            json::JsonProblem::NotJson => Self::NotJson,
            json::JsonProblem::TooDeep => Self::TooDeep,
        }
    }
}

impl From<CharsetProblem> for FormProblem {
    fn from(problem: CharsetProblem) -> Self {
        match problem {
            CharsetProblem::Unknown => Self::UnknownCharset,
            CharsetProblem::Malformed => Self::MalformedText,
        }
    }
}

/// The fields in the order received, text that is invalid in its charset replaced; `None` where there are more than any
/// sender's.
pub fn fields(
    body: &[u8],
    kind: FormKind,
    declared: Option<&'static Encoding>,
) -> Option<Vec<(String, String)>> {
    let other = declared.filter(|charset| *charset != UTF_8 && charset.is_ascii_compatible());
    match (kind, other) {
        (FormKind::UrlEncoded, _) if separators(body) >= MAX_FIELDS => None,
        (FormKind::UrlEncoded, None) => {
            let owned = |(name, value): (Cow<'_, str>, Cow<'_, str>)| (name.into_owned(), value.into_owned());
            Some(form_urlencoded::parse(body).map(owned).collect())
        }
        (FormKind::UrlEncoded, Some(charset)) => {
            let text = |written: &[u8]| charset::decode_lossy(&unescaped(written), charset);
            Some(split(body).map(|(name, value)| (text(name), text(value))).collect())
        }
        (FormKind::Multipart(boundary), _) => {
            let parts = parts(body, boundary, Ok(declared))?;
            let text = |part: FormPart| {
                let text = part.text().unwrap_or_else(|_| String::from_utf8_lossy(&part.value).into_owned());
                (part.name, text)
            };
            Some(parts.into_iter().map(text).collect())
        }
    }
}

/// One field of a multipart body.
struct FormPart {
    name: String,
    value: Bytes,
    /// Of its own Content-Type, or else of the form.
    charset: DeclaredCharset,
}

impl FormPart {
    fn text(&self) -> Result<String, CharsetProblem> {
        match self.charset? {
            Some(charset) => charset::decode(&self.value, charset),
            None => Ok(String::from_utf8_lossy(&self.value).into_owned()),
        }
    }
}

/// The parts of a multipart body that have a name and are no files; none where it is not well-formed, `None` where there are
/// too many.
fn parts(body: &[u8], boundary: String, declared: DeclaredCharset) -> Option<Vec<FormPart>> {
    let whole = Bytes::copy_from_slice(body);
    let stream = futures_util::stream::iter([Ok::<_, std::convert::Infallible>(whole)]);
    let mut multipart = multer::Multipart::new(stream, boundary);
    let reading = async {
        let mut fields = Vec::new();
        for _ in 0..=MAX_FIELDS {
            let Some(field) = multipart.next_field().await? else { return Ok(Some(fields)) };
            let name = field.name().map(str::to_owned);
            let is_file = field.file_name().is_some();
            let content_type = field.headers().get("content-type");
            let own = content_type.map_or(Ok(None), |value| charset::of_content_type(value.as_bytes()));
            let value = field.bytes().await?;
            if let Some(name) = name.filter(|_| !is_file) {
                fields.push(FormPart { name, value, charset: if own == Ok(None) { declared } else { own } });
            }
        }
        Ok::<_, multer::Error>(None)
    };
    // Everything is there already: nothing is waited for.
    reading.now_or_never().and_then(Result::ok).unwrap_or_else(|| Some(Vec::new()))
}

/// The JSON in the field that holds a form's payload, whatever other fields there are; `None` if there is no such field.
///
/// # Errors
/// Why the form cannot be read.
pub fn payload(
    body: &[u8],
    kind: FormKind,
    field: &str,
    declared: DeclaredCharset,
) -> Result<Option<String>, FormProblem> {
    let text = match kind {
        FormKind::UrlEncoded if separators(body) >= MAX_FIELDS => return Err(FormProblem::TooLarge),
        FormKind::UrlEncoded => {
            let mut values = split(body).filter(|(name, _)| *unescaped(name) == *field.as_bytes());
            match (values.next(), values.next()) {
                (Some((_, value)), None) => text_of_payload(&unescaped(value), ascii_compatible(declared))?,
                (None, _) => return Ok(None),
                (Some(_), Some(_)) => return Err(FormProblem::NotJson),
            }
        }
        FormKind::Multipart(boundary) => {
            let parts = parts(body, boundary, declared).ok_or(FormProblem::TooLarge)?;
            let mut parts = parts.into_iter().filter(|part| part.name == field);
            match (parts.next(), parts.next()) {
                (Some(part), None) => text_of_payload(&part.value, part.charset)?,
                (None, _) => return Ok(None),
                (Some(_), Some(_)) => return Err(FormProblem::NotJson),
            }
        }
    };
    json::document(text.as_bytes())?;
    Ok(Some(without_mark(text)))
}

/// The text of the payload field of a form that has no other field: what its sender signs, JSON or not.
pub fn sole_text(body: &[u8], field: &str, declared: DeclaredCharset) -> Option<String> {
    let mut fields = split(body);
    let (Some((name, value)), None) = (fields.next(), fields.next()) else { return None };
    if *unescaped(name) != *field.as_bytes() {
        return None;
    }
    text_of_payload(&unescaped(value), ascii_compatible(declared)).ok()
}

/// JSON in UTF-8 needs no charset, and a false one must not change it.
fn text_of_payload(bytes: &[u8], declared: DeclaredCharset) -> Result<String, FormProblem> {
    if json::is_of_any_depth(bytes) {
        return Ok(String::from_utf8_lossy(bytes).into_owned());
    }
    Ok(match declared? {
        Some(charset) => charset::decode(bytes, charset)?,
        None => String::from_utf8_lossy(bytes).into_owned(),
    })
}

/// The form as the text of a JSON object: fields in the order of their first appearance, repeats as arrays. Bytes that are not
/// UTF-8 are replaced where no charset is `declared`.
///
/// # Errors
/// Why the form cannot be read.
pub fn to_json(body: &[u8], declared: Option<&'static Encoding>) -> Result<String, FormProblem> {
    if body.len() > MAX_JSON_BYTES || separators(body) >= MAX_FIELDS {
        return Err(FormProblem::TooLarge);
    }
    let mut fields = FieldObject::default();
    match ascii_compatible(Ok(declared))? {
        None => form_urlencoded::parse(body).for_each(|(name, value)| fields.push(name, value)),
        Some(charset) => {
            for (name, value) in split(body) {
                let text = |written: &[u8]| charset::decode(&unescaped(written), charset);
                fields.push(text(name)?.into(), text(value)?.into());
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
    let parts = parts(body, boundary, Ok(declared)).ok_or(FormProblem::TooLarge)?;
    let bytes: usize = parts.iter().map(|part| part.name.len() + part.value.len()).sum();
    if bytes > MAX_JSON_BYTES {
        return Err(FormProblem::TooLarge);
    }
    let mut all = FieldObject::default();
    for part in &parts {
        all.push(Cow::Borrowed(&part.name), part.text()?.into());
    }
    let json = || serde_json::to_string(&all).expect("text keys and text values always serialize");
    Ok((!parts.is_empty()).then(json))
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

fn separators(body: &[u8]) -> usize {
    body.iter().filter(|byte| **byte == b'&').count()
}

/// The syntax of forms is ASCII, so UTF-16 is not possible.
fn ascii_compatible(declared: DeclaredCharset) -> DeclaredCharset {
    match declared? {
        Some(charset) if !charset.is_ascii_compatible() => Err(CharsetProblem::Unknown),
        charset => Ok(charset),
    }
}

/// The bytes of a name or value.
fn unescaped(written: &[u8]) -> Cow<'_, [u8]> {
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

#[derive(Default)]
struct FieldObject<'a> {
    values: Vec<(Cow<'a, str>, Vec<Cow<'a, str>>)>,
    places: HashMap<Cow<'a, str>, usize>,
}

impl<'a> FieldObject<'a> {
    fn push(&mut self, name: Cow<'a, str>, value: Cow<'a, str>) {
        let place = *self.places.entry(name.clone()).or_insert_with(|| {
            self.values.push((name, Vec::with_capacity(1)));
            self.values.len() - 1
        });
        self.values[place].1.push(value);
    }
}

impl Serialize for FieldObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.values.iter().map(|(name, values)| (name, FormValue(values))))
    }
}

struct FormValue<'a>(&'a [Cow<'a, str>]);

impl Serialize for FormValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            [value] => serializer.serialize_str(value),
            values => serializer.collect_seq(values),
        }
    }
}

#[cfg(test)]
mod tests;
