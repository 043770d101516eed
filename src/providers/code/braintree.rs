//! Braintree: two form fields, the payload and a list of signatures, each next to the public key of
//! its account. <https://developer.paypal.com/braintree/docs/guides/webhooks/parse>

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use ring::hmac;

use super::super::draft::SampleDraft;
use super::parts::{any_hmac, hmac_text, is_hmac};
use super::scheme::{SampleSigner, Scheme, SchemeKeys};
use crate::content::request::Cause;
use crate::content::view::{Texts, View};
use crate::scheme::encoding::Encoding;
use crate::scheme::error::KeyError;
use crate::scheme::key_store::VerifyError;
use crate::scheme::shape::has_shape_of_id;
use crate::scheme::signature::Terms;
use crate::scheme::trace::SignatureTrace;

const ALGORITHM: hmac::Algorithm = hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY;

/// Braintree, with two form fields.
#[derive(Debug)]
pub struct Braintree;

impl Scheme for Braintree {
    fn name(&self) -> &'static str {
        "braintree"
    }

    fn in_words(&self) -> &'static str {
        "HMAC-SHA1 over the form field bt_payload, in bt_signature next to the public key; the key is the SHA-1 of the private key"
    }

    fn rewrites_body(&self) -> bool {
        true
    }

    fn has_proof_in_body(&self) -> bool {
        true
    }

    fn rejects_challenges(&self) -> bool {
        true
    }

    fn key(&self, secret: &[u8]) -> Result<Vec<u8>, KeyError> {
        // The HMAC's key is the digest of the private key.
        Ok(digest(&SHA1_FOR_LEGACY_USE_ONLY, secret).as_ref().to_vec())
    }

    fn check(&self, view: &View<'_>, terms: &Terms<'_>, keys: &SchemeKeys) -> Result<(), VerifyError> {
        let secrets = keys.secrets();
        let signatures =
            view.form_field("bt_signature")?.filter(|text| !text.is_empty()).ok_or(Cause::MissingHeader)?;
        let payload =
            view.form_field("bt_payload")?.filter(|text| !text.is_empty()).ok_or(Cause::MissingHeader)?;
        let public_key = terms.texts.first("public_key").ok_or(Cause::MissingHeader)?;
        let ours: Vec<&[u8]> = signatures
            .split('&')
            .take(16)
            .filter_map(|pair| pair.split_once('|'))
            .filter(|(key, _)| key.as_bytes() == public_key)
            .map(|(_, signature)| signature.as_bytes())
            .collect();
        if ours.is_empty() {
            return Err(Cause::WrongAccount.into());
        }
        // Some of Braintree's libraries sign the payload followed by a line break.
        let plain = any_hmac(ALGORITHM, secrets, payload.as_bytes(), Encoding::Hex, &ours);
        plain.or_else(|_| {
            any_hmac(ALGORITHM, secrets, format!("{payload}\n").as_bytes(), Encoding::Hex, &ours)
        })?;
        // creel signs challenges for unauthenticated requests, so a valid signature over a text of
        // that shape does not authenticate Braintree. A payload is longer: it is XML in base64.
        if has_shape_of_id(payload.trim().as_bytes()) { Err(Cause::ClaimMismatch.into()) } else { Ok(()) }
    }

    fn is_carried(&self, view: &View<'_>, _terms: &Terms<'_>) -> bool {
        let field = |name| view.form_field(name).ok().flatten().filter(|text| !text.is_empty());
        let is_signed = |pair: &str| {
            let signature = pair.split_once('|').map(|(_, signature)| signature.as_bytes());
            signature.is_some_and(|signature| is_hmac(ALGORITHM, Encoding::Hex, signature))
        };
        let has_payload = field("bt_payload").is_some_and(|text| !has_shape_of_id(text.trim().as_bytes()));
        has_payload && field("bt_signature").is_some_and(|text| text.split('&').take(16).any(is_signed))
    }

    fn trace(&self, view: &View<'_>, keys: &SchemeKeys) -> Option<SignatureTrace> {
        let payload = view.form_field("bt_payload").ok()??.as_bytes().to_vec();
        let (_, signature) = view.form_field("bt_signature").ok()??.split_once('|')?;
        let signature = signature.split('&').next()?.as_bytes();
        Some(SignatureTrace::of_hmac(ALGORITHM, keys.secrets(), payload, Encoding::Hex, signature))
    }

    fn signer(&self) -> Option<SampleSigner> {
        Some(sign)
    }
}

/// Signs a sample; `None` if the source has no key for it.
fn sign(draft: &mut SampleDraft, texts: &Texts, keys: &SchemeKeys) -> Option<()> {
    let secret = keys.secrets().first()?;
    let payload = format!("{}\n", Encoding::Base64.encode(draft.body.as_bytes()));
    let signature = hmac_text(ALGORITHM, secret, payload.as_bytes(), Encoding::Hex);
    let public_key = String::from_utf8_lossy(texts.first("public_key")?).into_owned();
    draft.body = form_urlencoded::Serializer::new(String::new())
        .append_pair("bt_signature", &format!("{public_key}|{signature}"))
        .append_pair("bt_payload", &payload)
        .finish();
    Some(())
}
