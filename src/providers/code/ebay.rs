//! eBay: the header is base64 of JSON that names the key and the digest.
//! <https://developer.ebay.com/api-docs/commerce/notification/overview.html>

use serde::Deserialize;

use super::{Cause, Encoding, Unproven, View, header};
use crate::verify::outside::Outside;
use crate::verify::public_key::PublicAlgorithm;

#[derive(Deserialize)]
struct Signature {
    kid: String,
    signature: String,
    digest: String,
    alg: Option<String>,
}

pub fn check(view: &View<'_>, outside: &dyn Outside) -> Result<(), Unproven> {
    let value = header(view, "x-ebay-signature")?;
    let json = Encoding::Base64.decode_any(value).ok_or(Cause::MalformedSignature)?;
    let signature: Signature = serde_json::from_slice(&json).map_err(|_| Cause::MalformedSignature)?;
    let is_ecdsa = signature.alg.as_deref().is_none_or(|name| name.eq_ignore_ascii_case("ecdsa"));
    if !is_ecdsa || !signature.digest.eq_ignore_ascii_case("SHA1") {
        return Err(Cause::UnknownAlgorithm.into());
    }
    let bytes =
        Encoding::Base64.decode_any(signature.signature.as_bytes()).ok_or(Cause::MalformedSignature)?;
    let keys = outside.keys(Some(&signature.kid))?;
    let is_right =
        keys.iter().any(|key| key.verify(PublicAlgorithm::EcdsaP256Sha1, view.request.body, &bytes));
    if is_right { Ok(()) } else { Err(Cause::SignatureMismatch.into()) }
}
