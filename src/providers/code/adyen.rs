//! Adyen's payment notifications: every item of the body has its own signature, over eight of its
//! fields. <https://docs.adyen.com/development-resources/webhooks/verify-hmac-signatures>

use std::borrow::Cow;

use ring::hmac::HMAC_SHA256;
use serde_json::Value;

use super::super::draft::SampleDraft;
use super::parts::{any_hmac, hmac_text, is_hmac};
use super::scheme::{SampleSigner, Scheme, SchemeKeys};
use crate::content::request::Cause;
use crate::content::view::{Texts, View};
use crate::json::lookup::{JsonPath, items, member};
use crate::json::{text_of, without_mark};
use crate::scheme::encoding::{Encoding, KeyEncoding};
use crate::scheme::error::KeyError;
use crate::scheme::key_store::VerifyError;
use crate::scheme::signature::Terms;
use crate::scheme::trace::SignatureTrace;

/// Maximum number of items in a body. Adyen documents one item for JSON, and up to six for SOAP.
/// Each item has its own signature, so captured items could be combined into new messages.
const MAX_ITEMS: usize = 1;

/// The only field whose genuine values can contain a colon.
const FREE_FIELD: &str = "merchantReference";

const FIELDS: [&str; 8] = [
    "pspReference",
    "originalReference",
    "merchantAccountCode",
    FREE_FIELD,
    "amount.value",
    "amount.currency",
    "eventCode",
    "success",
];

/// Adyen's payment notifications.
#[derive(Debug)]
pub struct Adyen;

impl Scheme for Adyen {
    fn name(&self) -> &'static str {
        "adyen"
    }

    fn in_words(&self) -> &'static str {
        "HMAC-SHA256 over eight fields of each item joined by `:`, in the item's additionalData.hmacSignature, encoded as base64; the key is hex"
    }

    fn rewrites_body(&self) -> bool {
        true
    }

    fn has_proof_in_body(&self) -> bool {
        true
    }

    fn key(&self, secret: &[u8]) -> Result<Vec<u8>, KeyError> {
        KeyEncoding::Hex.decode(secret)
    }

    fn check(&self, view: &View<'_>, _terms: &Terms<'_>, keys: &SchemeKeys) -> Result<(), VerifyError> {
        let secrets = keys.secrets();
        for item in items_of(view)? {
            let (item, signature) = signed(item)?;
            any_hmac(
                HMAC_SHA256,
                secrets,
                text(item)?.as_bytes(),
                Encoding::Base64,
                &[signature.as_bytes()],
            )?;
        }
        Ok(())
    }

    fn is_carried(&self, view: &View<'_>, _terms: &Terms<'_>) -> bool {
        let is_signed = |item: &str| {
            signed(item).is_ok_and(|(item, signature)| {
                is_hmac(HMAC_SHA256, Encoding::Base64, signature.as_bytes()) && text(item).is_ok()
            })
        };
        items_of(view).is_ok_and(|items| items.into_iter().all(is_signed))
    }

    fn trace(&self, view: &View<'_>, keys: &SchemeKeys) -> Option<SignatureTrace> {
        let (item, signature) = signed(items_of(view).ok()?.first()?).ok()?;
        let (text, signature) = (text(item).ok()?.into_bytes(), signature.as_bytes());
        Some(SignatureTrace::of_hmac(HMAC_SHA256, keys.secrets(), text, Encoding::Base64, signature))
    }

    fn signer(&self) -> Option<SampleSigner> {
        Some(sign)
    }
}

/// Signs a sample; `None` if the source has no key for it, or the body has no items.
fn sign(draft: &mut SampleDraft, _texts: &Texts, keys: &SchemeKeys) -> Option<()> {
    let secret = keys.secrets().first()?;
    let mut body: Value = serde_json::from_str(&draft.body).ok()?;
    for item in body.get_mut("notificationItems")?.as_array_mut()? {
        let item = item.get_mut("NotificationRequestItem")?;
        let signed = text(&item.to_string()).ok()?;
        let signature = hmac_text(HMAC_SHA256, secret, signed.as_bytes(), Encoding::Base64);
        item.as_object_mut()?
            .entry("additionalData")
            .or_insert_with(|| Value::Object(serde_json::Map::new()))
            .as_object_mut()?
            .insert("hmacSignature".to_owned(), signature.into());
    }
    draft.body = body.to_string();
    Some(())
}

/// Returns the items, between 1 and `MAX_ITEMS`.
fn items_of<'a>(view: &'a View<'_>) -> Result<Vec<&'a str>, Cause> {
    let body = std::str::from_utf8(without_mark(view.json()?)).ok();
    let list = body.and_then(|body| member(body.trim(), "notificationItems"));
    let list = list.filter(|list| list.starts_with('[')).ok_or(Cause::MissingHeader)?;
    // The list is not parsed into a tree: before authentication, that would take a multiple of the
    // body's size in memory.
    let items = items(list).ok_or(Cause::TooLarge)?;
    match items.len() {
        0 => Err(Cause::MissingHeader),
        1..=MAX_ITEMS => Ok(items),
        _ => Err(Cause::MalformedSignature),
    }
}

/// Returns one item and its signature as sent.
fn signed(item: &str) -> Result<(&str, String), Cause> {
    let item = member(item, "NotificationRequestItem").ok_or(Cause::MissingHeader)?;
    let signature = find(item, "additionalData.hmacSignature")?.filter(|text| !text.is_empty());
    Ok((item, signature.ok_or(Cause::MissingHeader)?))
}

/// Returns the eight fields of an item, joined by colons. An absent field is empty.
///
/// Adyen escapes nothing, and a merchant's reference can contain colons. A colon in any other field
/// is rejected, so that the text can be split in only one way.
fn text(item: &str) -> Result<String, Cause> {
    let mut values = Vec::with_capacity(FIELDS.len());
    for field in FIELDS {
        let value = find(item, field)?.unwrap_or_default();
        if field != FREE_FIELD && value.contains(':') {
            return Err(Cause::MalformedSignature);
        }
        values.push(value);
    }
    Ok(values.join(":"))
}

/// Returns a string, or a number or literal as sent. Objects and arrays are rejected: a string
/// could have the same text.
fn find(item: &str, path: &str) -> Result<Option<String>, Cause> {
    let raw = JsonPath::parse(path).ok().and_then(|path| path.raw(item.as_bytes()));
    match raw.filter(|raw| *raw != "null") {
        None => Ok(None),
        Some(raw) if raw.starts_with(['{', '[']) => Err(Cause::MalformedSignature),
        Some(raw) if raw.starts_with('"') => Ok(text_of(raw).map(Cow::into_owned)),
        Some(raw) => Ok(Some(raw.to_owned())),
    }
}
