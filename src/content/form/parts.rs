//! The parts of a multipart form.

use bytes::Bytes;
use encoding_rs::UTF_8;
use futures_util::FutureExt;
use multer::Field;
use serde::Serialize;

use super::url_encoded::{MAX_FIELDS, named_charset, unescaped};
use crate::content::charset::{self, CharsetProblem, DeclaredCharset, parameters};

/// One part of a multipart form.
pub struct FormPart {
    /// `None` if it is absent, not UTF-8, or repeated.
    pub name: Option<String>,
    /// Empty for a file.
    pub value: Bytes,
    /// Charset from the part's Content-Type; otherwise the declared charset of the form. If neither
    /// exists and the value is not UTF-8, the charset that a field of the form names.
    pub charset: DeclaredCharset,
    /// `None` if the part is not a file; `Some(None)` if the file's name or type is unreadable.
    pub file: Option<Option<FormFile>>,
}

/// The description of a file, without its content.
#[derive(Serialize)]
pub struct FormFile {
    filename: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    /// Size in bytes.
    size: usize,
}

impl FormPart {
    /// Decodes the value.
    ///
    /// # Errors
    /// The charset of the part is unknown, or the value is invalid in that charset.
    pub fn text(&self) -> Result<String, CharsetProblem> {
        charset::decode(&self.value, self.charset?.unwrap_or(UTF_8))
    }

    /// Returns the size of the part in bytes; for a file, only of its description.
    pub fn bytes(&self) -> usize {
        let file = self.file.as_ref().and_then(Option::as_ref);
        let described =
            file.map_or(0, |file| file.filename.len() + file.content_type.as_ref().map_or(0, String::len));
        self.name.as_ref().map_or(0, String::len) + self.value.len() + described
    }
}

/// Returns the parts of a multipart body: no parts if the body is malformed, `None` if there are
/// more than `MAX_FIELDS`.
pub fn parts(body: &[u8], boundary: String, declared: DeclaredCharset) -> Option<Vec<FormPart>> {
    let whole = Bytes::copy_from_slice(body);
    let stream = futures_util::stream::iter([Ok::<_, std::convert::Infallible>(whole)]);
    let mut multipart = multer::Multipart::new(stream, boundary);
    let reading = async {
        let mut parts = Vec::new();
        for _ in 0..=MAX_FIELDS {
            let Some(field) = multipart.next_field().await? else { return Ok(Some(parts)) };
            parts.push(part(field, declared).await?);
        }
        Ok::<_, multer::Error>(None)
    };
    // The whole body is in memory, so the future is ready immediately.
    let mut parts = reading.now_or_never().and_then(Result::ok).unwrap_or_else(|| Some(Vec::new()))?;
    let has_unknown_charset =
        |part: &FormPart| part.charset == Ok(None) && std::str::from_utf8(&part.value).is_err();
    if parts.iter().any(has_unknown_charset) {
        let named = |part: &'_ FormPart| Some((part.name.clone()?, part.value.clone()));
        let fields: Vec<(String, Bytes)> = parts.iter().filter_map(named).collect();
        let charset = named_charset(fields.iter().map(|(name, value)| (name.as_bytes(), &value[..])));
        parts.iter_mut().filter(|part| has_unknown_charset(part)).for_each(|part| part.charset = Ok(charset));
    }
    Some(parts)
}

async fn part(field: Field<'_>, declared: DeclaredCharset) -> multer::Result<FormPart> {
    let header = |name: &str| field.headers().get(name).map(|value| value.as_bytes().to_vec());
    let content_type = header("content-type");
    let is_repeated = field.headers().get_all("content-disposition").iter().count() > 1;
    let disposition = header("content-disposition").unwrap_or_default();
    let name = name(&disposition).filter(|_| !is_repeated);
    let filename = filename(&disposition);
    let value = field.bytes().await?;
    if let Some(filename) = filename {
        let content_type = content_type.map(String::from_utf8).transpose();
        let file = filename.zip(content_type.ok());
        let file =
            file.map(|(filename, content_type)| FormFile { filename, content_type, size: value.len() });
        return Ok(FormPart { name, value: Bytes::new(), charset: declared, file: Some(file) });
    }
    let own = content_type.map_or(Ok(None), |value| charset::of_content_type(&value));
    Ok(FormPart { name, value, charset: if own == Ok(None) { declared } else { own }, file: None })
}

/// Returns the name of a part; `None` if it is absent, not UTF-8, or repeated.
fn name(disposition: &[u8]) -> Option<String> {
    let mut names = parameters(disposition).filter(|(name, _)| name.eq_ignore_ascii_case(b"name"));
    let (Some((_, value)), None) = (names.next(), names.next()) else { return None };
    String::from_utf8(value.to_vec()).ok().map(unquoted)
}

fn unquoted(value: String) -> String {
    match value.strip_prefix('"').and_then(|value| value.strip_suffix('"')) {
        Some(inner) => inner.replace("\\\"", "\""),
        None => value,
    }
}

/// Returns the name of a file; `Some(None)` if it is unreadable, `None` if the part is not a file.
fn filename(disposition: &[u8]) -> Option<Option<String>> {
    let of = |wanted: &[u8]| {
        let found = parameters(disposition).find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.map(|(_, value)| String::from_utf8(value.to_vec()).ok())
    };
    if let Some(value) = of(b"filename") {
        return Some(value.map(unquoted));
    }
    // RFC 8187: `UTF-8''%e2%82%ac.txt`. A plus sign is literal there.
    let extended = |value: String| {
        let (charset, rest) = value.split_once('\'')?;
        let (_, escaped) = rest.split_once('\'').filter(|_| charset.eq_ignore_ascii_case("utf-8"))?;
        String::from_utf8(unescaped(escaped.replace('+', "%2B").as_bytes()).into_owned()).ok()
    };
    of(b"filename*").map(|value| value.and_then(extended))
}
