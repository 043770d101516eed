//! Form bodies: reads their fields, and converts a whole form to JSON.

mod parts;
mod url_encoded;

use std::borrow::Cow;
use std::collections::HashMap;

use encoding_rs::{Encoding, UTF_8};
use serde::{Serialize, Serializer};

use super::charset::{self, CharsetProblem, DeclaredCharset};
use super::request::Headers;
use crate::json;
use parts::{FormFile, FormPart, parts};
pub use url_encoded::is_url_encoded;
use url_encoded::{MAX_FIELDS, named_charset, separators, split, unescaped};

const URL_ENCODED: &[u8] = b"application/x-www-form-urlencoded";
const MULTIPART: &[u8] = b"multipart/form-data";

/// Maximum size of a form whose fields are converted to JSON, because the conversion takes several
/// times the size of the form. Of a multipart form, only names, values and file descriptions count.
/// Larger forms are stored as bytes only.
pub const MAX_JSON_BYTES: usize = 1 << 20;

/// Syntax of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FormKind {
    /// `application/x-www-form-urlencoded`
    UrlEncoded,
    /// `multipart/form-data` with its boundary.
    Multipart(String),
}

/// Returns the form type of the first Content-Type; `None` if it is not the type of a form, or has
/// no valid boundary.
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

/// Reason why a form cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormProblem {
    /// Too many fields or bytes.
    TooLarge,
    UnknownCharset,
    /// Bytes that are invalid in the charset of the form (declared, named in a field, or UTF-8), or
    /// a part whose name or file description is unreadable.
    MalformedText,
    /// The payload field is repeated, or is not JSON.
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

/// The fields of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormFields {
    /// Names and values in the order received, without files.
    pub values: Vec<(String, String)>,
    /// Whether all bytes are valid in their charset, and no name is missing.
    pub is_exact: bool,
}

/// Returns the fields, with invalid bytes replaced; `None` if there are more than `MAX_FIELDS`.
/// Empty fields of a urlencoded form count too.
pub fn fields(body: &[u8], kind: FormKind, declared: Option<&'static Encoding>) -> Option<FormFields> {
    match kind {
        FormKind::UrlEncoded if separators(body) >= MAX_FIELDS => None,
        FormKind::UrlEncoded => {
            let declared = declared.filter(|charset| charset.is_ascii_compatible());
            let fields = decoded(body, declared.unwrap_or(UTF_8));
            match named_charset(split(body)).filter(|_| declared.is_none() && !fields.is_exact) {
                Some(charset) => Some(decoded(body, charset)),
                None => Some(fields),
            }
        }
        FormKind::Multipart(boundary) => {
            let mut all = FormFields { values: Vec::new(), is_exact: true };
            for part in parts(body, boundary, Ok(declared))?.into_iter().filter(|part| part.file.is_none()) {
                let text = part.text();
                all.is_exact &= text.is_ok() && part.name.is_some();
                let text = text.unwrap_or_else(|_| String::from_utf8_lossy(&part.value).into_owned());
                all.values.extend(part.name.map(|name| (name, text)));
            }
            Some(all)
        }
    }
}

fn decoded(body: &[u8], charset: &'static Encoding) -> FormFields {
    let mut is_exact = true;
    let mut text = |written: &[u8]| {
        let bytes = unescaped(written);
        let (text, has_errors) = charset.decode_without_bom_handling(&bytes);
        is_exact &= !has_errors;
        text.into_owned()
    };
    let values = split(body).map(|(name, value)| (text(name), text(value))).collect();
    FormFields { values, is_exact }
}

/// Returns the JSON in the payload field of a form, regardless of other fields; `None` if it has no
/// such field.
///
/// # Errors
/// The reason why the form cannot be read.
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
            let mut parts =
                parts.into_iter().filter(|part| part.file.is_none() && part.name.as_deref() == Some(field));
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

/// Returns the value of the payload field if the form has no other field. This is the signed text,
/// JSON or not.
pub fn sole_text(body: &[u8], field: &str, declared: DeclaredCharset) -> Option<String> {
    let mut fields = split(body);
    let (Some((name, value)), None) = (fields.next(), fields.next()) else { return None };
    if *unescaped(name) != *field.as_bytes() {
        return None;
    }
    text_of_payload(&unescaped(value), ascii_compatible(declared)).ok()
}

/// Decodes the payload. If it is JSON in UTF-8, the declared charset is ignored, so that a wrong
/// declaration cannot change the text. Invalid bytes are never replaced: the result would differ
/// from the signed text.
fn text_of_payload(bytes: &[u8], declared: DeclaredCharset) -> Result<String, FormProblem> {
    if json::is_json_of_any_depth(bytes) {
        return Ok(String::from_utf8_lossy(bytes).into_owned());
    }
    match declared? {
        Some(charset) => Ok(charset::decode(bytes, charset)?),
        None => String::from_utf8(bytes.to_vec()).map_err(|_| FormProblem::NotJson),
    }
}

