//! Providers whose rules have changed: a current request and its duplicate, for the real
//! binary.

use serde_json::Value;

use crate::harness::sign::{self, base64, hex, hmac_sha256};
use crate::harness::{Builder, Request, TestApp};

/// Providers whose signature covers no time, so that their vectors never become stale.
const PROVIDERS: [&str; 9] =
    ["intuit", "x", "attio", "cursor", "launchdarkly", "smartcar", "btcpay", "pagerduty", "fourthwall"];

fn vectors(provider: &str) -> Vec<Value> {
    let path = format!("{}/tests/vectors/{provider}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// A current request of the provider.
fn todays(provider: &str) -> Value {
    let is_own = |vector: &Value| vector["source"] == "creel" && vector["event"].is_string();
    vectors(provider).into_iter().find(is_own).unwrap()
}

fn named(provider: &str, name: &str) -> Value {
    vectors(provider).into_iter().find(|vector| vector["name"] == name).unwrap()
}

fn request(vector: &Value) -> Request {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let request = Request::post(&text(&vector["path_and_query"])).body(text(&vector["body"]));
    let headers = vector["headers"].as_object().unwrap();
    headers.iter().fold(request, |request, (name, value)| request.header(name, text(value)))
}

fn with_secret_of(builder: Builder, vector: &Value) -> Builder {
    let name = vector["provider"].as_str().unwrap().to_uppercase();
    builder.set(&format!("CREEL_SOURCE_{name}_SECRET"), vector["config"]["secret"].as_str().unwrap())
}

#[test]
fn repeated_message_is_stored_once_with_event_and_id() {
    let all: Vec<Value> = PROVIDERS.iter().map(|provider| todays(provider)).collect();
    let builder = TestApp::builder().set("CREEL_PUBLIC_URL", "https://hooks.example.com");
    let app = all.iter().fold(builder, with_secret_of).start();
    for (provider, vector) in PROVIDERS.iter().zip(&all) {
        for _ in 0..2 {
            assert_eq!(app.send(&request(vector)).status, 200, "{provider}");
        }
        let messages = app.database().messages_where(&format!("source = '{provider}'"));
        let [message] = messages.as_slice() else { panic!("{provider}: {messages:?}") };
        let event = format!("{provider}.{}", vector["event"].as_str().unwrap());
        assert_eq!((&message.event, message.duplicates), (&event, 1), "{provider}");
        assert_eq!(message.delivery_id.as_deref(), vector["delivery_id"].as_str(), "{provider}");
    }
}

#[test]
fn btcpay_retry_conflicts_with_its_original() {
    let app = with_secret_of(TestApp::builder(), &todays("btcpay")).start();
    for vector in [todays("btcpay"), named("btcpay", "btcpay retry")] {
        assert_eq!(app.send(&request(&vector)).status, 200);
    }
    let messages = app.database().messages();
    let conflicts: Vec<Option<i64>> = messages.iter().map(|message| message.conflict_of).collect();
    assert_eq!(conflicts, [None, Some(messages[0].id)]);
}

#[test]
fn google_health_verifies_endpoint_with_and_without_secret() {
    let secret = "Bearer 3b9f-test-secret";
    let app = TestApp::builder()
        .set("CREEL_SOURCE_FIT_PROVIDER", "google-health")
        .set("CREEL_SOURCE_FIT_SECRET", secret)
        .start();
    let verification = || {
        Request::post("/webhooks/fit")
            .header("Content-Type", "application/json")
            .body(r#"{"type":"verification"}"#)
    };
    assert_eq!(app.send(&verification().header("Authorization", secret)).status, 201);
    assert_eq!(app.send(&verification()).status, 401);
    assert_eq!(app.send(&verification().header("Authorization", "Bearer other")).status, 401);
    // Messages have no type at the top level, and this one is unsigned.
    let unsigned = verification().header("Authorization", secret).body(r#"[{"data":{"dataType":"steps"}}]"#);
    assert_eq!(app.send(&unsigned).status, 401);
    assert_eq!(app.database().count("messages"), 0);
}

#[test]
fn message_with_only_a_token_is_flagged() {
    let (secret, signing_secret) = ("Bearer test-secret", "signing-secret-0123456789");
    let body = r#"{"event":{"id":"e1","type":"RENEWAL"}}"#;
    let now = sign::now();
    let signature = hex(&hmac_sha256(signing_secret.as_bytes(), format!("{now}.{body}").as_bytes()));
    for (setting, value, flagged) in [("SIGNING_SECRET", signing_secret, false), ("SECRET", secret, true)] {
        let app = TestApp::builder().set(&format!("CREEL_SOURCE_REVENUECAT_{setting}"), value).start();
        let request = Request::post("/webhooks/revenuecat")
            .header("X-RevenueCat-Webhook-Signature", format!("t={now},v1={signature}"))
            .header("Authorization", secret)
            .body(body);
        assert_eq!(app.send(&request).status, 200);
        let message = app.database().only_message();
        assert_eq!((message.event.as_str(), message.body_unsigned), ("revenuecat.RENEWAL", flagged));
    }
}

#[test]
fn bigcommerce_is_verified_with_the_client_secret_as_text() {
    let secret = "uo7xeh9b4xxmbiq3khlqz1xjrqb5kk7";
    let app = TestApp::builder().set("CREEL_SOURCE_BIGCOMMERCE_CLIENT_SECRET", secret).start();
    let body = r#"{"scope":"store/order/created","hash":"3f9ea4","data":{"id":250}}"#;
    let now = sign::now();
    let text = format!("msg_1.{now}.{body}");
    let request = |body: &str| {
        Request::post("/webhooks/bigcommerce")
            .header("webhook-id", "msg_1")
            .header("webhook-timestamp", now.to_string())
            .header(
                "webhook-signature",
                format!("v1,{}", base64(&hmac_sha256(secret.as_bytes(), text.as_bytes()))),
            )
            .body(body)
    };
    assert_eq!(app.send(&request(&body.replace("250", "251"))).status, 403);
    assert_eq!(app.send(&request(body)).status, 200);
    let message = app.database().only_message();
    assert_eq!(message.event, "bigcommerce.store/order/created");
    assert_eq!((message.delivery_id.as_deref(), message.body_unsigned), (Some("msg_1"), false));
}
