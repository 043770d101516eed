//! A request with what is decoded of it on demand: most schemes need none of it, and none of it twice.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use super::charset;
use super::coding::{self, AtMost, CodingProblem};
use super::document::{self, PayloadFields};
use super::form;
use super::request::{Cause, Request, Secret};

/// What a source has configured, by setting; lists have several values.
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
    /// The form field that holds the JSON where a form has no other.
    payload_field: Option<&'a str>,
    /// The query field that holds the JSON of a GET.
    query_payload_field: Option<&'a str>,
    /// `None` inside: the document is the body.
    signed_document: OnceCell<Result<Option<String>, Cause>>,
    /// Nothing where it has too many.
    form: OnceCell<Option<Vec<(String, String)>>>,
    json: OnceCell<Option<String>>,
    /// The decompressed body; `None` if there is no content coding.
    decoded: OnceCell<Result<Option<Vec<u8>>, CodingProblem>>,
    max_decoded_bytes: usize,
}

/// Maximum decompressed size before authentication.
const MAX_DECODED_BYTES: usize = 2 << 20;
/// Maximum ratio of decompressed to received size before authentication, so that small requests stay cheap.
const MAX_DECODED_RATIO: usize = 100;
/// Decompressed size that is allowed regardless of the ratio.
const ALWAYS_DECODED_BYTES: usize = 128 << 10;

impl<'a> View<'a> {
    pub fn new(request: &'a Request<'a>, payload_field: Option<&'a str>) -> Self {
        let grown = request.body.len().saturating_mul(MAX_DECODED_RATIO);
        let max_decoded_bytes = grown.clamp(ALWAYS_DECODED_BYTES, MAX_DECODED_BYTES);
        Self {
            request,
            payload_field,
            query_payload_field: None,
            signed_document: OnceCell::new(),
            form: OnceCell::new(),
            json: OnceCell::new(),
            decoded: OnceCell::new(),
            max_decoded_bytes,
        }
    }

    /// Sets a lower limit for the decompressed body.
    #[must_use]
    pub fn decoding_at_most(self, max_decoded_bytes: usize) -> Self {
        Self { max_decoded_bytes, ..self }
    }

    /// Returns the body without its content codings.
    ///
    /// # Errors
    /// The body cannot be decompressed.
    pub fn decoded_body(&self) -> Result<&[u8], Cause> {
        let decoded = self.decoded.get_or_init(|| {
            let codings = coding::codings(self.request.headers)?;
            if codings.is_empty() || self.request.body.is_empty() {
                return Ok(None);
            }
            coding::decode(self.request.body, &codings, &mut AtMost(self.max_decoded_bytes)).map(Some)
        });
        match decoded {
            Ok(decoded) => Ok(decoded.as_deref().unwrap_or(self.request.body)),
            Err(CodingProblem::TooLarge | CodingProblem::NoRoom) => Err(Cause::TooLarge),
            Err(CodingProblem::Unknown | CodingProblem::Malformed) => Err(Cause::SignatureMismatch),
        }
    }

    /// Returns the decompressed body, or the raw body if that fails, since the Content-Encoding may be wrong.
    pub fn content(&self) -> &[u8] {
        self.decoded_body().unwrap_or(self.request.body)
    }

    /// The same for a sender that has the JSON of a GET in a query field.
    #[must_use]
    pub fn with_query_payload(self, field: Option<&'a str>) -> Self {
        Self { query_payload_field: field, ..self }
    }

    /// The JSON document as its sender signs it, wherever it is in the request.
    ///
    /// # Errors
    /// A request that could hold two documents.
    pub fn signed_document(&self) -> Result<&[u8], Cause> {
        let fields = PayloadFields { form: self.payload_field, query: self.query_payload_field };
        let found = self.signed_document.get_or_init(|| document::signed(self.request, fields));
        let text = found.as_ref().map_err(|cause| *cause)?;
        Ok(text.as_ref().map_or(self.request.body, String::as_bytes))
    }

    /// The body, or the JSON that stands in a field of the form or query for it.
    pub fn json(&self) -> &[u8] {
        let body = self.content();
        if self.payload_field.is_none() && self.query_payload_field.is_none() {
            return body;
        }
        let payload = self.json.get_or_init(|| match (self.payload_field, self.query_payload_field) {
            (_, Some(field)) if self.request.body.is_empty() => document::in_query(self.request, field),
            (Some(field), _) => {
                let kind = form::kind(self.request.headers)?;
                let declared = charset::declared(self.request.headers).ok()?;
                form::payload(body, kind, field, declared).ok()?
            }
            _ => None,
        });
        payload.as_ref().map_or(body, String::as_bytes)
    }

    /// The fields of a form body in the order received; none where the body is no form.
    fn form(&self) -> Result<&[(String, String)], Cause> {
        let fields = self.form.get_or_init(|| match form::kind(self.request.headers) {
            Some(kind) => form::fields(self.content(), kind),
            None => Some(Vec::new()),
        });
        fields.as_deref().ok_or(Cause::TooLarge)
    }

    /// The fields, where a scheme takes them for the whole body.
    ///
    /// # Errors
    /// A body that is no form has no fields: a signature of nothing must not stand for it. Nor may that of the fields stand for
    /// the files beside them.
    pub fn whole_form(&self) -> Result<&[(String, String)], Cause> {
        let is_empty = self.request.body.is_empty();
        if !is_empty && form::kind(self.request.headers) != Some(form::Kind::UrlEncoded) {
            return Err(Cause::SignatureMismatch);
        }
        let fields = self.form()?;
        if fields.is_empty() && !is_empty { Err(Cause::SignatureMismatch) } else { Ok(fields) }
    }

    /// # Errors
    /// A field that comes twice is ambiguous.
    pub fn form_field(&self, name: &str) -> Result<Option<&str>, Cause> {
        single(self.form()?.iter().filter(|(field, _)| field == name).map(|(_, value)| value.as_str()))
    }

    /// # Errors
    /// A field that comes twice is ambiguous.
    pub fn query_field(&self, name: &str) -> Result<Option<String>, Cause> {
        let fields = form_urlencoded::parse(self.request.query.as_bytes());
        single(fields.filter(|(field, _)| field == name).map(|(_, value)| value.into_owned()))
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
    use crate::verify::request::Headers;
    use crate::verify::template::{Scope, Template};

    /// Renders a JSON place and the decoded body of a request.
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
        let render =
            |text: &str| Template::parse(text).unwrap().render(&Scope::new(&view, &Texts::default()));
        (render("{json:a}"), render("{body:decoded}"))
    }

    #[test]
    fn compressed_body_is_decoded_for_templates() {
        let json = br#"{"a":"b"}"#;
        let decoded = (Ok(b"b".to_vec()), Ok(json.to_vec()));
        assert_eq!(read("deflate", &compress_to_vec_zlib(json, 6)), decoded);
        assert_eq!(read("identity", json), decoded);
        let wrong = (Ok(b"b".to_vec()), Err(Cause::SignatureMismatch));
        assert_eq!(read("gzip", json), wrong);
        assert_eq!(read("br", json), wrong);
        let bomb = compress_to_vec_zlib(&vec![b' '; ALWAYS_DECODED_BYTES + 1], 6);
        assert_eq!(read("deflate", &bomb), (Err(Cause::MissingHeader), Err(Cause::TooLarge)));
    }
}
