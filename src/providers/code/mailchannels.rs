//! MailChannels: an HTTP message signature (RFC 9421) over the body's digest (RFC 9530).
//! <https://docs.mailchannels.net/email-api/advanced/delivery-events>

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, SHA512, digest};
use sfv::{BareItem, Dictionary, InnerList, ListEntry, Parser};
use subtle::ConstantTimeEq;

use super::parts::{header, header_list, header_text};
use super::scheme::{Scheme, SchemeKeys};
use crate::content::request::Cause;
use crate::content::view::View;
use crate::scheme::freshness::SignedTime;
use crate::scheme::key_store::VerifyError;
use crate::scheme::public_key::PublicAlgorithm;
use crate::scheme::signature::Terms;

const MAX_COMPONENTS: usize = 16;

/// MailChannels, with an HTTP message signature.
#[derive(Debug)]
pub struct Mailchannels;

impl Scheme for Mailchannels {
    fn name(&self) -> &'static str {
        "mailchannels"
    }

    fn in_words(&self) -> &'static str {
        "An HTTP message signature (RFC 9421, Ed25519) over the Content-Digest of the body, in headers Signature and Signature-Input"
    }

    fn secret_settings(&self) -> &'static [&'static str] {
        &[]
    }

    fn has_proof_in_body(&self) -> bool {
        true
    }

    fn uses_published_keys(&self) -> bool {
        true
    }

    fn check(&self, view: &View<'_>, terms: &Terms<'_>, _keys: &SchemeKeys) -> Result<(), VerifyError> {
        check_digest(view)?;
        let inputs = dictionary(&header_list(view, "signature-input")?)?;
        let signatures = dictionary(&header_list(view, "signature")?)?;
        let mut rejection = VerifyError::Rejected(Cause::MalformedSignature);
        for (label, entry) in inputs.iter().take(MAX_COMPONENTS) {
            let ListEntry::InnerList(input) = entry else { continue };
            let Some(ListEntry::Item(item)) = signatures.get(label) else { continue };
            let BareItem::ByteSequence(signature) = &item.bare_item else { continue };
            match check_one(view, terms, input, signature) {
                Ok(()) => return Ok(()),
                Err(error) => rejection = error,
            }
        }
        Err(rejection)
    }

    fn is_carried(&self, view: &View<'_>, terms: &Terms<'_>) -> bool {
        let dictionary_in = |name| header_list(view, name).and_then(|lines| dictionary(&lines));
        let (Ok(inputs), Ok(signatures)) = (dictionary_in("signature-input"), dictionary_in("signature"))
        else {
            return false;
        };
        let is_one = |(label, entry): (&_, &ListEntry)| {
            let ListEntry::InnerList(input) = entry else { return false };
            let is_signature = |entry: &ListEntry| match entry {
                ListEntry::Item(item) => {
                    item.bare_item.as_byte_sequence().is_some_and(|bytes| bytes.len() == 64)
                }
                ListEntry::InnerList(_) => false,
            };
            let created = input.params.get("created").and_then(|item| item.as_integer());
            let is_fresh = created.is_some_and(|created| {
                SignedTime::Seconds(i64::from(created)).check(view.request.now, terms.tolerance).is_ok()
            });
            is_fresh
                && input.params.get("keyid").is_some_and(|item| item.as_string().is_some())
                && signatures.get(label).is_some_and(is_signature)
                && signature_base(view, input).is_ok()
        };
        check_digest(view).is_ok() && inputs.iter().take(MAX_COMPONENTS).any(is_one)
    }
}

fn dictionary(value: &[u8]) -> Result<Dictionary, Cause> {
    Parser::new(value).parse().map_err(|_| Cause::MalformedSignature)
}

/// Checks that the signed digest is the body's.
fn check_digest(view: &View<'_>) -> Result<(), Cause> {
    let digests = dictionary(header(view, "content-digest")?)?;
    let body = view.request.body;
    let known = [("sha-256", digest(&SHA256, body)), ("sha-512", digest(&SHA512, body))];
    for (name, actual) in &known {
        if let Some(ListEntry::Item(item)) = digests.get(*name)
            && let BareItem::ByteSequence(claimed) = &item.bare_item
        {
            let is_equal: bool = actual.as_ref().ct_eq(claimed).into();
            return if is_equal { Ok(()) } else { Err(Cause::SignatureMismatch) };
        }
    }
    Err(Cause::UnknownAlgorithm)
}

fn check_one(
    view: &View<'_>,
    terms: &Terms<'_>,
    input: &InnerList,
    signature: &[u8],
) -> Result<(), VerifyError> {
    let text =
        |name: &str| input.params.get(name).and_then(|item| item.as_string()).map(|text| text.as_str());
    if text("alg").is_some_and(|algorithm| algorithm != "ed25519") {
        return Err(Cause::UnknownAlgorithm.into());
    }
    let created =
        input.params.get("created").and_then(|item| item.as_integer()).ok_or(Cause::MalformedSignature)?;
    let base = signature_base(view, input)?;
    let id = text("keyid").ok_or(Cause::UnknownKey)?;
    let keys = terms.key_store.keys(Some(id))?;
    if !keys.iter().any(|key| key.verify(PublicAlgorithm::Ed25519, base.as_bytes(), signature)) {
        return Err(Cause::SignatureMismatch.into());
    }
    Ok(SignedTime::Seconds(i64::from(created)).check(view.request.now, terms.tolerance)?)
}

/// Returns the signature base: one line per covered component, and one for the parameters. The
/// components must include the body's digest.
fn signature_base(view: &View<'_>, input: &InnerList) -> Result<String, Cause> {
    let mut base = String::new();
    let mut covers_digest = false;
    for item in input.items.iter().take(MAX_COMPONENTS) {
        let name = item.bare_item.as_string().ok_or(Cause::MalformedSignature)?.as_str();
        let value = match name {
            "@method" => view.request.method.to_owned(),
            "@target-uri" => view.request.url.to_owned(),
            field if field.starts_with('@') => return Err(Cause::UnknownAlgorithm),
            field => header_text(view, field)?.to_owned(),
        };
        covers_digest |= name == "content-digest";
        base.push_str(&format!("\"{name}\": {value}\n"));
    }
    if !covers_digest || input.items.len() > MAX_COMPONENTS {
        return Err(Cause::MalformedSignature);
    }
    base.push_str(&format!("\"@signature-params\": {}", written(input)));
    Ok(base)
}

/// Returns the list in its canonical form (RFC 8941).
fn written(input: &InnerList) -> String {
    let items: Vec<String> = input.items.iter().map(|item| written_item(&item.bare_item)).collect();
    let params = input.params.iter().map(|(name, value)| match value {
        BareItem::Boolean(true) => format!(";{name}"),
        value => format!(";{name}={}", written_item(value)),
    });
    format!("({}){}", items.join(" "), params.collect::<String>())
}

fn written_item(item: &BareItem) -> String {
    match item {
        BareItem::String(text) => format!("\"{}\"", text.as_str().replace('\\', "\\\\").replace('"', "\\\"")),
        BareItem::Integer(number) => i64::from(*number).to_string(),
        BareItem::Token(token) => token.as_str().to_owned(),
        BareItem::Boolean(yes) => format!("?{}", u8::from(*yes)),
        BareItem::ByteSequence(bytes) => format!(":{}:", STANDARD.encode(bytes)),
        other => format!("{other:?}"),
    }
}