/// Returns the form as a JSON object: fields in the order of their first appearance, repeated
/// fields as arrays. Without a `declared` charset, the form is decoded as UTF-8, or, if that is
/// invalid, in the charset that one of its fields names.
///
/// # Errors
/// The reason why the form cannot be read.
pub fn to_json(body: &[u8], declared: Option<&'static Encoding>) -> Result<String, FormProblem> {
    if body.len() > MAX_JSON_BYTES || separators(body) >= MAX_FIELDS {
        return Err(FormProblem::TooLarge);
    }
    let declared = ascii_compatible(Ok(declared))?;
    let fields = match (object(body, declared.unwrap_or(UTF_8)), declared) {
        (Err(problem), None) => object(body, named_charset(split(body)).ok_or(problem)?)?,
        (fields, _) => fields?,
    };
    Ok(fields.to_json())
}

fn object<'a>(body: &'a [u8], charset: &'static Encoding) -> Result<FieldObject<'a>, CharsetProblem> {
    let text = |written: &'a [u8]| match unescaped(written) {
        Cow::Borrowed(bytes) => {
            let text = charset.decode_without_bom_handling_and_without_replacement(bytes);
            text.ok_or(CharsetProblem::Malformed)
        }
        Cow::Owned(bytes) => charset::decode(&bytes, charset).map(Cow::Owned),
    };
    let mut fields = FieldObject::default();
    for (name, value) in split(body) {
        fields.push(text(name)?, FormValue::Text(text(value)?));
    }
    Ok(fields)
}

/// Returns the fields of a multipart form like `to_json`; the value of a file is an object that
/// describes it, without its content. `None` if there are no fields.
///
/// # Errors
/// The reason why the form cannot be read.
pub fn fields_to_json(
    body: &[u8],
    boundary: String,
    declared: Option<&'static Encoding>,
) -> Result<Option<String>, FormProblem> {
    let parts = parts(body, boundary, Ok(declared)).ok_or(FormProblem::TooLarge)?;
    if parts.iter().map(FormPart::bytes).sum::<usize>() > MAX_JSON_BYTES {
        return Err(FormProblem::TooLarge);
    }
    let mut all = FieldObject::default();
    for part in &parts {
        let name = part.name.as_deref().ok_or(FormProblem::MalformedText)?;
        let value = match &part.file {
            Some(file) => FormValue::File(file.as_ref().ok_or(FormProblem::MalformedText)?),
            None => FormValue::Text(part.text()?.into()),
        };
        all.push(Cow::Borrowed(name), value);
    }
    Ok((!parts.is_empty()).then(|| all.to_json()))
}

fn without_mark(text: String) -> String {
    text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text)
}

/// Rejects charsets such as UTF-16, because the syntax of forms is ASCII.
fn ascii_compatible(declared: DeclaredCharset) -> DeclaredCharset {
    match declared? {
        Some(charset) if !charset.is_ascii_compatible() => Err(CharsetProblem::Unknown),
        charset => Ok(charset),
    }
}

/// Returns the values of a query field as bytes, because they are not necessarily valid UTF-8.
pub fn values<'a>(query: &'a str, name: &'a str) -> impl Iterator<Item = Cow<'a, [u8]>> {
    let named = split(query.as_bytes()).filter(move |(field, _)| *unescaped(field) == *name.as_bytes());
    named.map(|(_, value)| unescaped(value))
}

#[derive(Default)]
struct FieldObject<'a> {
    values: Vec<(Cow<'a, str>, Vec<FormValue<'a>>)>,
    places: HashMap<Cow<'a, str>, usize>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum FormValue<'a> {
    Text(Cow<'a, str>),
    File(&'a FormFile),
}

impl<'a> FieldObject<'a> {
    fn push(&mut self, name: Cow<'a, str>, value: FormValue<'a>) {
        let place = *self.places.entry(name.clone()).or_insert_with(|| {
            self.values.push((name, Vec::with_capacity(1)));
            self.values.len() - 1
        });
        self.values[place].1.push(value);
    }

    fn to_json(&self) -> String {
        serde_json::to_string(self).expect("text keys and text values always serialize")
    }
}

impl Serialize for FieldObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.values.iter().map(|(name, values)| (name, FormValues(values))))
    }
}

struct FormValues<'a>(&'a [FormValue<'a>]);

impl Serialize for FormValues<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            [value] => value.serialize(serializer),
            values => serializer.collect_seq(values),
        }
    }
}

#[cfg(test)]
mod tests;
