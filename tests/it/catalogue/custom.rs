//! A custom sender that is described by variables.

use crate::harness::sign::{self, SECRET, hex, hmac_sha256};
use crate::harness::{Builder, Request, TestApp};

const BODY: &str = r#"{"type":"order.paid","number":1042}"#;

fn shop() -> Builder {
    TestApp::builder()
        .set("CREEL_SOURCE_SHOP_PROVIDER", "custom")
        .set("CREEL_SOURCE_SHOP_SECRET", SECRET)
        .set("CREEL_SOURCE_SHOP_SIGNATURE_AT", "header Shop-Signature")
        .set("CREEL_SOURCE_SHOP_SIGNATURE_LAYOUT", "t={ts},v1={signature}")
        .set("CREEL_SOURCE_SHOP_SIGNATURE_TEXT", "{ts}.{body}")
        .set("CREEL_SOURCE_SHOP_TIMESTAMP_AT", "layout ts")
        .set("CREEL_SOURCE_SHOP_EVENT_TYPE", "json type")
        .set("CREEL_SOURCE_SHOP_DELIVERY_ID", "header Shop-Delivery")
}

fn order(secret: &str, timestamp: i64) -> Request {
    let tag = hex(&hmac_sha256(secret.as_bytes(), format!("{timestamp}.{BODY}").as_bytes()));
    Request::post("/webhooks/shop")
        .header("Content-Type", "application/json")
        .header("Shop-Signature", format!("t={timestamp},v1={tag}"))
        .header("Shop-Delivery", "delivery-77")
        .body(BODY)
}

#[test]
fn message_of_custom_sender_has_event_and_id() {
    let app = shop().start();
    assert_eq!(app.send(&order(SECRET, sign::now())).status, 200);
    let kept = app.database().only_message();
    assert_eq!((kept.source.as_str(), kept.event.as_str()), ("shop", "shop.order.paid"));
    assert_eq!(kept.delivery_id.as_deref(), Some("delivery-77"));
    assert!(!kept.body_unsigned);
}

#[test]
fn forged_or_stale_message_of_custom_sender_is_rejected() {
    let app = shop().start();
    let now = sign::now();
    let requests = [
        ("of another secret", order(sign::OTHER_SECRET, now)),
        ("of another body", order(SECRET, now).body("{}")),
        ("unsigned", order(SECRET, now).without("Shop-Signature")),
        ("too old", order(SECRET, now - 400)),
        ("of the future", order(SECRET, now + 400)),
        ("without time", order(SECRET, now).replace("Shop-Signature", "v1=00")),
    ];
    for (name, request) in requests {
        assert_eq!(app.send(&request).status, 403, "{name}");
    }
    assert_eq!(app.database().count("messages"), 0);
}

#[test]
fn tolerance_of_custom_sender_can_be_set() {
    let app = shop().set("CREEL_SOURCE_SHOP_TOLERANCE", "10m").start();
    assert_eq!(app.send(&order(SECRET, sign::now() - 400)).status, 200);
    assert_eq!(app.send(&order(SECRET, sign::now() - 700)).status, 403);
}

#[test]
fn token_of_custom_sender_is_required_and_redacted() {
    let app = TestApp::builder()
        .set("CREEL_SOURCE_SHOP_PROVIDER", "custom")
        .set("CREEL_SOURCE_SHOP_SECRET", SECRET)
        .set("CREEL_SOURCE_SHOP_TOKEN_AT", "header Shop-Token")
        .set("CREEL_SOURCE_SHOP_TOKEN_SCHEME", "Shop ")
        .start();
    let post = Request::post("/webhooks/shop").body(BODY);
    for wrong in [SECRET.to_owned(), format!("Shop {SECRET}!"), "Shop ".to_owned()] {
        assert_eq!(app.send(&post.clone().header("Shop-Token", wrong)).status, 403);
    }
    assert_eq!(app.send(&post.clone()).status, 403);
    assert_eq!(app.send(&post.header("Shop-Token", format!("Shop {SECRET}"))).status, 200);
    let kept = app.database().only_message();
    assert_eq!(kept.headers["shop-token"], "[redacted]");
    assert!(kept.body_unsigned, "a token does not cover the body");
}

