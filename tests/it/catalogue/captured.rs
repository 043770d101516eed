//! Captured messages that are sent again with changes that their signature does not show.

use crate::harness::sign::{self, SECRET, base64, hex, hmac_sha256};
use crate::harness::{Request, TestApp};

const FORM: &str = "application/x-www-form-urlencoded";

fn encoded(fields: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

#[test]
fn payfast_notification_with_white_space_is_rejected() {
    // The MD5 of `pf_payment_id=2&payment_status=COMPLETE&passphrase=pass`.
    const SIGNATURE: &str = "e5d843e741f848da683ada7da08ec14d";
    let app = TestApp::builder().set("CREEL_SOURCE_PAYFAST_SECRET", "pass").start();
    let send = |id: &str, status: &str| {
        let fields = [("pf_payment_id", id), ("payment_status", status), ("signature", SIGNATURE)];
        app.send(&Request::post("/webhooks/payfast").header("Content-Type", FORM).body(encoded(&fields)))
            .status
    };
    assert_eq!(send("2", "COMPLETE"), 200);
    for (id, status) in [("2 ", "COMPLETE"), ("2  ", "COMPLETE"), ("2\0", "COMPLETE"), ("2", " COMPLETE")] {
        assert_eq!(send(id, status), 403, "{id:?} {status:?}");
    }
    assert_eq!(send("2", "COMPLETE"), 200);
    let kept = app.database().only_message();
    assert_eq!((kept.delivery_id.as_deref(), kept.duplicates), (Some("2:COMPLETE"), 1));
}

#[test]
fn slack_interaction_with_another_content_type_is_rejected() {
    let app = TestApp::builder().set("CREEL_SOURCE_SLACK_SECRET", SECRET).start();
    let body = encoded(&[("payload", r#"{"type":"block_actions","trigger_id":"1.2"}"#)]);
    let stamp = sign::now().to_string();
    let signature = hex(&hmac_sha256(SECRET.as_bytes(), format!("v0:{stamp}:{body}").as_bytes()));
    let send = |content_type: &str, coding: &str| {
        let request = Request::post("/webhooks/slack")
            .header("Content-Type", content_type)
            .header("Content-Encoding", coding)
            .header("X-Slack-Request-Timestamp", &stamp)
            .header("X-Slack-Signature", format!("v0={signature}"));
        app.send(&request.body(body.clone())).status
    };
    assert_eq!(send(FORM, "identity"), 200);
    for content_type in
        ["text/plain", "application/json", "application/xml", "multipart/form-data; boundary=x"]
    {
        assert_eq!(send(content_type, "identity"), 403, "{content_type}");
    }
    assert_eq!(send(FORM, "gzip"), 403);
    assert_eq!(app.database().only_message().delivery_id.as_deref(), Some("1.2"));
}

#[test]
fn plivo_message_is_flagged_and_mixed_names_are_rejected() {
    let app = TestApp::builder()
        .set("CREEL_SOURCE_CALLS_PROVIDER", "plivo-v3")
        .set("CREEL_SOURCE_CALLS_SECRET", SECRET)
        .set("CREEL_SOURCE_CALLS_URL", "https://hooks.example.com/calls")
        .start();
    let text = "https://hooks.example.com/calls?EventStartAppFrom1500To1600.77";
    let signature = base64(&hmac_sha256(SECRET.as_bytes(), text.as_bytes()));
    let send = |fields: &[(&str, &str)]| {
        let request = Request::post("/webhooks/calls")
            .header("Content-Type", FORM)
            .header("X-Plivo-Signature-V3-Nonce", "77")
            .header("X-Plivo-Signature-V3", &signature);
        app.send(&request.body(encoded(fields))).status
    };
    assert_eq!(send(&[("Event", "StartA"), ("ppFrom1500To", "1600")]), 403);
    assert_eq!(send(&[("Event", "StartApp"), ("From", "1500"), ("To", "1600")]), 200);
    let kept = app.database().only_message();
    assert_eq!((kept.event.as_str(), kept.body_unsigned), ("calls.StartApp", true));
}

#[test]
fn id_that_contains_a_timestamp_is_split_in_one_way() {
    let key = b"0123456789abcdef01234567";
    let app = TestApp::builder()
        .set("CREEL_SOURCE_HOOKS_PROVIDER", "standard-webhooks")
        .set("CREEL_SOURCE_HOOKS_SECRET", format!("whsec_{}", base64(key)))
        .start();
    let stamp = sign::now();
    let (id, body) = (format!("evt.{stamp}.x"), r#"{"type":"a"}"#);
    let signature = base64(&hmac_sha256(key, format!("{id}.{stamp}.{body}").as_bytes()));
    let send = |id: &str, body: &str| {
        let request = Request::post("/webhooks/hooks")
            .header("webhook-id", id)
            .header("webhook-timestamp", stamp.to_string())
            .header("webhook-signature", format!("v1,{signature}"));
        app.send(&request.body(body)).status
    };
    assert_eq!(send("evt", &format!("x.{stamp}.{body}")), 403);
    assert_eq!(send(&id, body), 204);
    assert_eq!(app.database().only_message().delivery_id, Some(id));
}
