//! eBay: the header is base64 of JSON that names the key and the digest.
//! <https://developer.ebay.com/api-docs/commerce/notification/overview.html>

use super::{Cause, Encoding, Unproven, View, header};
use crate::json::{Object, document};
use crate::scheme::outside::{MAX_ID_BYTES, Outside};
use crate::scheme::public_key::PublicAlgorithm;

pub fn check(view: &View<'_>, outside: &dyn Outside) -> Result<(), Unproven> {
    let (id, bytes) = read(view)?;
    let keys = outside.keys(Some(&id))?;
    let is_right =
        keys.iter().any(|key| key.verify(PublicAlgorithm::EcdsaP256Sha1, view.request.body, &bytes));
    if is_right { Ok(()) } else { Err(Cause::SignatureMismatch.into()) }
}

pub fn is_carried(view: &View<'_>) -> bool {
    read(view).is_ok_and(|(id, _)| (1..=MAX_ID_BYTES).contains(&id.len()))
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
