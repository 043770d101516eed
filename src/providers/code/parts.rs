//! Shared parts of the schemes in code: HMACs and required headers.

use std::borrow::Cow;

use ring::hmac;
use subtle::ConstantTimeEq;

use crate::content::request::{Cause, Secret};
use crate::content::view::View;
use crate::scheme::encoding::Encoding;
use crate::scheme::error::KeyError;
use crate::scheme::layout::MAX_CANDIDATES;

/// Rejects an empty secret.
///
/// # Errors
/// The secret is empty.
pub fn non_empty(secret: &[u8]) -> Result<&[u8], KeyError> {
    if secret.is_empty() { Err(KeyError("is empty; anyone can sign with an empty key")) } else { Ok(secret) }
}

/// Checks that one of the encoded signatures matches the text with one of the secrets.
pub fn any_hmac(
    algorithm: hmac::Algorithm,
    secrets: &[Secret],
    text: &[u8],
    encoding: Encoding,
    signatures: &[&[u8]],
) -> Result<(), Cause> {
    let length = algorithm.digest_algorithm().output_len();
    let decoded: Vec<_> =
        signatures.iter().filter_map(|signature| encoding.decode(signature, length)).collect();
    if decoded.is_empty() {
        return Err(Cause::MalformedSignature);
    }
    let is_match = |secret: &Secret| {
        let tag = hmac::sign(&hmac::Key::new(algorithm, secret.expose()), text);
        decoded.iter().any(|signature| tag.as_ref().ct_eq(&signature[..length]).into())
    };
    if secrets.iter().any(is_match) { Ok(()) } else { Err(Cause::SignatureMismatch) }
}

/// Whether a text has the encoding and length of a signature made with the algorithm.
pub fn is_hmac(algorithm: hmac::Algorithm, encoding: Encoding, signature: &[u8]) -> bool {
    encoding.decode(signature, algorithm.digest_algorithm().output_len()).is_some()
}

/// Returns the value of a required header, which must occur once.
pub fn header<'a>(view: &View<'a>, name: &str) -> Result<&'a [u8], Cause> {
    view.request.headers.single(name)?.ok_or(Cause::MissingHeader)
}

/// Returns the lines of a list header, joined as a proxy would join them (RFC 9110, 5.3).
pub fn header_list<'a>(view: &View<'a>, name: &str) -> Result<Cow<'a, [u8]>, Cause> {
    let lines = view.request.headers.0.iter().filter(|(field, _)| *field == name);
    let lines = lines.map(|(_, value)| value.trim_ascii()).filter(|value| !value.is_empty());
    let lines: Vec<&[u8]> = lines.take(MAX_CANDIDATES + 1).collect();
    match lines.as_slice() {
        [] => Err(Cause::MissingHeader),
        [one] => Ok(Cow::Borrowed(one)),
        several if several.len() > MAX_CANDIDATES => Err(Cause::MalformedSignature),
        several => Ok(Cow::Owned(several.join(&b", "[..]))),
    }
}

/// Returns the value of a required header as text.
pub fn header_text<'a>(view: &View<'a>, name: &str) -> Result<&'a str, Cause> {
    std::str::from_utf8(header(view, name)?).map_err(|_| Cause::MalformedSignature)
}

pub fn hmac_text(algorithm: hmac::Algorithm, secret: &Secret, text: &[u8], encoding: Encoding) -> String {
    encoding.encode(hmac::sign(&hmac::Key::new(algorithm, secret.expose()), text).as_ref())
}
