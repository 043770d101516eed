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
const MAX_JSON_BYTES: usize = 1 << 20;

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
mod tests {
    use super::*;

    #[test]
    fn a_form_becomes_an_object_with_repeats_as_arrays() {
        let rows = [
            ("", "{}"),
            ("b=1&a=2", r#"{"b":"1","a":"2"}"#),
            ("a=1&b=x+y%21&a=2", r#"{"a":["1","2"],"b":"x y!"}"#),
            ("a", r#"{"a":""}"#),
            ("a=%00%22%zz", "{\"a\":\"\\u0000\\\"%zz\"}"),
            ("a=%FF", "{\"a\":\"\u{fffd}\"}"),
            ("payload=%7B%7D", r#"{"payload":"{}"}"#),
        ];
        for (form, json) in rows {
            assert_eq!(to_json(form.as_bytes(), None, None).as_deref(), Ok(json), "{form}");
        }
    }

    #[test]
    fn only_a_sole_field_that_holds_json_is_unwrapped() {
        let rows = [
            ("payload=%7B%22action%22%3A+%22opened%22%7D", r#"{"action": "opened"}"#),
            ("payload=%7B", r#"{"payload":"{"}"#),
            ("payload=%7B%7D&payload=%7B%7D", r#"{"payload":["{}","{}"]}"#),
            ("payload=%7B%7D&a=1", r#"{"payload":"{}","a":"1"}"#),
            ("a=%7B%7D", r#"{"a":"{}"}"#),
        ];
        for (form, json) in rows {
            assert_eq!(to_json(form.as_bytes(), Some("payload"), None).as_deref(), Ok(json), "{form}");
        }
    }

    #[test]
    fn multipart_fields_become_an_object_without_files() {
        let part = |head: &str, value: &str| {
            format!("--b\r\ncontent-disposition: form-data; {head}\r\n\r\n{value}\r\n")
        };
        let json = |parts: &[String]| {
            let body = format!("{}--b--\r\n", parts.concat());
            fields_to_json(body.as_bytes(), "b".to_owned(), None)
        };
        let (one, two) = (part("name=a", "x \u{e9}"), part("name=b", "1"));
        let file = part("name=c; filename=f.pdf", "not read");
        let all = json(&[one.clone(), file.clone(), two, one.clone()]);
        assert_eq!(all.unwrap().as_deref(), Some("{\"a\":[\"x \u{e9}\",\"x \u{e9}\"],\"b\":\"1\"}"));
        // Only what is read counts towards the limit.
        let large_file = part("name=c; filename=f", &"x".repeat(MAX_JSON_BYTES + 1));
        assert_eq!(json(&[one, large_file]).unwrap().as_deref(), Some("{\"a\":\"x \u{e9}\"}"));
        assert_eq!(json(&[part("name=a", &"x".repeat(MAX_JSON_BYTES))]), Err(FormProblem::TooLarge));
        assert_eq!(json(&[file]), Ok(None));
    }

    #[test]
    fn form_is_decoded_by_its_declared_charset() {
        use encoding_rs::{EUC_KR, SHIFT_JIS, UTF_8, UTF_16LE, WINDOWS_1252};
        let rows: [(&[u8], &'static Encoding, Result<&str, FormProblem>); 10] = [
            (b"n=%E9+x&gr%FCn=%80", WINDOWS_1252, Ok("{\"n\":\"é x\",\"grün\":\"€\"}")),
            (b"n=\xe9%4", WINDOWS_1252, Ok("{\"n\":\"é%4\"}")),
            (b"n=%C3%A9", WINDOWS_1252, Ok("{\"n\":\"Ã©\"}")),
            (b"n=%83e%83X%83g&n=\x83e&&x", SHIFT_JIS, Ok("{\"n\":[\"テスト\",\"テ\"],\"x\":\"\"}")),
            (b"n=%C3%A9", UTF_8, Ok("{\"n\":\"é\"}")),
            (b"n=%E9", UTF_8, Err(FormProblem::MalformedText)),
            (b"%FF=1", SHIFT_JIS, Err(FormProblem::MalformedText)),
            (b"n=%FF", EUC_KR, Err(FormProblem::MalformedText)),
            (b"n=1", UTF_16LE, Err(FormProblem::UnknownCharset)),
            (b"payload={\"a\":\"%E9\"}", WINDOWS_1252, Ok("{\"a\":\"é\"}")),
        ];
        for (form, charset, json) in rows {
            let found = to_json(form, Some("payload"), Some(charset));
            assert_eq!(found.as_deref().map_err(|problem| *problem), json, "{}", form.escape_ascii());
        }
        assert_eq!(to_json(b"payload=%FF", Some("payload"), Some(UTF_8)), Err(FormProblem::MalformedText));
        let mark = to_json(b"payload=%EF%BB%BF%7B%7D", Some("payload"), None);
        assert_eq!(mark.as_deref(), Ok("{}"));
    }

    #[test]
    fn part_of_multipart_is_decoded_by_its_own_charset() {
        let read = |kind: &str, value: &[u8]| {
            let head = format!("--b\r\ncontent-disposition: form-data; name=payload\r\n{kind}\r\n");
            let body = [head.as_bytes(), value, b"\r\n--b--\r\n"].concat();
            payload(&body, Kind::Multipart("b".to_owned()), "payload", None)
        };
        let latin = "content-type: application/json; charset=iso-8859-1\r\n";
        assert_eq!(read(latin, b"{\"a\":\"\xe9\"}"), Ok(Some("{\"a\":\"é\"}".to_owned())));
        assert_eq!(read("", "{\"a\":\"é\"}".as_bytes()), Ok(Some("{\"a\":\"é\"}".to_owned())));
        assert_eq!(read("", b"{\"a\":\"\xe9\"}"), Ok(Some("{\"a\":\"\u{fffd}\"}".to_owned())));
        let utf_8 = "content-type: text/plain; charset=utf-8\r\n";
        assert_eq!(read(utf_8, b"{\"a\":\"\xe9\"}"), Err(FormProblem::MalformedText));
        assert_eq!(
            read("content-type: text/plain; charset=klingon\r\n", b"{}"),
            Err(FormProblem::MalformedText)
        );
        assert_eq!(read("", b"{"), Ok(None));
    }

    #[test]
    fn a_form_that_would_take_much_memory_is_not_decoded() {
        assert_eq!(to_json("a&".repeat(MAX_FIELDS).as_bytes(), None, None), Err(FormProblem::TooLarge));
        assert!(to_json("a&".repeat(MAX_FIELDS - 1).as_bytes(), None, None).is_ok());
        assert_eq!(to_json(&vec![b'a'; MAX_JSON_BYTES + 1], None, None), Err(FormProblem::TooLarge));
        let payload = format!("payload=\"{}\"", "x".repeat(2 * MAX_JSON_BYTES));
        assert_eq!(to_json(payload.as_bytes(), None, None), Err(FormProblem::TooLarge));
        assert_eq!(to_json(payload.as_bytes(), Some("payload"), None).as_deref(), Ok(&payload[8..]));
    }

    #[test]
    fn fields_that_are_signed_may_be_as_large_as_bodies_but_not_as_many() {
        let multipart = |part: &str, count: usize| {
            let parts =
                format!("--b\r\ncontent-disposition: form-data; name=a\r\n\r\n{part}\r\n").repeat(count);
            fields(format!("{parts}--b--\r\n").as_bytes(), Kind::Multipart("b".to_owned()))
        };
        let large = "x".repeat(5 << 20);
        let one = Some(vec![("a".to_owned(), large.clone())]);
        assert_eq!(fields(format!("a={large}").as_bytes(), Kind::UrlEncoded), one);
        assert_eq!(multipart(&large, 1), one);
        let many = "a&".repeat(MAX_FIELDS - 1);
        assert!(fields(many.as_bytes(), Kind::UrlEncoded).is_some());
        assert_eq!(fields(format!("{many}a&").as_bytes(), Kind::UrlEncoded), None);
        assert!(multipart("", MAX_FIELDS).is_some());
        assert_eq!(multipart("", MAX_FIELDS + 1), None);
        let files =
            "--b\r\ncontent-disposition: form-data; name=a; filename=f\r\n\r\n\r\n".repeat(MAX_FIELDS + 1);
        assert_eq!(fields(format!("{files}--b--\r\n").as_bytes(), Kind::Multipart("b".to_owned())), None);
        assert_eq!(fields(b"--b\r\nno end", Kind::Multipart("b".to_owned())), Some(Vec::new()));
    }
}
