//! Twilio signs the URL as registered, followed by the sorted names and values of the form. For
//! JSON, it signs only the URL, whose query contains the body's digest.
//! <https://www.twilio.com/docs/usage/webhooks/webhooks-security>
//!
//! The key is the account's auth token with SHA-1, or a shared key with the algorithm in a header
//! (<https://www.twilio.com/docs/usage/webhooks/webhook-shared-keys>). That header is not signed,
//! so it only selects the kind of key: a shared key is never accepted without it, nor the auth
//! token with it.

use std::collections::{BTreeMap, BTreeSet};

use ring::digest::{SHA256, digest};
use ring::hmac::{Algorithm, HMAC_SHA1_FOR_LEGACY_USE_ONLY as SHA1, HMAC_SHA256};
use subtle::ConstantTimeEq;

use super::super::draft::SampleDraft;
use super::parts::{any_hmac, header, hmac_text, is_hmac};
use super::scheme::{SampleSigner, Scheme, SchemeKeys};
use crate::content::form;
use crate::content::request::Cause;
use crate::content::view::{Texts, View};
use crate::scheme::encoding::Encoding;
use crate::scheme::key_store::VerifyError;
use crate::scheme::signature::Terms;
use crate::scheme::trace::SignatureTrace;

const HEADER: &str = "x-twilio-signature";
/// The setting with shared keys.
const SHARED_KEY: &str = "shared_key";
/// The field of the query with the body's digest.
const DIGEST_FIELD: &str = "bodySHA256";
const ACCOUNT_FIELD: &str = "AccountSid";
const ACCOUNT_START: &str = "AC";
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
        let is_form = is_form(view);
        let fields = if is_form { in_order(view.whole_form()?) } else { String::new() };
        // A form such as `=` adds nothing to the text, and neither does an empty body, so a
        // signature of the URL alone would match them. Twilio's library accepts them; Twilio sends
        // parameters with every POST.
        let claimed = claimed_digest(view.request.url)?;
        let is_get_without_body = view.request.method == "GET" && view.request.body.is_empty();
        if is_form && claimed.is_none() && fields.is_empty() && !is_get_without_body {
            return Err(Cause::SignatureMismatch.into());
        }
        if is_moved(view, is_form)? {
            return Err(Cause::MalformedSignature.into());
        }
        let mut rejection = Cause::SignatureMismatch;
        for url in variants(view.request.url) {
            let text = format!("{url}{fields}");
            match any_hmac(algorithm, secrets, text.as_bytes(), Encoding::Base64, &[signature]) {
                Ok(()) => return Ok(check_digest(view, claimed.as_deref(), is_form)?),
                Err(cause) => rejection = cause,
            }
        }
        Err(rejection.into())
    }

    fn is_carried(&self, view: &View<'_>, _terms: &Terms<'_>) -> bool {
        let Ok(shared) = shared_key_algorithm(view) else { return false };
        let algorithm = shared.unwrap_or(SHA1);
        header(view, HEADER).is_ok_and(|signature| is_hmac(algorithm, Encoding::Base64, signature))
    }

    fn trace(&self, view: &View<'_>, keys: &SchemeKeys) -> Option<SignatureTrace> {
        let signature = header(view, HEADER).ok()?;
        let (algorithm, secrets) = match shared_key_algorithm(view).ok()? {
            Some(algorithm) => (algorithm, keys.of(SHARED_KEY)),
            None => (SHA1, keys.secrets()),
        };
        let fields = if is_form(view) { in_order(view.whole_form().ok()?) } else { String::new() };
        let text = format!("{}{fields}", view.request.url).into_bytes();
        Some(SignatureTrace::of_hmac(algorithm, secrets, text, Encoding::Base64, signature))
    }

    fn signer(&self) -> Option<SampleSigner> {
        Some(sign)
    }
}

fn is_form(view: &View<'_>) -> bool {
    view.request.body.is_empty() || form::kind(view.request.headers) == Some(form::FormKind::UrlEncoded)
}

/// Signs a sample; `None` if the source has no key for it.
fn sign(draft: &mut SampleDraft, _texts: &Texts, keys: &SchemeKeys) -> Option<()> {
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

/// The algorithm of a signature made with a shared key; SHA-1 by default. `None` if the header is
/// absent or empty: the signature is made with the auth token.
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

/// Joins sorted names, each with its sorted distinct values, without separators.
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

/// Returns the URLs that may have been signed: as received, without the port, and with the default
/// port.
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

/// Returns the body's digest from the signed URL. Twilio adds it as the last field of the query. If
/// other text follows, the field may be part of a form (e.g. a message's text) that was moved
/// there.
fn claimed_digest(url: &str) -> Result<Option<Vec<u8>>, Cause> {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    if !form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == DIGEST_FIELD) {
        return Ok(None);
    }
    let (before, last) = query.rsplit_once('&').unwrap_or(("", query));
    let is_repeated = form_urlencoded::parse(before.as_bytes()).any(|(name, _)| name == DIGEST_FIELD);
    let digits = last.strip_prefix(DIGEST_FIELD).and_then(|rest| rest.strip_prefix('='));
    let digits =
        digits.filter(|digits| digits.len() == 64 && !is_repeated).ok_or(Cause::MalformedSignature)?;
    Encoding::Hex
        .decode(digits.as_bytes(), 32)
        .map(|digest| Some(digest[..32].to_vec()))
        .ok_or(Cause::MalformedSignature)
}

fn check_digest(view: &View<'_>, claimed: Option<&[u8]>, is_form: bool) -> Result<(), Cause> {
    match claimed {
        // Without this check, an empty body, or a form that adds no text, could replace the signed
        // body.
        Some(claimed) if digest(&SHA256, view.request.body).as_ref().ct_eq(claimed).into() => Ok(()),
        Some(_) => Err(Cause::SignatureMismatch),
        None if is_form => Ok(()),
        None => Err(Cause::MissingHeader),
    }
}

/// Whether a part of a signed form has been moved into the query, or of a signed query into a form.
/// Every request of Twilio has an account: as the field `AccountSid` of its form, or of the query
/// if it has no form.
fn is_moved(view: &View<'_>, is_form: bool) -> Result<bool, Cause> {
    let query = view.request.url.split_once('?').map_or("", |(_, query)| query);
    let is_account = |name: &str, value: &str| name == ACCOUNT_FIELD && value.starts_with(ACCOUNT_START);
    let fields = if is_form { view.whole_form()? } else { &[] };
    // A query separates name and value; only a form that was moved there joins them.
    if query.contains(&format!("{ACCOUNT_FIELD}{ACCOUNT_START}")) {
        return Ok(true);
    }
    if !fields.is_empty() {
        // Only a query that was moved into the form has these characters in a name.
        if fields.iter().any(|(name, _)| name.contains(['=', '&'])) {
            return Ok(true);
        }
        let text = format!("{query}{}", in_order(fields));
        return Ok(
            text.contains(ACCOUNT_FIELD) && !fields.iter().any(|(name, value)| is_account(name, value))
        );
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::variants;

    #[test]
    fn url_is_verified_with_and_without_port() {
        assert_eq!(variants("https://a.example/x?y"), ["https://a.example/x?y", "https://a.example:443/x?y"]);
        assert_eq!(variants("http://a.example?y"), ["http://a.example?y", "http://a.example:80?y"]);
        assert_eq!(variants("https://a.example:8443/x"), ["https://a.example:8443/x", "https://a.example/x"]);
        assert_eq!(variants("nothing"), ["nothing"]);
    }
}
