//! Plivo, third version: the URL with its query sorted, the form's names and values sorted, and a nonce.
//! <https://www.plivo.com/docs/voice/concepts/signature-validation>

use ring::hmac::HMAC_SHA256;

use super::{Cause, Draft, Encoding, Secret, View, any_hmac, header, header_list, hmac_text, is_hmac};
use crate::verify::form;

const SIGNATURE: &str = "x-plivo-signature-v3";
const NONCE: &str = "x-plivo-signature-v3-nonce";

pub fn check(view: &View<'_>, secrets: &[Secret]) -> Result<(), Cause> {
    let signatures = header_list(view, SIGNATURE)?;
    let nonce = header(view, NONCE)?;
    // The nonce follows the form after a dot: with a dot in it, it could be a part of the last value.
    if nonce.contains(&b'.') {
        return Err(Cause::MalformedSignature);
    }
    // A body that is no form would not be part of the text at all.
    if !has_form(view) {
        return Err(Cause::SignatureMismatch);
    }
    let fields: Vec<(String, String)> = view.whole_form()?.to_vec();
    let text = text(view.request.method, view.request.url, fields, nonce);
    let candidates: Vec<&[u8]> = candidates(&signatures).collect();
    any_hmac(HMAC_SHA256, secrets, &text, Encoding::Base64, &candidates)
}

pub fn is_carried(view: &View<'_>) -> bool {
    let (Ok(signatures), Ok(_)) = (header_list(view, SIGNATURE), header(view, NONCE)) else { return false };
    has_form(view) && candidates(&signatures).any(|text| is_hmac(HMAC_SHA256, Encoding::Base64, text))
}

fn candidates(signatures: &[u8]) -> impl Iterator<Item = &[u8]> {
    signatures.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).take(16)
}

fn has_form(view: &View<'_>) -> bool {
    view.request.body.is_empty() || form::kind(view.request.headers) == Some(form::Kind::UrlEncoded)
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

pub fn sign(draft: &mut Draft, secret: &Secret) -> Option<()> {
    let nonce = draft.nonce.clone();
    let text = text("POST", &draft.url, draft.form(), nonce.as_bytes());
    draft.push_header(NONCE, nonce);
    draft.push_header(SIGNATURE, hmac_text(HMAC_SHA256, secret, &text, Encoding::Base64));
    Some(())
}
