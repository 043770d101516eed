//! Typeform: base64 signatures over exactly the bytes that arrived, and replies in JSON.

use crate::harness::sign::{self, SECRET};
use crate::harness::{Builder, Request, TestApp};

const BODY: &str =
    r#"{"event_id":"LtWXD3crgy","event_type":"form_response","form_response":{"token":"a3a12ec67"}}"#;

fn typeform() -> Builder {
    TestApp::builder().set("CREEL_SOURCE_TYPEFORM_SECRET", SECRET)
}

fn response(body: &str) -> Request {
    Request::post("/webhooks/typeform")
        .header("Content-Type", "application/json")
        .header("Typeform-Signature", sign::typeform_signature(SECRET, body.as_bytes()))
        .body(body)
}

#[test]
fn correctly_signed_response_gets_an_empty_object() {
    let app = typeform().start();
    app.send(&response(BODY)).assert_is(200, "application/json", "{}");
    let kept = app.database().only_message();
    assert_eq!(kept.event, "typeform.form_response");
    assert_eq!(kept.delivery_id.as_deref(), Some("LtWXD3crgy"));
    assert_eq!(kept.payload.as_deref(), Some(BODY));
}

#[test]
fn missing_signature_is_rejected() {
    let app = typeform().start();
    let reply = app.send(&response(BODY).without("Typeform-Signature"));
    reply.assert_is(403, "application/json", r#"{"Fail": "Permission denied."}"#);
}

#[test]
fn other_algorithms_are_unsupported() {
    let app = typeform().start();
    for algorithm in ["sha1", "sha512", "md5"] {
        let reply = app.send(&response(BODY).replace("Typeform-Signature", format!("{algorithm}=AAAA")));
        reply.assert_is(501, "application/json", r#"{"Fail": "Operation not supported."}"#);
    }
}

#[test]
fn wrong_signature_is_rejected() {
    let app = typeform().start();
    let of_another_secret = sign::typeform_signature("wrong", BODY.as_bytes());
    let in_hex = format!("sha256={}", sign::hex(&sign::hmac_sha256(SECRET.as_bytes(), BODY.as_bytes())));
    for wrong in [of_another_secret, in_hex] {
        let reply = app.send(&response(BODY).replace("Typeform-Signature", wrong));
        reply.assert_is(403, "application/json", r#"{"Fail": "Invalid signature. Permission Denied."}"#);
    }
    assert_eq!(app.database().count("messages"), 0);
}

#[test]
fn signature_covers_exactly_the_received_bytes() {
    let app = typeform().start();
    let indented = "{\n    \"event_id\" : \"1\",\r\n\t\"quote\": \"it's \\\"so\\\" \\u00e9\"  }\n\n";
    app.send(&response(indented)).assert_is(200, "application/json", "{}");
    let kept = app.database().only_message();
    assert_eq!(kept.body, indented.as_bytes());
    let trimmed = response(indented).body(indented.trim_end());
    assert_eq!(app.send(&trimmed).status, 403);
    assert_eq!(app.database().count("messages"), 1);
}
