//! eBay: the header is base64 of JSON that names the key and the digest.
//! <https://developer.ebay.com/api-docs/commerce/notification/overview.html>

use super::parts::header;
use super::scheme::{Scheme, SchemeKeys};
use crate::content::request::Cause;
use crate::content::view::View;
use crate::json::{Object, document};
use crate::scheme::encoding::Encoding;
use crate::scheme::key_store::MAX_ID_BYTES;
use crate::scheme::key_store::VerifyError;
use crate::scheme::public_key::PublicAlgorithm;
use crate::scheme::signature::Terms;

/// eBay, with a key that the header names.
#[derive(Debug)]
pub struct Ebay;

impl Scheme for Ebay {
    fn name(&self) -> &'static str {
        "ebay"
    }

    fn in_words(&self) -> &'static str {
        "ECDSA P-256 with SHA-1 over the body, in header X-EBAY-SIGNATURE, as base64 of JSON that names the key"
    }

    fn secret_settings(&self) -> &'static [&'static str] {
        &[]
    }

    fn uses_published_keys(&self) -> bool {
        true
    }

    fn check(&self, view: &View<'_>, terms: &Terms<'_>, _keys: &SchemeKeys) -> Result<(), VerifyError> {
        let (id, bytes) = read(view)?;
        let keys = terms.key_store.keys(Some(&id))?;
        let is_match =
            keys.iter().any(|key| key.verify(PublicAlgorithm::EcdsaP256Sha1, view.request.body, &bytes));
        if is_match { Ok(()) } else { Err(Cause::SignatureMismatch.into()) }
    }

    fn is_carried(&self, view: &View<'_>, _terms: &Terms<'_>) -> bool {
        read(view).is_ok_and(|(id, _)| (1..=MAX_ID_BYTES).contains(&id.len()))
    }
}

/// The id of the key, and the signature.
fn read(view: &View<'_>) -> Result<(String, Vec<u8>), Cause> {
    let value = header(view, "x-ebay-signature")?;
    let json = Encoding::Base64.decode_any(value).ok_or(Cause::MalformedSignature)?;
    let signature = document(&json).ok().and_then(Object::read).ok_or(Cause::MalformedSignature)?;
    let text = |name: &str| signature.text(name).ok_or(Cause::MalformedSignature);
    let algorithm = signature.get("alg").filter(|raw| *raw != "null");
    let is_ecdsa = match algorithm {
        Some(_) => text("alg")?.eq_ignore_ascii_case("ecdsa"),
        None => true,
    };
    if !is_ecdsa || !text("digest")?.eq_ignore_ascii_case("SHA1") {
        return Err(Cause::UnknownAlgorithm);
    }
    let bytes =
        Encoding::Base64.decode_any(text("signature")?.as_bytes()).ok_or(Cause::MalformedSignature)?;
    Ok((text("kid")?.into_owned(), bytes))
}