#[test]
fn invalid_field_is_named_by_its_variable() {
    for (variable, value) in [
        ("SIGNATURE_AT", "Shop-Signature"),
        ("SIGNATURE_LAYOUT", "t={ts},v1="),
        ("SIGNATURE_ENCODING", "hexagon"),
        ("SIGNATURE_ALGORITHM", "hmac-sha257"),
        ("SIGNATURE_TEXT", "{ts}.{bdy}"),
        ("SIGNATURE_KEY_ENCODING", "base65"),
        ("TIMESTAMP_AT", "layout time"),
        ("TIMESTAMP_UNIT", "fortnight"),
        ("EVENT_TYPE", "jsn type"),
        ("DELIVERY_ID", "header"),
        ("TOKEN_AT", "header Shop-Token"),
        ("SIGNATUR_AT", "header Shop-Signature"),
    ] {
        let name = format!("CREEL_SOURCE_SHOP_{variable}");
        let output = shop().set(&name, value).run(&["serve"]).failed();
        assert!(output.contains(&format!("{name}:")), "{name}: {output}");
        assert!(!output.contains(SECRET), "{output}");
    }
}

#[test]
fn field_without_effect_is_an_error_that_names_variables() {
    let token = || {
        TestApp::builder()
            .set("CREEL_SOURCE_SHOP_PROVIDER", "custom")
            .set("CREEL_SOURCE_SHOP_SECRET", SECRET)
            .set("CREEL_SOURCE_SHOP_TOKEN_AT", "header Shop-Token")
    };
    let untimed = || {
        let shop = shop().unset("CREEL_SOURCE_SHOP_TIMESTAMP_AT").unset("CREEL_SOURCE_SHOP_SIGNATURE_LAYOUT");
        shop.unset("CREEL_SOURCE_SHOP_SIGNATURE_TEXT")
    };
    let rows = [
        (untimed(), "TIMESTAMP_UNIT", "ms", "TIMESTAMP_AT"),
        (untimed(), "TOKEN_SCHEME", "Bearer", "TOKEN_AT"),
        (token(), "EVENT_ACTION", "json action", "EVENT_TYPE"),
        (token(), "SIGNATURE_LAYOUT", "sha256={signature}", "TOKEN_AT"),
        (token(), "SIGNATURE_ENCODING", "hex", "SIGNATURE_AT"),
        (token(), "SIGNATURE_ALGORITHM", "hmac-sha1", "TOKEN_AT"),
        (token(), "SIGNATURE_TEXT", "{body}", "TOKEN_AT"),
        (token(), "SIGNATURE_KEY_ENCODING", "hex", "TOKEN_AT"),
        (token(), "SIGNATURE_KEY_PREFIX", "whsec_", "TOKEN_AT"),
        (token(), "TIMESTAMP_AT", "header Shop-Time", "TOKEN_AT"),
        (untimed(), "SIGNATURE_TEXT", "{ts}.{body}", "TIMESTAMP_AT"),
        (untimed(), "SIGNATURE_ALGORITHM", "sha256", "SIGNATURE_TEXT"),
        (untimed(), "TIMESTAMP_AT", "header Shop-Time", "SIGNATURE_TEXT"),
    ];
    for (builder, variable, value, other) in rows {
        let name = format!("CREEL_SOURCE_SHOP_{variable}");
        let failure = builder.set(&name, value).run(&["check"]).failed();
        let has_other = failure.contains(&format!("CREEL_SOURCE_SHOP_{other}"));
        assert!(
            failure.contains(&name) && has_other && !failure.contains("[timestamp]"),
            "{name}: {failure}"
        );
        assert!(!failure.contains("timestamp = false"), "{name}: {failure}");
    }
}

#[test]
fn custom_sender_needs_a_proof_and_a_secret() {
    let output = shop().unset("CREEL_SOURCE_SHOP_SIGNATURE_AT").run(&["serve"]).failed();
    assert!(output.contains("CREEL_SOURCE_SHOP_SIGNATURE_AT:"), "{output}");
    let secretless = shop().unset("CREEL_SOURCE_SHOP_SECRET").run(&["serve"]).failed();
    assert!(secretless.contains("CREEL_SOURCE_SHOP_SECRET:"), "{secretless}");
}

#[test]
fn sample_can_be_sent_for_custom_sender() {
    let app = shop().start();
    let sender = shop().set("CREEL_LISTEN", app.address.to_string());
    sender.run(&["send", "shop", "order.paid"]).succeeded();
    assert_eq!(app.database().only_message().event, "shop.order.paid");
}
