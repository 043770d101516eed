//! Adyen's payment notifications: every item of the body is signed for itself, over eight of its fields.
//! <https://docs.adyen.com/development-resources/webhooks/verify-hmac-signatures>

use ring::hmac::HMAC_SHA256;
use serde_json::Value;

use super::{Cause, Draft, Encoding, Secret, View, any_hmac, hmac_text};

/// Adyen sends one item over HTTPS; a body with more than this is no notification.
const MAX_BYTES: usize = 1 << 20;
const MAX_ITEMS: usize = 100;

pub fn check(view: &View<'_>, secrets: &[Secret]) -> Result<(), Cause> {
    if view.json().len() > MAX_BYTES {
        return Err(Cause::MissingHeader);
    }
    let body: Value = serde_json::from_slice(view.json()).map_err(|_| Cause::MissingHeader)?;
    let items = body.get("notificationItems").and_then(Value::as_array).ok_or(Cause::MissingHeader)?;
    if items.is_empty() || items.len() > MAX_ITEMS {
        return Err(Cause::MissingHeader);
    }
    for item in items {
        let item = item.get("NotificationRequestItem").ok_or(Cause::MissingHeader)?;
        let signature = item.pointer("/additionalData/hmacSignature").and_then(Value::as_str);
        let signature = signature.filter(|text| !text.is_empty()).ok_or(Cause::MissingHeader)?;
        any_hmac(HMAC_SHA256, secrets, text(item).as_bytes(), Encoding::Base64, &[signature.as_bytes()])?;
    }
    Ok(())
}

/// An absent field is empty; none is escaped.
fn text(item: &Value) -> String {
    const FIELDS: [&str; 8] = [
        "/pspReference",
        "/originalReference",
        "/merchantAccountCode",
        "/merchantReference",
        "/amount/value",
        "/amount/currency",
        "/eventCode",
        "/success",
    ];
    let field = |pointer: &&str| match item.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    };
    FIELDS.iter().map(field).collect::<Vec<_>>().join(":")
}

pub fn sign(draft: &mut Draft, secret: &Secret) -> Option<()> {
    let mut body: Value = serde_json::from_str(&draft.body).ok()?;
    for item in body.get_mut("notificationItems")?.as_array_mut()? {
        let item = item.get_mut("NotificationRequestItem")?;
        let signature = hmac_text(HMAC_SHA256, secret, text(item).as_bytes(), Encoding::Base64);
        item.as_object_mut()?
            .entry("additionalData")
            .or_insert_with(|| Value::Object(serde_json::Map::new()))
            .as_object_mut()?
            .insert("hmacSignature".to_owned(), signature.into());
    }
    draft.body = body.to_string();
    Some(())
}
