//! Adyen's payment notifications: every item of the body is signed for itself, over eight of its fields.
//! <https://docs.adyen.com/development-resources/webhooks/verify-hmac-signatures>

use std::borrow::Cow;

use ring::hmac::HMAC_SHA256;
use serde_json::Value;

use super::{Cause, Draft, Encoding, Secret, View, any_hmac, hmac_text, is_hmac};
use crate::json::lookup::{JsonPath, items, member};
use crate::json::{text_of, without_mark};

/// Adyen sends one item over HTTPS; a body with more than this is no notification.
const MAX_ITEMS: usize = 100;

const FIELDS: [&str; 8] = [
    "pspReference",
    "originalReference",
    "merchantAccountCode",
    "merchantReference",
    "amount.value",
    "amount.currency",
    "eventCode",
    "success",
];

const OWN_REFERENCE: &str = "merchantReference";

pub fn check(view: &View<'_>, secrets: &[Secret]) -> Result<(), Cause> {
    for item in items_of(view)? {
        let (item, signature) = signed(item)?;
        // Colons are not escaped. Only the reference that the merchant chose may hold one, so that no field takes a part of
        // its neighbour.
        let has_colon = |field: &str| find(item, field).is_some_and(|text| text.contains(':'));
        if FIELDS.into_iter().any(|field| field != OWN_REFERENCE && has_colon(field)) {
            return Err(Cause::MalformedSignature);
        }
        any_hmac(HMAC_SHA256, secrets, text(item).as_bytes(), Encoding::Base64, &[signature.as_bytes()])?;
    }
    Ok(())
}

pub fn is_carried(view: &View<'_>) -> bool {
    let is_signed = |item: &str| {
        signed(item).is_ok_and(|(_, signature)| is_hmac(HMAC_SHA256, Encoding::Base64, signature.as_bytes()))
    };
    items_of(view).is_ok_and(|items| items.into_iter().all(is_signed))
}

/// Never empty.
fn items_of<'a>(view: &'a View<'_>) -> Result<Vec<&'a str>, Cause> {
    let body = std::str::from_utf8(without_mark(view.json()?)).ok();
    let list = body.and_then(|body| member(body.trim(), "notificationItems"));
    let list = list.filter(|list| list.starts_with('[')).ok_or(Cause::MissingHeader)?;
    // Not as a tree, which takes a multiple of the body before anybody knows whether it is genuine.
    let items = items(list).filter(|items| items.len() <= MAX_ITEMS).ok_or(Cause::TooLarge)?;
    if items.is_empty() { Err(Cause::MissingHeader) } else { Ok(items) }
}

/// One item, and its signature as it is written.
fn signed(item: &str) -> Result<(&str, String), Cause> {
    let item = member(item, "NotificationRequestItem").ok_or(Cause::MissingHeader)?;
    let signature = find(item, "additionalData.hmacSignature").filter(|text| !text.is_empty());
    Ok((item, signature.ok_or(Cause::MissingHeader)?))
}

/// An absent field is empty; none is escaped.
fn text(item: &str) -> String {
    FIELDS.map(|field| find(item, field).unwrap_or_default()).join(":")
}

/// A text, or a number or literal as it stands there.
fn find(item: &str, path: &str) -> Option<String> {
    let raw = JsonPath::parse(path).ok()?.raw(item.as_bytes()).filter(|raw| *raw != "null")?;
    if raw.starts_with('"') { text_of(raw).map(Cow::into_owned) } else { Some(raw.to_owned()) }
}

pub fn sign(draft: &mut Draft, secret: &Secret) -> Option<()> {
    let mut body: Value = serde_json::from_str(&draft.body).ok()?;
    for item in body.get_mut("notificationItems")?.as_array_mut()? {
        let item = item.get_mut("NotificationRequestItem")?;
        let signed = text(&item.to_string());
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
