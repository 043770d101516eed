//! TrueLayer: a detached JWS whose payload is method, path, the headers that it lists, and the
//! body. <https://github.com/TrueLayer/truelayer-signing>

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::parts::header_text;
use super::scheme::{Scheme, SchemeKeys};
use crate::content::request::Cause;
use crate::content::view::View;
use crate::scheme::key_store::VerifyError;
use crate::scheme::public_key::PublicAlgorithm;
use crate::scheme::signature::Terms;
use crate::scheme::template::path_of;

const MAX_HEADERS: usize = 64;

#[derive(Deserialize)]
struct TruelayerHeader {
    alg: String,
    kid: String,
    jku: Option<String>,
    tl_version: String,
    #[serde(default)]
    tl_headers: String,
}

/// TrueLayer, with a detached JWS.
#[derive(Debug)]
pub struct Truelayer;

impl Scheme for Truelayer {
    fn name(&self) -> &'static str {
        "truelayer"
    }

    fn in_words(&self) -> &'static str {
        "A detached JWS (ES512) over method, path, the headers that it lists, and the body, in header Tl-Signature"
    }

    fn secret_settings(&self) -> &'static [&'static str] {
        &[]
    }

    fn uses_published_keys(&self) -> bool {
        true
    }

    fn signs_url(&self) -> bool {
        true
    }

    fn check(&self, view: &View<'_>, terms: &Terms<'_>, _keys: &SchemeKeys) -> Result<(), VerifyError> {
        let (header, signature) = parts(view)?;
        let parsed = read_header(header)?;
        // The JWS names the URL of its key set, which must be the one that creel fetches.
        let jku = parsed.jku.as_deref().ok_or(Cause::WrongAccount)?;
        if terms.texts.first("allowed_jku") != Some(jku.as_bytes()) {
            return Err(Cause::WrongAccount.into());
        }
        let payload = payload(view, &parsed.tl_headers)?;
        let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(payload));
        let keys = terms.key_store.keys(Some(&parsed.kid))?;
        let is_match =
            keys.iter().any(|key| key.verify(PublicAlgorithm::Es512, signed.as_bytes(), &signature));
        if is_match { Ok(()) } else { Err(Cause::SignatureMismatch.into()) }
    }

    fn is_carried(&self, view: &View<'_>, _terms: &Terms<'_>) -> bool {
        let header = parts(view).and_then(|(header, _)| read_header(header));
        header.is_ok_and(|header| header.jku.is_some() && payload(view, &header.tl_headers).is_ok())
    }
}

/// Returns the header as written, and the signature.
fn parts<'a>(view: &'a View<'_>) -> Result<(&'a str, Vec<u8>), Cause> {
    let value = header_text(view, "tl-signature")?;
    let mut parts = value.split('.');
    let (Some(header), Some(""), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Cause::MalformedSignature);
    };
    Ok((header, decode(signature)?))
}

fn read_header(text: &str) -> Result<TruelayerHeader, Cause> {
    let header: TruelayerHeader =
        serde_json::from_slice(&decode(text)?).map_err(|_| Cause::MalformedSignature)?;
    if header.alg != "ES512" || header.tl_version != "2" {
        return Err(Cause::UnknownAlgorithm);
    }
    Ok(header)
}

fn decode(text: &str) -> Result<Vec<u8>, Cause> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| Cause::MalformedSignature)
}

fn payload(view: &View<'_>, listed: &str) -> Result<Vec<u8>, Cause> {
    let path = path_of(view.request.url);
    let mut text = format!("{} {path}\n", view.request.method.to_ascii_uppercase()).into_bytes();
    for name in listed.split(',').map(str::trim).filter(|name| !name.is_empty()).take(MAX_HEADERS) {
        let value = view.request.headers.single(&name.to_ascii_lowercase())?.ok_or(Cause::MissingHeader)?;
        text.extend_from_slice(name.as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value);
        text.push(b'\n');
    }
    text.extend_from_slice(view.request.body);
    Ok(text)
}
