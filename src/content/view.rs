//! A request whose parts are decoded on demand, and at most once: most schemes do not need any
//! decoded part.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use super::body::{self, BodyKind, DecodedBody};
use super::charset::{self, DeclaredCharset};
use super::coding::{self, ByteLimit, CodingProblem};
use super::document::{self, PayloadFields};
use super::form::{self, FormFields, FormProblem};
use super::request::{Cause, Request, Secret};
use crate::json;

/// The configured values of a source, by setting; lists have several values.
#[derive(Clone, Debug, Default)]
pub struct Texts(BTreeMap<String, Vec<Secret>>);

impl Texts {
    pub fn insert(&mut self, name: &str, values: Vec<Secret>) {
        self.0.insert(name.to_owned(), values);
    }

    pub fn all(&self, name: &str) -> &[Secret] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    pub fn first(&self, name: &str) -> Option<&[u8]> {
        self.all(name).first().map(Secret::expose)
    }
}

/// A request and its decoded parts.
#[derive(Debug)]
pub struct View<'a> {
    pub request: &'a Request<'a>,
    /// The form field that holds the JSON.
    payload_field: Option<&'a str>,
    /// The query field that holds the JSON of a GET.
    query_payload_field: Option<&'a str>,
    /// `Ok(None)` if the document is the whole body.
    signed_document: OnceCell<Result<Option<String>, Cause>>,
    /// Contains `None` if the form has too many fields.
    form: OnceCell<Option<FormFields>>,
    /// The JSON of a body that is not itself JSON in UTF-8.
    json: OnceCell<Result<Option<String>, Cause>>,
    opened: OnceCell<Result<DecodedBody, CodingProblem>>,
    /// The JSON, if it was read after authentication, with the limits that apply then.
    read_json: Option<&'a [u8]>,
    max_decoded_bytes: usize,
}

/// Maximum decompressed size before authentication.
const MAX_DECODED_BYTES: usize = 2 << 20;
/// Maximum ratio of decompressed to received size before authentication, so that small requests
/// stay cheap.
const MAX_DECODED_RATIO: usize = 100;
/// Decompressed size that is allowed regardless of the ratio.
const MIN_DECODE_LIMIT_BYTES: usize = 128 << 10;

impl<'a> View<'a> {
    pub fn new(request: &'a Request<'a>, payload_field: Option<&'a str>) -> Self {
        let grown = request.body.len().saturating_mul(MAX_DECODED_RATIO);
        let max_decoded_bytes = grown.clamp(MIN_DECODE_LIMIT_BYTES, MAX_DECODED_BYTES);
        Self {
            request,
            payload_field,
            query_payload_field: None,
            signed_document: OnceCell::new(),
            form: OnceCell::new(),
            json: OnceCell::new(),
            opened: OnceCell::new(),
            read_json: None,
            max_decoded_bytes,
        }
    }

    /// Sets the maximum size of the decompressed body.
    #[must_use]
    pub fn decoding_at_most(self, max_decoded_bytes: usize) -> Self {
        Self { max_decoded_bytes, ..self }
    }

    /// Sets the JSON that was read from an authenticated request.
    #[must_use]
    pub fn with_json(self, json: &'a [u8]) -> Self {
        let max_decoded_bytes = self.max_decoded_bytes.max(form::MAX_JSON_BYTES);
        Self { read_json: Some(json), max_decoded_bytes, ..self }
    }

    fn opened(&self) -> Result<&DecodedBody, Cause> {
        let opened =
            self.opened.get_or_init(|| body::open(self.request, &mut ByteLimit(self.max_decoded_bytes)));
        opened.as_ref().map_err(|problem| match problem {
            CodingProblem::TooLarge | CodingProblem::NoRoom => Cause::TooLarge,
            CodingProblem::Unknown | CodingProblem::Malformed => Cause::SignatureMismatch,
        })
    }

    /// Returns the kind of the body without its content codings.
    ///
    /// # Errors
    /// The body cannot be decompressed.
    pub fn body_kind(&self) -> Result<&BodyKind, Cause> {
        Ok(&self.opened()?.kind)
    }

    /// Returns the body without its content codings.
    ///
    /// # Errors
    /// The body cannot be decompressed.
    pub fn decoded_body(&self) -> Result<&[u8], Cause> {
        let is_plain = coding::codings(self.request.headers).is_ok_and(|codings| codings.is_empty());
        if is_plain { Ok(self.request.body) } else { Ok(self.opened()?.bytes(self.request.body)) }
    }

    /// Sets the query field in which the sender puts the JSON of a GET.
    #[must_use]
    pub fn with_query_payload(self, field: Option<&'a str>) -> Self {
        Self { query_payload_field: field, ..self }
    }

    /// Returns the signed JSON document: the body, or a field of the form or query.
    ///
    /// # Errors
    /// See `document::signed`.
    pub fn signed_document(&self) -> Result<&[u8], Cause> {
        let fields = PayloadFields { form: self.payload_field, query: self.query_payload_field };
        let found = self.signed_document.get_or_init(|| document::signed(self.request, fields));
        let text = found.as_ref().map_err(|cause| *cause)?;
        Ok(text.as_ref().map_or(self.request.body, String::as_bytes))
    }

    /// Returns the JSON of the request: the decoded body, or a field of the form or query. Empty if
    /// that is not JSON.
    ///
    /// # Errors
    /// The body cannot be decompressed, or is too large to be decoded.
    pub fn json(&self) -> Result<&[u8], Cause> {
        if let Some(json) = self.read_json {
            return Ok(json);
        }
        let opened = self.opened()?;
        let body = opened.bytes(self.request.body);
        if opened.kind == BodyKind::Json {
            return Ok(body);
        }
        let text = self.json.get_or_init(|| self.text_of_json(&opened.kind, body));
        Ok(text.as_ref().map_err(|cause| *cause)?.as_ref().map_or(&[], String::as_bytes))
    }

