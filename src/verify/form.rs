//! Form bodies: their fields, and the whole of one as JSON.

use std::borrow::Cow;
use std::collections::HashMap;

use bytes::Bytes;
use futures_util::FutureExt;
use serde::{Serialize, Serializer};

use super::json;
use super::request::Headers;

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

/// The fields in the order received, bytes that are not UTF-8 replaced; `None` where there are more than any sender's.
pub fn fields(body: &[u8], kind: Kind) -> Option<Vec<(String, String)>> {
    match kind {
        Kind::UrlEncoded => {
            let separators = body.iter().filter(|byte| **byte == b'&').count();
            let owned = |(name, value): (Cow<'_, str>, Cow<'_, str>)| (name.into_owned(), value.into_owned());
            (separators < MAX_FIELDS).then(|| form_urlencoded::parse(body).map(owned).collect())
        }
        Kind::Multipart(boundary) => parts(body, boundary),
    }
}

/// The parts of a multipart body that have a name and are no files; none where it is not well-formed, `None` where there are
/// too many.
fn parts(body: &[u8], boundary: String) -> Option<Vec<(String, String)>> {
    let whole = Bytes::copy_from_slice(body);
    let stream = futures_util::stream::iter([Ok::<_, std::convert::Infallible>(whole)]);
    let mut multipart = multer::Multipart::new(stream, boundary);
    let reading = async {
        let mut fields = Vec::new();
        for _ in 0..=MAX_FIELDS {
            let Some(field) = multipart.next_field().await? else { return Ok(Some(fields)) };
            let name = field.name().map(str::to_owned);
            let is_file = field.file_name().is_some();
            let value = field.bytes().await?;
            if let Some(name) = name.filter(|_| !is_file) {
                fields.push((name, String::from_utf8_lossy(&value).into_owned()));
            }
        }
        Ok::<_, multer::Error>(None)
    };
    // Everything is there already: nothing is waited for.
    reading.now_or_never().and_then(Result::ok).unwrap_or_else(|| Some(Vec::new()))
}

/// The JSON in the field that holds a form's payload.
pub fn payload(body: &[u8], kind: Kind, field: &str) -> Option<String> {
    match kind {
        Kind::UrlEncoded => sole_payload(body, field),
        Kind::Multipart(boundary) => {
            let mut values = parts(body, boundary)?.into_iter().filter(|(name, _)| name == field);
            match (values.next(), values.next()) {
                (Some((_, value)), None) if json::accepts(value.as_bytes()) => Some(value),
                _ => None,
            }
        }
    }
}

/// The form as the text of a JSON object: fields in the order of their first appearance, repeats as arrays,
/// bytes that are not UTF-8 replaced. A form whose only field is `unwrap` and holds JSON becomes that JSON.
/// `None` where it is too large for that.
pub fn to_json(body: &[u8], unwrap: Option<&str>) -> Option<String> {
    let separators = body.iter().filter(|byte| **byte == b'&').count();
    if separators == 0
        && let Some(payload) = unwrap.and_then(|name| sole_payload(body, name))
    {
        return Some(payload);
    }
    if body.len() > MAX_JSON_BYTES || separators >= MAX_FIELDS {
        return None;
    }
    let mut fields = Fields::default();
    for (name, value) in form_urlencoded::parse(body) {
        fields.push(name, value);
    }
    Some(serde_json::to_string(&fields).expect("text keys and text values always serialize"))
}

/// The fields as `to_json` has them, of either kind of form; files are left out. `None` where they are too many or too
/// large, and where there are none.
pub fn fields_to_json(body: &[u8], kind: Kind) -> Option<String> {
    let decoded = fields(body, kind)?;
    let bytes: usize = decoded.iter().map(|(name, value)| name.len() + value.len()).sum();
    if decoded.is_empty() || decoded.len() > MAX_FIELDS || bytes > MAX_JSON_BYTES {
        return None;
    }
    let mut all = Fields::default();
    for (name, value) in &decoded {
        all.push(Cow::Borrowed(name), Cow::Borrowed(value));
    }
    Some(serde_json::to_string(&all).expect("text keys and text values always serialize"))
}

/// The value of the only field, if it has this name and holds JSON.
fn sole_payload(body: &[u8], name: &str) -> Option<String> {
    if body.contains(&b'&') {
        return None;
    }
    let (found, value) = form_urlencoded::parse(body).next()?;
    (found == name && json::accepts(value.as_bytes())).then(|| value.into_owned())
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
            assert_eq!(to_json(form.as_bytes(), None).as_deref(), Some(json), "{form}");
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
            assert_eq!(to_json(form.as_bytes(), Some("payload")).as_deref(), Some(json), "{form}");
        }
    }

    #[test]
    fn multipart_fields_become_an_object_without_files() {
        let part = |head: &str, value: &str| {
            format!("--b\r\ncontent-disposition: form-data; {head}\r\n\r\n{value}\r\n")
        };
        let json = |parts: &[String]| {
            let body = format!("{}--b--\r\n", parts.concat());
            fields_to_json(body.as_bytes(), Kind::Multipart("b".to_owned()))
        };
        let (one, two) = (part("name=a", "x \u{e9}"), part("name=b", "1"));
        let file = part("name=c; filename=f.pdf", "not read");
        let all = json(&[one.clone(), file.clone(), two, one.clone()]);
        assert_eq!(all.as_deref(), Some("{\"a\":[\"x \u{e9}\",\"x \u{e9}\"],\"b\":\"1\"}"));
        // Only what is read counts towards the limit.
        let large_file = part("name=c; filename=f", &"x".repeat(MAX_JSON_BYTES + 1));
        assert_eq!(json(&[one, large_file]).as_deref(), Some("{\"a\":\"x \u{e9}\"}"));
        assert_eq!(json(&[part("name=a", &"x".repeat(MAX_JSON_BYTES))]), None);
        assert_eq!(json(&[file]), None);
    }

    #[test]
    fn a_form_that_would_take_much_memory_is_not_decoded() {
        assert_eq!(to_json("a&".repeat(MAX_FIELDS).as_bytes(), None), None);
        assert!(to_json("a&".repeat(MAX_FIELDS - 1).as_bytes(), None).is_some());
        assert_eq!(to_json(&vec![b'a'; MAX_JSON_BYTES + 1], None), None);
        let payload = format!("payload=\"{}\"", "x".repeat(2 * MAX_JSON_BYTES));
        assert_eq!(to_json(payload.as_bytes(), None), None);
        assert_eq!(to_json(payload.as_bytes(), Some("payload")).as_deref(), Some(&payload[8..]));
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
