//! Twilio: the URL as registered, then names and values of the form in order; for JSON the URL alone, whose query has the
//! body's digest. <https://www.twilio.com/docs/usage/webhooks/webhooks-security>
//!
//! Signed with the account's auth token and SHA-1, or, where a rule names a shared key, with that key and the algorithm in a
//! header (<https://www.twilio.com/docs/usage/webhooks/webhook-shared-keys>). Nothing signs that header, so it only
//! chooses among the keys of its own kind: a shared key never counts without it, nor the auth token with it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use ring::digest::{SHA256, digest};
use ring::hmac::{Algorithm, HMAC_SHA1_FOR_LEGACY_USE_ONLY as SHA1, HMAC_SHA256};
use subtle::ConstantTimeEq;

use super::super::draft::SampleDraft;
use super::parts::{any_hmac, header, hmac_text, is_hmac};
use super::scheme::{Scheme, SchemeKeys};
use crate::content::form;
use crate::content::request::Cause;
use crate::content::view::{Texts, View};
use crate::scheme::encoding::Encoding;
use crate::scheme::key_store::VerifyError;
use crate::scheme::signature::Terms;

const HEADER: &str = "x-twilio-signature";
/// The setting with shared keys.
const SHARED_KEY: &str = "shared_key";
const SETTINGS: &str = "x-twilio-webhooks-signature-settings";

/// Twilio, with the auth token or a shared key.
#[derive(Debug)]
pub struct Twilio;

impl Scheme for Twilio {
    fn name(&self) -> &'static str {
        "twilio"
    }

    fn in_words(&self) -> &'static str {
        "HMAC-SHA1 with the auth token, or HMAC-SHA256 or HMAC-SHA1 with a shared key if the header X-Twilio-Webhooks-Signature-Settings names one, over the URL and the sorted form, or the URL with bodySHA256 for JSON, in header X-Twilio-Signature, encoded as base64"
    }

    fn secret_settings(&self) -> &'static [&'static str] {
        &["secret", SHARED_KEY]
    }

    fn rewrites_body(&self) -> bool {
        true
    }

    fn signs_url(&self) -> bool {
        true
    }

    fn check(&self, view: &View<'_>, _terms: &Terms<'_>, keys: &SchemeKeys) -> Result<(), VerifyError> {
        let signature = header(view, HEADER)?;
        let shared = shared_key_algorithm(view)?;
        let (algorithm, secrets) = match shared {
            Some(algorithm) => (algorithm, keys.of(SHARED_KEY)),
            None => (SHA1, keys.secrets()),
        };
        if secrets.is_empty() {
            // The request may be genuine, but the source has no key of that kind.
            return Err(if shared.is_some() { Cause::UnknownKey } else { Cause::MissingHeader }.into());
        }
        let is_form = view.request.body.is_empty()
            || form::kind(view.request.headers) == Some(form::FormKind::UrlEncoded);
        let fields = if is_form { in_order(view.whole_form()?) } else { String::new() };
        // A form such as `=` adds nothing to the text, so a signature of the URL alone would match it. Twilio's library
        // accepts it; Twilio sends no such body.
        if is_form && fields.is_empty() && !view.request.body.is_empty() && !names_digest(view) {
            return Err(Cause::SignatureMismatch.into());
        }
        let mut refusal = Cause::SignatureMismatch;
        for url in variants(view.request.url) {
            let text = format!("{url}{fields}");
            match any_hmac(algorithm, secrets, text.as_bytes(), Encoding::Base64, &[signature]) {
                // What signs the URL alone may not vouch for an empty body or an empty form instead.
                Ok(()) if is_form && !names_digest(view) => return Ok(()),
                Ok(()) => return Ok(check_digest(view)?),
                Err(cause) => refusal = cause,
            }
        }
        Err(refusal.into())
    }

    fn is_carried(&self, view: &View<'_>, _terms: &Terms<'_>) -> bool {
        let Ok(shared) = shared_key_algorithm(view) else { return false };
        let algorithm = shared.unwrap_or(SHA1);
        header(view, HEADER).is_ok_and(|signature| is_hmac(algorithm, Encoding::Base64, signature))
    }

    fn sign(&self, draft: &mut SampleDraft, _texts: &Texts, keys: &SchemeKeys) -> Option<()> {
        // With the auth token if there is one, otherwise with a shared key.
        let (algorithm, secret) = match (keys.secrets().first(), keys.of(SHARED_KEY).first()) {
            (Some(token), _) => (SHA1, token),
            (None, shared) => {
                draft.push_header(SETTINGS, "key=sample,algorithm=HMAC_SHA256".to_owned());
                (HMAC_SHA256, shared?)
            }
        };
        let text = if draft.is_form() {
            format!("{}{}", draft.url, in_order(&draft.form()))
        } else {
            let body_digest = Encoding::Hex.encode(digest(&SHA256, draft.body.as_bytes()).as_ref());
            draft.add_query(&format!("bodySHA256={body_digest}"));
            draft.url.clone()
        };
        draft.push_header(HEADER, hmac_text(algorithm, secret, text.as_bytes(), Encoding::Base64));
        Some(())
    }
}

