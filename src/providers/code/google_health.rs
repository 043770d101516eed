//! Google Health API: a signature in the format of Tink, and the subscriber's secret in
//! `Authorization`. All subscribers share the keys, so with the signature alone, a message for one
//! subscriber could be sent to another. <https://developers.google.com/health/webhooks>

use subtle::ConstantTimeEq;

use super::parts::header;
use super::scheme::{Scheme, SchemeKeys};
use crate::content::request::{Cause, Secret};
use crate::content::view::View;
use crate::scheme::encoding::Encoding;
use crate::scheme::key_store::VerifyError;
use crate::scheme::public_key::{PublicAlgorithm, PublicKey};
use crate::scheme::signature::Terms;
use crate::scheme::tink;

/// The header in Google's reference, which Google sends, and the header in Google's guide.
const SIGNATURES: [&str; 2] = ["x-healthapi-signature", "google-health-api-signature"];

/// Google Health API, with a signature and a shared secret.
#[derive(Debug)]
pub struct GoogleHealth;

impl Scheme for GoogleHealth {
    fn name(&self) -> &'static str {
        "google-health"
    }

    fn in_words(&self) -> &'static str {
        "ECDSA P-256 with SHA-256 over the body, in header X-HEALTHAPI-SIGNATURE, as base64 of a five-byte key prefix and the signature; and the secret in header Authorization"
    }

    fn uses_published_keys(&self) -> bool {
        true
    }

    fn check(&self, view: &View<'_>, terms: &Terms<'_>, keys: &SchemeKeys) -> Result<(), VerifyError> {
        let secrets = keys.secrets();
        check_authorization(view, secrets)?;
        for (id, signature) in read(view)? {
            let keys = terms.key_store.keys(Some(&id.to_string()))?;
            let is_made_with =
                |key: &PublicKey| key.verify(PublicAlgorithm::EcdsaP256Sha256, view.request.body, &signature);
            if !keys.iter().any(is_made_with) {
                return Err(Cause::SignatureMismatch.into());
            }
        }
        Ok(())
    }

    fn is_carried(&self, view: &View<'_>, _terms: &Terms<'_>) -> bool {
        read(view).is_ok()
    }
}

/// Compares the whole header value, including the authentication scheme, with the secrets.
fn check_authorization(view: &View<'_>, secrets: &[Secret]) -> Result<(), Cause> {
    let presented = header(view, "authorization")?;
    let is_match = |secret: &Secret| bool::from(secret.expose().ct_eq(presented));
    if secrets.iter().any(is_match) { Ok(()) } else { Err(Cause::TokenMismatch) }
}

/// Reads the signatures, each with the id of its key; at least one.
fn read(view: &View<'_>) -> Result<Vec<(u32, Vec<u8>)>, Cause> {
    let mut signatures = Vec::new();
    for name in SIGNATURES {
        let Some(value) = view.request.headers.single(name)? else { continue };
        let bytes = Encoding::Base64.decode_any(value).ok_or(Cause::MalformedSignature)?;
        let (id, signature) = tink::split_signature(&bytes).ok_or(Cause::MalformedSignature)?;
        signatures.push((id, signature.to_vec()));
    }
    if signatures.is_empty() { Err(Cause::MissingHeader) } else { Ok(signatures) }
}
