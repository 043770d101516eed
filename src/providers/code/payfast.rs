//! Payfast: MD5 of the form fields in the order in which they came, encoded anew as PHP does, and the passphrase.
//! <https://developers.payfast.co.za/docs#step_4_confirm_payment>

use md5::{Digest, Md5};
use subtle::ConstantTimeEq;

use super::{Cause, Draft, Encoding, Secret, View};

const FIELD: &str = "signature";

pub fn check(view: &View<'_>, secrets: &[Secret]) -> Result<(), Cause> {
    let signature = view.form_field(FIELD)?.filter(|text| !text.is_empty()).ok_or(Cause::MissingHeader)?;
    let signature = Encoding::Hex.decode(signature.as_bytes(), 16).ok_or(Cause::MalformedSignature)?;
    let fields = view.whole_form()?;
    let is_right = |secret: &Secret| bool::from(digest(fields, secret).ct_eq(&signature[..16]));
    if secrets.iter().any(is_right) { Ok(()) } else { Err(Cause::SignatureMismatch) }
}

fn digest(fields: &[(String, String)], passphrase: &Secret) -> [u8; 16] {
    let mut text = String::new();
    for (name, value) in fields.iter().filter(|(name, _)| name != FIELD) {
        text.push_str(&format!("{name}={}&", encoded(value.trim().as_bytes())));
    }
    text.push_str(&format!("passphrase={}", encoded(passphrase.expose().trim_ascii())));
    Md5::digest(text.as_bytes()).into()
}

/// As PHP's `urlencode`, which also escapes the star.
fn encoded(value: &[u8]) -> String {
    form_urlencoded::byte_serialize(value).collect::<String>().replace('*', "%2A")
}

pub fn sign(draft: &mut Draft, secret: &Secret) -> Option<()> {
    let signature = Encoding::Hex.encode(&digest(&draft.form(), secret));
    draft.body.push_str(&format!("&{FIELD}={signature}"));
    Some(())
}
