//! Contentful: method, path, the headers that the request itself lists, and the body.
//! <https://www.contentful.com/developers/docs/webhooks/request-verification/>

use ring::hmac::HMAC_SHA256;

use super::super::draft::SampleDraft;
use super::parts::{any_hmac, header, header_text, hmac_text, is_hmac};
use super::scheme::{SampleSigner, Scheme, SchemeKeys};
use crate::content::request::Cause;
use crate::content::view::{Texts, View};
use crate::scheme::encoding::Encoding;
use crate::scheme::freshness::{SignedTime, TimestampUnit};
use crate::scheme::key_store::VerifyError;
use crate::scheme::signature::Terms;
use crate::scheme::template::path_of;
use crate::scheme::trace::SignatureTrace;

const SIGNATURE: &str = "x-contentful-signature";
const SIGNED_HEADERS: &str = "x-contentful-signed-headers";
const TIMESTAMP: &str = "x-contentful-timestamp";
const MAX_SIGNED_HEADERS: usize = 64;

/// Contentful, with the headers that the request lists.
#[derive(Debug)]
pub struct Contentful;

impl Scheme for Contentful {
    fn name(&self) -> &'static str {
        "contentful"
    }

    fn in_words(&self) -> &'static str {
        "HMAC-SHA256 over method, path, the headers that the request lists, and the body, in header x-contentful-signature, encoded as hex"
    }

    fn signs_url(&self) -> bool {
        true
    }

    fn check(&self, view: &View<'_>, terms: &Terms<'_>, keys: &SchemeKeys) -> Result<(), VerifyError> {
        let secrets = keys.secrets();
        let signature = header(view, SIGNATURE)?;
        let (text, moment) = signed_text(view)?;
        any_hmac(HMAC_SHA256, secrets, &text, Encoding::Hex, &[signature])?;
        Ok(moment.check(view.request.now, terms.tolerance)?)
    }

    fn is_carried(&self, view: &View<'_>, terms: &Terms<'_>) -> bool {
        header(view, SIGNATURE).is_ok_and(|signature| is_hmac(HMAC_SHA256, Encoding::Hex, signature))
            && signed_headers(view)
                .is_ok_and(|(_, moment)| moment.check(view.request.now, terms.tolerance).is_ok())
    }

    fn trace(&self, view: &View<'_>, keys: &SchemeKeys) -> Option<SignatureTrace> {
        let (signature, (text, _)) = (header(view, SIGNATURE).ok()?, signed_text(view).ok()?);
        Some(SignatureTrace::of_hmac(HMAC_SHA256, keys.secrets(), text, Encoding::Hex, signature))
    }

    fn signer(&self) -> Option<SampleSigner> {
        Some(sign)
    }
}

/// Signs a sample; `None` if the source has no key for it.
fn sign(draft: &mut SampleDraft, _texts: &Texts, keys: &SchemeKeys) -> Option<()> {
    let secret = keys.secrets().first()?;
    let timestamp = TimestampUnit::Milliseconds.write(draft.now);
    let listed = format!("{SIGNED_HEADERS},{TIMESTAMP}");
    let lines = [format!("{SIGNED_HEADERS}:{listed}"), format!("{TIMESTAMP}:{timestamp}")];
    let text = text("POST", path_of(&draft.url), &lines, draft.body.as_bytes());
    let signature = hmac_text(HMAC_SHA256, secret, &text, Encoding::Hex);
    draft.push_header(SIGNED_HEADERS, listed);
    draft.push_header(TIMESTAMP, timestamp);
    draft.push_header(SIGNATURE, signature);
    Some(())
}

/// Returns the signed text of a request, and the time in it.
fn signed_text(view: &View<'_>) -> Result<(Vec<u8>, SignedTime), Cause> {
    let (names, moment) = signed_headers(view)?;
    let lines: Vec<String> = names
        .iter()
        .map(|name| {
            let value = view.request.headers.single(name)?.unwrap_or_default();
            Ok(format!("{name}:{}", String::from_utf8_lossy(value)))
        })
        .collect::<Result<_, Cause>>()?;
    Ok((text(view.request.method, path_of(view.request.url), &lines, view.request.body), moment))
}

/// Returns the names of the signed headers, and the time in one of them.
fn signed_headers(view: &View<'_>) -> Result<(Vec<String>, SignedTime), Cause> {
    let names: Vec<String> =
        header_text(view, SIGNED_HEADERS)?.split(',').map(|name| name.trim().to_ascii_lowercase()).collect();
    // A name with one of these characters could make one header look like several.
    if names.iter().any(|name| name.is_empty() || name.contains([':', ';'])) {
        return Err(Cause::MalformedSignature);
    }
    // Without this check, an attacker could omit the timestamp from the list, so that an old
    // message passes as new.
    if names.len() > MAX_SIGNED_HEADERS
        || ![TIMESTAMP, SIGNED_HEADERS].iter().all(|name| names.iter().any(|listed| listed == name))
    {
        return Err(Cause::MalformedSignature);
    }
    let moment = TimestampUnit::Milliseconds.parse(header(view, TIMESTAMP)?)?;
    Ok((names, moment))
}

fn text(method: &str, path: &str, headers: &[String], body: &[u8]) -> Vec<u8> {
    [format!("{method}\n{path}\n{}\n", headers.join(";")).as_bytes(), body].concat()
}
