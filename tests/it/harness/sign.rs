//! The senders' side of the signature schemes, after the providers' own documentation.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

use super::wire::Request;

pub const SECRET: &str = "It's a Secret to Everybody, even with spaces";
pub const OTHER_SECRET: &str = "another secret that no source here was given";

pub fn hmac_sha256(secret: &[u8], content: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), content).as_ref().to_vec()
}

pub fn hmac_sha1(secret: &[u8], content: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret), content).as_ref().to_vec()
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

pub fn sha256(content: &[u8]) -> Vec<u8> {
    ring::digest::digest(&ring::digest::SHA256, content).as_ref().to_vec()
}

/// Seconds since 1970.
pub fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

/// The value of `X-Hub-Signature-256`.
pub fn github_signature(secret: &str, body: &[u8]) -> String {
    format!("sha256={}", hex(&hmac_sha256(secret.as_bytes(), body)))
}

/// A push, correctly signed with `SECRET`.
pub fn github(delivery_id: &str, body: impl Into<Vec<u8>>) -> Request {
    let body = body.into();
    Request::post("/webhooks/github")
        .header("Content-Type", "application/json")
        .header("X-GitHub-Event", "push")
        .header("X-GitHub-Delivery", delivery_id)
        .header("X-Hub-Signature-256", github_signature(SECRET, &body))
        .body(body)
}

/// The value of `Stripe-Signature` for a timestamp as text.
pub fn stripe_signature(secret: &str, timestamp: &str, body: &[u8]) -> String {
    let content = [timestamp.as_bytes(), b".", body].concat();
    format!("t={timestamp},v1={}", hex(&hmac_sha256(secret.as_bytes(), &content)))
}

/// An event of Stripe with the timestamp as text, correctly signed with `SECRET`.
pub fn stripe(timestamp: &str, body: impl Into<Vec<u8>>) -> Request {
    let body = body.into();
    Request::post("/webhooks/stripe")
        .header("Content-Type", "application/json")
        .header("Stripe-Signature", stripe_signature(SECRET, timestamp, &body))
        .body(body)
}

/// The value of `Typeform-Signature`.
pub fn typeform_signature(secret: &str, body: &[u8]) -> String {
    format!("sha256={}", base64(&hmac_sha256(secret.as_bytes(), body)))
}