    fn text_of_json(&self, kind: &BodyKind, body: &[u8]) -> Result<Option<String>, Cause> {
        if self.request.body.is_empty() {
            let text = self.query_payload_field.and_then(|field| document::in_query(self.request, field));
            return Ok(text.filter(|text| json::accepts(text.as_bytes())));
        }
        if let BodyKind::Form(kind) = kind {
            let Some(field) = self.payload_field else { return Ok(None) };
            let payload = form::payload(body, kind.clone(), field, self.charset());
            return payload.or_else(|problem| match problem {
                FormProblem::TooLarge => Err(Cause::TooLarge),
                _ => Ok(None),
            });
        }
        let Ok(Some((charset, mark))) = charset::of_json(body, self.request.headers) else { return Ok(None) };
        if body.len() > self.max_decoded_bytes {
            return Err(Cause::TooLarge);
        }
        Ok(charset::decode(&body[mark..], charset).ok().filter(|text| json::accepts(text.as_bytes())))
    }

    fn charset(&self) -> DeclaredCharset {
        charset::declared(self.request.headers)
    }

    /// Returns the fields of a body that is read as a form, in the order received; no fields for
    /// any other body.
    fn form(&self) -> Result<&FormFields, Cause> {
        let opened = self.opened()?;
        let fields = self.form.get_or_init(|| match &opened.kind {
            BodyKind::Form(kind) => {
                let declared = self.charset().ok().flatten();
                form::fields(opened.bytes(self.request.body), kind.clone(), declared)
            }
            BodyKind::Json | BodyKind::Other => Some(FormFields { values: Vec::new(), is_exact: true }),
        });
        fields.as_ref().ok_or(Cause::TooLarge)
    }

    /// Returns the fields, for a scheme that signs them instead of the whole body.
    ///
    /// # Errors
    /// The body is not empty and is not a urlencoded form, or it is a form that has no fields or
    /// has invalid bytes. A signature over no fields must not verify another body, a signature over
    /// fields must not verify the files next to them, and text with replaced bytes is not the
    /// signed text.
    pub fn whole_form(&self) -> Result<&[(String, String)], Cause> {
        let is_empty = self.request.body.is_empty();
        if !is_empty && self.opened()?.kind != BodyKind::Form(form::FormKind::UrlEncoded) {
            return Err(Cause::SignatureMismatch);
        }
        let fields = self.form()?;
        let is_whole = fields.is_exact && (is_empty || !fields.values.is_empty());
        if is_whole { Ok(&fields.values) } else { Err(Cause::SignatureMismatch) }
    }

    /// Returns the value of a form field; `None` if it is absent or has bytes that are invalid in
    /// its charset.
    ///
    /// # Errors
    /// A repeated field is ambiguous.
    pub fn form_field(&self, name: &str) -> Result<Option<&str>, Cause> {
        let fields = self.form()?;
        let named = fields.values.iter().filter(|(field, _)| field == name);
        let value = single(named.map(|(_, value)| value.as_str()))?;
        Ok(value.filter(|value| fields.is_exact || !value.contains(char::REPLACEMENT_CHARACTER)))
    }

    /// Returns the value of a query field; `None` if it is absent or not UTF-8.
    ///
    /// # Errors
    /// A repeated field is ambiguous.
    pub fn query_field(&self, name: &str) -> Result<Option<String>, Cause> {
        let value = single(form::values(self.request.query, name))?;
        Ok(value.and_then(|bytes| String::from_utf8(bytes.into_owned()).ok()))
    }
}

fn single<T>(mut values: impl Iterator<Item = T>) -> Result<Option<T>, Cause> {
    match (values.next(), values.next()) {
        (Some(_), Some(_)) => Err(Cause::MalformedSignature),
        (value, _) => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use miniz_oxide::deflate::compress_to_vec_zlib;
    use time::OffsetDateTime;

    use super::*;
    use crate::content::request::Headers;

    /// Returns the JSON and the decoded body of a request.
    fn read(coding: &str, body: &[u8]) -> (Result<Vec<u8>, Cause>, Result<Vec<u8>, Cause>) {
        let fields = [("content-encoding", coding.as_bytes())];
        let request = Request {
            method: "POST",
            target: "/",
            query: "",
            url: "",
            headers: Headers(&fields),
            body,
            now: OffsetDateTime::UNIX_EPOCH,
        };
        let view = View::new(&request, None);
        (view.json().map(<[u8]>::to_vec), view.decoded_body().map(<[u8]>::to_vec))
    }

    #[test]
    fn compressed_body_is_decoded() {
        let json = br#"{"a":"b"}"#;
        let decoded = (Ok(json.to_vec()), Ok(json.to_vec()));
        assert_eq!(read("deflate", &compress_to_vec_zlib(json, 6)), decoded);
        assert_eq!(read("identity", json), decoded);
        // A body that is JSON as received is not decoded.
        assert_eq!(read("gzip", json), decoded);
        assert_eq!(read("br", json), decoded);
        let wrong = (Err(Cause::SignatureMismatch), Err(Cause::SignatureMismatch));
        assert_eq!(read("gzip", b"a=b"), wrong);
        assert_eq!(read("br", b"a=b"), wrong);
        let bomb = compress_to_vec_zlib(&vec![b' '; MIN_DECODE_LIMIT_BYTES + 1], 6);
        assert_eq!(read("deflate", &bomb), (Err(Cause::TooLarge), Err(Cause::TooLarge)));
    }
}
