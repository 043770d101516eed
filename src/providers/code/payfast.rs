//! Payfast: MD5 over the form fields in the order received, re-encoded as PHP does, and the
//! passphrase. <https://developers.payfast.co.za/docs#step_4_confirm_payment>

use md5::{Digest, Md5};
use subtle::ConstantTimeEq;

use super::super::draft::SampleDraft;
use super::parts::non_empty;
use super::scheme::{SampleSigner, Scheme, SchemeKeys};
use crate::content::request::{Cause, Secret};
use crate::content::view::{Texts, View};
use crate::scheme::encoding::Encoding;
use crate::scheme::error::KeyError;
use crate::scheme::key_store::VerifyError;
use crate::scheme::signature::Terms;

const FIELD: &str = "signature";

/// Payfast, with MD5 over the form.
#[derive(Debug)]
pub struct Payfast;

impl Scheme for Payfast {
    fn name(&self) -> &'static str {
        "payfast"
    }

    fn in_words(&self) -> &'static str {
        "MD5 over the form fields in the order received and the passphrase, in the form field signature"
    }

    fn rewrites_body(&self) -> bool {
        true
    }

    fn has_proof_in_body(&self) -> bool {
        true
    }

    fn key(&self, secret: &[u8]) -> Result<Vec<u8>, KeyError> {
        // Payfast ignores white space around the passphrase.
        non_empty(secret.trim_ascii()).map(<[u8]>::to_vec)
    }

    fn check(&self, view: &View<'_>, _terms: &Terms<'_>, keys: &SchemeKeys) -> Result<(), VerifyError> {
        let secrets = keys.secrets();
        let signature =
            view.form_field(FIELD)?.filter(|text| !text.is_empty()).ok_or(Cause::MissingHeader)?;
        let signature = Encoding::Hex.decode(signature.as_bytes(), 16).ok_or(Cause::MalformedSignature)?;
        let fields = view.whole_form()?;
        // Names are signed without encoding: with these characters, one field could pass as two.
        if fields.iter().any(|(name, _)| name.contains(['=', '&'])) {
            return Err(Cause::MalformedSignature.into());
        }
        // Payfast trims values before it signs them, and may send them untrimmed. Signatures over
        // untrimmed values are accepted too.
        let is_match = |secret: &Secret| {
            [php_trim as fn(&str) -> &str, |value| value]
                .into_iter()
                .any(|form| bool::from(digest(fields, form, secret).ct_eq(&signature[..16])))
        };
        if !secrets.iter().any(is_match) {
            return Err(Cause::SignatureMismatch.into());
        }
        if is_notification(view)? { Ok(()) } else { Err(Cause::ClaimMismatch.into()) }
    }

    fn is_carried(&self, view: &View<'_>, _terms: &Terms<'_>) -> bool {
        let signature = view.form_field(FIELD).ok().flatten();
        signature.is_some_and(|text| Encoding::Hex.decode(text.as_bytes(), 16).is_some())
            && is_notification(view) == Ok(true)
    }

    fn signer(&self) -> Option<SampleSigner> {
        Some(sign)
    }
}

/// Signs a sample; `None` if the source has no key for it.
fn sign(draft: &mut SampleDraft, _texts: &Texts, keys: &SchemeKeys) -> Option<()> {
    let secret = keys.secrets().first()?;
    let signature = Encoding::Hex.encode(&digest(&draft.form(), php_trim, secret));
    draft.body.push_str(&format!("&{FIELD}={signature}"));
    Some(())
}

fn is_notification(view: &View<'_>) -> Result<bool, Cause> {
    // A shop's checkout form is signed in the same way, and every buyer sees it. Only a
    // notification has `payment_status` and `pf_payment_id`. Only the latter can be empty: for a
    // cancelled subscription.
    let has_status =
        view.form_field("payment_status")?.is_some_and(|status| !status.is_empty() && is_bare(status));
    Ok(has_status && view.form_field("pf_payment_id")?.is_some_and(is_bare))
}

/// Whether a value has no surrounding white space. The signature does not cover that white space,
/// so adding some would turn a captured notification into a new message with another id.
fn is_bare(value: &str) -> bool {
    php_trim(value) == value && value.trim() == value
}

/// PHP's `trim`, which does not remove Unicode white space.
fn php_trim(value: &str) -> &str {
    value.trim_matches([' ', '\t', '\n', '\r', '\0', '\x0b'])
}

fn digest(fields: &[(String, String)], form: fn(&str) -> &str, passphrase: &Secret) -> [u8; 16] {
    let mut digest = Md5::new();
    for (name, value) in fields.iter().filter(|(name, _)| name != FIELD) {
        digest.update(name);
        digest.update("=");
        update_encoded(&mut digest, form(value).as_bytes());
        digest.update("&");
    }
    digest.update("passphrase=");
    update_encoded(&mut digest, passphrase.expose());
    digest.finalize().into()
}

/// Encodes as PHP's `urlencode`, which also escapes the star.
fn update_encoded(digest: &mut Md5, value: &[u8]) {
    for piece in form_urlencoded::byte_serialize(value) {
        for (number, part) in piece.split('*').enumerate() {
            if number > 0 {
                digest.update("%2A");
            }
            digest.update(part);
        }
    }
}
