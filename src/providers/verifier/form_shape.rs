//! Checks that the headers declare a signed form as a readable form. Content-Type and
//! Content-Encoding are not signed: with wrong ones, a captured form would be parsed as another
//! format, and would be a new message without event and id.

use super::Verifier;
use crate::content::body::BodyKind;
use crate::content::charset;
use crate::content::coding::codings;
use crate::content::form::{self, FormKind, FormProblem};
use crate::content::request::{Cause, Headers};
use crate::content::view::View;
use crate::providers::recipe::Detail;

impl Verifier {
    /// Checks that the headers declare a form body as a form, if the recipe has a payload field.
    /// For any recipe, checks that the body of a declared form is neither encoded nor in a charset
    /// without ASCII.
    ///
    /// # Errors
    /// `ClaimMismatch` if the headers do not fit the form.
    pub(super) fn check_form_shape(&self, view: &View<'_>) -> Result<(), Cause> {
        let headers = view.request.headers;
        let is_declared = form::kind(headers) == Some(FormKind::UrlEncoded);
        let field = self.recipe.form_payload.as_deref();
        if !is_declared && field.is_none() {
            return Ok(());
        }
        // Without an id in the body, a captured form cannot become a new message.
        let is_id_in_body = self.recipe.delivery_id.iter().flatten().any(|id| matches!(id, Detail::Json(_)));
        let is_signed = !self.proofs.signatures.is_empty() || self.proofs.code.is_some();
        let body = view.request.body;
        if !is_id_in_body || !is_signed || !body.contains(&b'=') || !form::is_url_encoded(body) {
            return Ok(());
        }
        // The received bytes are a form, so they have no content coding, and their charset contains
        // ASCII.
        if !is_uncoded(headers) || (is_declared && !is_in_ascii(headers)) {
            return Err(Cause::ClaimMismatch);
        }
        let Some(field) = field else { return Ok(()) };
        let is_readable = match view.body_kind() {
            Ok(BodyKind::Json) => true,
            Ok(BodyKind::Form(FormKind::UrlEncoded)) => is_in_its_charset(view, field)?,
            Ok(BodyKind::Form(FormKind::Multipart(_)) | BodyKind::Other) => false,
            // Large bodies are decoded after authentication.
            Err(cause) => cause == Cause::TooLarge,
        };
        if is_readable { Ok(()) } else { Err(Cause::ClaimMismatch) }
    }
}

fn is_uncoded(headers: Headers<'_>) -> bool {
    codings(headers).is_ok_and(|codings| codings.is_empty())
}

/// Whether the declared charset, if any, is known and encodes `=` and `&` as in ASCII.
fn is_in_ascii(headers: Headers<'_>) -> bool {
    charset::declared(headers)
        .is_ok_and(|charset| charset.is_none_or(|charset| charset.is_ascii_compatible()))
}

/// Whether the form is valid in the declared charset, if any.
fn is_in_its_charset(view: &View<'_>, field: &str) -> Result<bool, Cause> {
    let declared = charset::declared(view.request.headers);
    if declared == Ok(None) {
        return Ok(true);
    }
    let body = view.decoded_body()?;
    let read = match form::payload(body, FormKind::UrlEncoded, field, declared) {
        Ok(None) => {
            declared.map_err(FormProblem::from).and_then(|charset| form::to_json(body, charset)).map(drop)
        }
        found => found.map(drop),
    };
    Ok(!matches!(read, Err(FormProblem::UnknownCharset | FormProblem::MalformedText)))
}
