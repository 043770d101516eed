//! A request with what is decoded of it on demand: most schemes need none of it, and none of it twice.

use std::cell::OnceCell;
use std::collections::BTreeMap;

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
}

impl<'a> View<'a> {
    pub const fn new(request: &'a Request<'a>, payload_field: Option<&'a str>) -> Self {
        Self {
            request,
            payload_field,
            query_payload_field: None,
            signed_document: OnceCell::new(),
            form: OnceCell::new(),
            json: OnceCell::new(),
        }
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
        if self.payload_field.is_none() && self.query_payload_field.is_none() {
            return self.request.body;
        }
        let payload = self.json.get_or_init(|| match (self.payload_field, self.query_payload_field) {
            (_, Some(field)) if self.request.body.is_empty() => document::in_query(self.request, field),
            (Some(field), _) => form::payload(self.request.body, form::kind(self.request.headers)?, field),
            _ => None,
        });
        payload.as_ref().map_or(self.request.body, String::as_bytes)
    }

    /// The fields of a form body in the order received; none where the body is no form.
    fn form(&self) -> Result<&[(String, String)], Cause> {
        let fields = self.form.get_or_init(|| match form::kind(self.request.headers) {
            Some(kind) => form::fields(self.request.body, kind),
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