/// The algorithm of a signature that was made with a shared key; SHA-1 where none is named. `None` where the header is
/// absent or empty: the auth token has signed.
fn shared_key_algorithm(view: &View<'_>) -> Result<Option<Algorithm>, Cause> {
    let Some(settings) = view.request.headers.single(SETTINGS)? else { return Ok(None) };
    let pairs = settings.split(|byte| *byte == b',').filter_map(|pair| {
        let at = pair.iter().position(|byte| *byte == b'=')?;
        Some((pair[..at].trim_ascii(), pair[at + 1..].trim_ascii()))
    });
    let mut names = pairs.filter(|(key, _)| *key == b"algorithm").map(|(_, name)| name);
    match (names.next(), names.next()) {
        (None | Some(b""), None) => Ok(Some(SHA1)),
        (Some(name), None) if name.eq_ignore_ascii_case(b"HMAC_SHA1") => Ok(Some(SHA1)),
        (Some(name), None) if name.eq_ignore_ascii_case(b"HMAC_SHA256") => Ok(Some(HMAC_SHA256)),
        (Some(_), None) => Err(Cause::UnknownAlgorithm),
        (_, Some(_)) => Err(Cause::MalformedSignature),
    }
}

/// Names sorted, the values of a name sorted and each once, without anything between.
fn in_order(fields: &[(String, String)]) -> String {
    let mut sorted: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, value) in fields {
        sorted.entry(name).or_default().insert(value);
    }
    sorted
        .iter()
        .flat_map(|(name, values)| values.iter().map(move |value| format!("{name}{value}")))
        .collect()
}

/// The port may or may not have been in the URL that was signed: as it is, without it, with the scheme's own.
fn variants(url: &str) -> Vec<String> {
    let mut variants = vec![url.to_owned()];
    let Some((scheme, rest)) = url.split_once("://") else { return variants };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (host, tail) = rest.split_at(end);
    match host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit())) {
        Some((bare, _)) => variants.push(format!("{scheme}://{bare}{tail}")),
        None => {
            let port = if scheme == "http" { 80 } else { 443 };
            variants.push(format!("{scheme}://{host}:{port}{tail}"));
        }
    }
    variants
}

fn names_digest(view: &View<'_>) -> bool {
    digests(view).next().is_some()
}

/// The digests in the query of the URL that was signed.
fn digests<'a>(view: &View<'a>) -> impl Iterator<Item = Cow<'a, str>> {
    let query = view.request.url.split_once('?').map_or("", |(_, query)| query);
    let fields = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "bodySHA256");
    fields.map(|(_, claimed)| claimed)
}

fn check_digest(view: &View<'_>) -> Result<(), Cause> {
    let mut digests = digests(view);
    let claimed = match (digests.next(), digests.next()) {
        (Some(claimed), None) => claimed,
        _ => return Err(Cause::MissingHeader),
    };
    let claimed = Encoding::Hex.decode(claimed.as_bytes(), 32).ok_or(Cause::MalformedSignature)?;
    let actual = digest(&SHA256, view.request.body);
    if actual.as_ref().ct_eq(&claimed[..32]).into() { Ok(()) } else { Err(Cause::SignatureMismatch) }
}

#[cfg(test)]
mod tests {
    use super::variants;

    #[test]
    fn the_port_is_tried_both_ways() {
        assert_eq!(variants("https://a.example/x?y"), ["https://a.example/x?y", "https://a.example:443/x?y"]);
        assert_eq!(variants("http://a.example?y"), ["http://a.example?y", "http://a.example:80?y"]);
        assert_eq!(variants("https://a.example:8443/x"), ["https://a.example:8443/x", "https://a.example/x"]);
        assert_eq!(variants("nothing"), ["nothing"]);
    }
}
