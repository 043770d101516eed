//! Plivo, third version: the URL with its query sorted, the form's names and values sorted, and a
//! nonce. <https://www.plivo.com/docs/voice/concepts/signature-validation>

use ring::hmac::HMAC_SHA256;

use super::super::draft::SampleDraft;
use super::parts::{any_hmac, header, header_list, hmac_text, is_hmac};
use super::scheme::{SampleSigner, Scheme, SchemeKeys};
use crate::content::form;
use crate::content::request::Cause;
use crate::content::view::{Texts, View};
use crate::scheme::encoding::Encoding;
use crate::scheme::key_store::VerifyError;
use crate::scheme::signature::Terms;
use crate::scheme::trace::SignatureTrace;

const SIGNATURE: &str = "x-plivo-signature-v3";
const NONCE: &str = "x-plivo-signature-v3-nonce";

/// Plivo, third version.
#[derive(Debug)]
pub struct PlivoV3;

impl Scheme for PlivoV3 {
    fn name(&self) -> &'static str {
        "plivo-v3"
    }

    fn in_words(&self) -> &'static str {
        "HMAC-SHA256 over the URL with sorted query, the sorted form and a nonce, in header X-Plivo-Signature-V3, encoded as base64"
    }

    fn rewrites_body(&self) -> bool {
        true
    }

    fn has_proof_in_body(&self) -> bool {
        true
    }

    fn signs_url(&self) -> bool {
        true
    }

    fn check(&self, view: &View<'_>, _terms: &Terms<'_>, keys: &SchemeKeys) -> Result<(), VerifyError> {
        let secrets = keys.secrets();
        let signatures = header_list(view, SIGNATURE)?;
        let nonce = nonce(view)?;
        // A body in another format would not be part of the signed text.
        if !has_form(view) {
            return Err(Cause::SignatureMismatch.into());
        }
        let fields: Vec<(String, String)> = view.whole_form()?.to_vec();
        // Plivo sends parameters with every POST. Without this check, the parameters of a captured
        // form could be moved into the query.
        if fields.is_empty() && view.request.method != "GET" {
            return Err(Cause::SignatureMismatch.into());
        }
        if !are_names(&fields) {
            return Err(Cause::MalformedSignature.into());
        }
        let text = text(view.request.method, view.request.url, fields, nonce);
        let candidates: Vec<&[u8]> = candidates(&signatures).collect();
        Ok(any_hmac(HMAC_SHA256, secrets, &text, Encoding::Base64, &candidates)?)
    }

    fn is_carried(&self, view: &View<'_>, _terms: &Terms<'_>) -> bool {
        let (Ok(signatures), Ok(_)) = (header_list(view, SIGNATURE), nonce(view)) else { return false };
        has_form(view) && candidates(&signatures).any(|text| is_hmac(HMAC_SHA256, Encoding::Base64, text))
    }

    fn trace(&self, view: &View<'_>, keys: &SchemeKeys) -> Option<SignatureTrace> {
        let (signatures, nonce) = (header_list(view, SIGNATURE).ok()?, nonce(view).ok()?);
        let fields = view.whole_form().ok()?.to_vec();
        let text = text(view.request.method, view.request.url, fields, nonce);
        let signature = candidates(&signatures).next()?;
        Some(SignatureTrace::of_hmac(HMAC_SHA256, keys.secrets(), text, Encoding::Base64, signature))
    }

    fn signer(&self) -> Option<SampleSigner> {
        Some(sign)
    }
}

/// Signs a sample; `None` if the source has no key for it.
fn sign(draft: &mut SampleDraft, _texts: &Texts, keys: &SchemeKeys) -> Option<()> {
    let secret = keys.secrets().first()?;
    let nonce = draft.nonce.clone();
    let text = text("POST", &draft.url, draft.form(), nonce.as_bytes());
    draft.push_header(NONCE, nonce);
    draft.push_header(SIGNATURE, hmac_text(HMAC_SHA256, secret, &text, Encoding::Base64));
    Some(())
}

/// Returns the nonce. The signed text ends with a dot and the nonce: if the nonce could contain a
/// dot, the end of the last field could be moved into the nonce.
fn nonce<'a>(view: &View<'a>) -> Result<&'a [u8], Cause> {
    let nonce = header(view, NONCE)?;
    if nonce.contains(&b'.') { Err(Cause::MalformedSignature) } else { Ok(nonce) }
}

fn candidates(signatures: &[u8]) -> impl Iterator<Item = &[u8]> {
    signatures.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).take(16)
}

fn has_form(view: &View<'_>) -> bool {
    view.request.body.is_empty() || form::kind(view.request.headers) == Some(form::FormKind::UrlEncoded)
}

/// Whether the names are spelt as Plivo's: each begins with a capital letter (`CallUUID`,
/// `X-PH-Id`) or is one of a callback (`record_url`, `requester_ip`), or all are in lower case. A
/// name that contains text moved from another field rarely has one of these spellings.
fn are_names(fields: &[(String, String)]) -> bool {
    let is_capital = |name: &str| {
        name.starts_with(|first: char| first.is_ascii_uppercase())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let is_small = |name: &str| {
        name.starts_with(|first: char| first.is_ascii_lowercase())
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    let is_callback_name = |name: &str| is_small(name) && name.contains('_');
    fields.iter().all(|(name, _)| is_small(name))
        || fields.iter().all(|(name, _)| is_capital(name) || is_callback_name(name))
}

fn text(method: &str, url: &str, mut form: Vec<(String, String)>, nonce: &[u8]) -> Vec<u8> {
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let mut query: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes())
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    if method == "GET" {
        query.append(&mut form);
    }
    query.sort();
    form.sort();
    let query: Vec<String> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut text = base.to_owned();
    if !query.is_empty() || !form.is_empty() {
        text.push('?');
        text.push_str(&query.join("&"));
    }
    if !query.is_empty() && !form.is_empty() {
        text.push('.');
    }
    text.extend(form.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]));
    text.push('.');
    [text.as_bytes(), nonce].concat()
}
