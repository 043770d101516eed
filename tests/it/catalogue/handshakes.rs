//! Handshakes: answered as the provider requires, never stored, and no way to obtain a signature.

use std::time::Duration;

use crate::harness::sign::{self, SECRET, base64, hex, hmac_sha1, hmac_sha256};
use crate::harness::{Builder, Request, TestApp, eventually, files_with};

const VERIFY_TOKEN: &str = "meatyhamhock";
const EVENT: &str = r#"{"for_user_id":"2244994945","tweet_create_events":[{"id":1}]}"#;

fn source(name: &str) -> Builder {
    TestApp::builder()
        .set("CREEL_PUBLIC_URL", "https://hooks.example.com")
        .set(&format!("CREEL_SOURCE_{}_SECRET", name.to_uppercase()), SECRET)
}

fn meta() -> Builder {
    source("meta").set("CREEL_SOURCE_META_VERIFY_TOKEN", VERIFY_TOKEN)
}

/// The value of `x-twitter-webhooks-signature`, which is also part of the response to a challenge.
fn x_signature(content: &str) -> String {
    format!("sha256={}", base64(&hmac_sha256(SECRET.as_bytes(), content.as_bytes())))
}

fn x_event(body: &str, signature: &str) -> Request {
    Request::post("/webhooks/x").header("x-twitter-webhooks-signature", signature).body(body)
}

/// A correctly signed request of Slack or Zoom at the time.
fn signed_v0(target: &str, names: [&str; 2], secret: &str, timestamp: i64, body: &str) -> Request {
    let content = format!("v0:{timestamp}:{body}");
    let signature = format!("v0={}", hex(&hmac_sha256(secret.as_bytes(), content.as_bytes())));
    Request::post(target)
        .header("Content-Type", "application/json")
        .header(names[0], timestamp.to_string())
        .header(names[1], signature)
        .body(body)
}

fn slack(secret: &str, timestamp: i64, body: &str) -> Request {
    let names = ["X-Slack-Request-Timestamp", "X-Slack-Signature"];
    signed_v0("/webhooks/slack", names, secret, timestamp, body)
}

fn zoom(body: &str) -> Request {
    signed_v0("/webhooks/zoom", ["x-zm-request-timestamp", "x-zm-signature"], SECRET, sign::now(), body)
}

#[track_caller]
fn assert_nothing_stored(app: &TestApp) {
    assert_eq!(app.database().count("messages"), 0);
}

/// A column of the rejections, after `count` of them.
#[track_caller]
fn rejected(app: &TestApp, column: &str, count: usize) -> Vec<String> {
    let read = || app.database().column(&format!("SELECT {column} FROM rejections ORDER BY id"));
    eventually("the rejections are stored", Duration::from_secs(10), || read().len() == count);
    read()
}

#[test]
fn meta_challenge_needs_correct_verify_token() {
    let app = meta().start();
    let handshake_reply = |token: &str| {
        let query = format!("hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token={token}");
        app.get(&format!("/webhooks/meta?{query}"))
    };
    handshake_reply(VERIFY_TOKEN).assert_is(200, "text/plain", "1158201444");
    for wrong in ["meatyhamhocks", "", "meatyhamhock&hub.verify_token=meatyhamhock"] {
        let reply = handshake_reply(wrong);
        assert_eq!(reply.status, 403, "{wrong}");
        assert!(!reply.text().contains("1158201444"), "{reply:?}");
    }
    assert_nothing_stored(&app);
    let queries = rejected(&app, "query", 3);
    assert!(queries.iter().all(|query| query.contains("hub.verify_token=[redacted]")), "{queries:?}");
    assert_eq!(files_with(app.path(), VERIFY_TOKEN), Vec::<String>::new());
}

#[test]
fn x_challenge_is_signed() {
    let app = source("x").start();
    let answer = format!(r#"{{"response_token":"{}"}}"#, x_signature("uzwcfYtzr9"));
    app.get("/webhooks/x?crc_token=uzwcfYtzr9").assert_is(200, "application/json", &answer);
    assert_nothing_stored(&app);
}

#[test]
fn dropbox_challenge_is_returned_as_plain_text() {
    let app = source("dropbox").start();
    let reply = app.get("/webhooks/dropbox?challenge=%3Cscript%3E+1");
    reply.assert_is(200, "text/plain", "<script> 1");
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    assert_nothing_stored(&app);
}

#[test]
fn trello_can_probe_url_with_head() {
    let app = source("trello").start();
    assert_eq!(app.send(&Request::new("HEAD", "/webhooks/trello")).status, 200);
    assert_nothing_stored(&app);
    let body = r#"{"action":{"id":"51a7","type":"updateCard"}}"#;
    let text = format!("{body}https://hooks.example.com/webhooks/trello");
    let signature = base64(&hmac_sha1(SECRET.as_bytes(), text.as_bytes()));
    let event = Request::post("/webhooks/trello").header("X-Trello-Webhook", signature).body(body);
    assert_eq!(app.send(&event).status, 200);
    assert_eq!(app.database().only_message().method, "POST");
}

#[test]
fn cloudevents_grants_only_listed_origins() {
    let origins = "first.example.com second.example.com";
    let app = source("cloudevents").set("CREEL_SOURCE_CLOUDEVENTS_ALLOWED_ORIGINS", origins).start();
    let handshake_reply = |origin: &str| {
        let request = Request::new("OPTIONS", "/webhooks/cloudevents");
        app.send(&request.header("WebHook-Request-Origin", origin))
    };
    let granted = handshake_reply("second.example.com");
    assert_eq!(granted.status, 200, "{granted:?}");
    assert_eq!(granted.header("webhook-allowed-origin"), Some("second.example.com"));
    for other in ["evil.example.com", "second.example.com.evil.example.com", origins] {
        let rejected = handshake_reply(other);
        assert_eq!((rejected.status, rejected.header("webhook-allowed-origin")), (403, None), "{other}");
    }
    assert_nothing_stored(&app);
}

#[test]
fn non_handshake_by_other_method_is_not_allowed() {
    let app = meta()
        .set("CREEL_SOURCE_X_SECRET", SECRET)
        .set("CREEL_SOURCE_DROPBOX_SECRET", SECRET)
        .set("CREEL_SOURCE_OKTA_SECRET", SECRET)
        .set("CREEL_SOURCE_CLOUDEVENTS_SECRET", SECRET)
        .start();
    for (method, target) in [
        ("GET", "/webhooks/meta"),
        ("GET", "/webhooks/x?crc=1"),
        ("GET", "/webhooks/dropbox"),
        ("GET", "/webhooks/okta"),
        ("OPTIONS", "/webhooks/cloudevents"),
        ("HEAD", "/webhooks/x"),
        ("PUT", "/webhooks/x?crc_token=uzwcfYtzr9"),
    ] {
        assert_eq!(app.send(&Request::new(method, target)).status, 405, "{method} {target}");
    }
    assert_nothing_stored(&app);
}

#[test]
fn slack_challenge_needs_correct_signature() {
    let app = source("slack").start();
    let body = r#"{"token":"t","challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7","type":"url_verification"}"#;
    let now = sign::now();
    let forgeries = [
        slack(sign::OTHER_SECRET, now, body),
        slack(SECRET, now - 600, body),
        slack(SECRET, now, body).without("X-Slack-Signature"),
    ];
    for forgery in forgeries {
        let reply = app.send(&forgery);
        assert_eq!(reply.status, 403, "{reply:?}");
        assert!(!reply.text().contains("3eZbrw1a"), "{reply:?}");
    }
    let reply = app.send(&slack(SECRET, now, body));
    reply.assert_is(200, "text/plain", "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7");
    assert_nothing_stored(&app);
}

#[test]
fn zoom_signs_only_unambiguous_tokens() {
    let app = source("zoom").start();
    let handshake_reply = |token: &str| {
        let event = r#""event":"endpoint.url_validation""#;
        app.send(&zoom(&format!(r#"{{"payload":{{"plainToken":"{token}"}},{event}}}"#)))
    };
    let signature = hex(&hmac_sha256(SECRET.as_bytes(), b"qgg8vlvZRS6UYooatFL8Aw"));
    let answer = format!(r#"{{"plainToken":"qgg8vlvZRS6UYooatFL8Aw","encryptedToken":"{signature}"}}"#);
    handshake_reply("qgg8vlvZRS6UYooatFL8Aw").assert_is(200, "application/json", &answer);
    for message in ["v0:1760000000:{}", r#"{\"event\":\"user.deleted\"}"#, "a b", &"a".repeat(101)] {
        assert_eq!(handshake_reply(message).status, 403, "{message}");
    }
    assert_nothing_stored(&app);
}

#[test]
fn x_never_signs_a_possible_message() {
    let app = source("x").start();
    let percent = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    for message in [EVENT, "{}", "[1]", "\"text\"", "1.5", &"a".repeat(101)] {
        let reply = app.get(&format!("/webhooks/x?crc_token={}", percent(message)));
        assert_eq!(reply.status, 403, "{message}");
        assert!(!reply.text().contains("sha256="), "{reply:?}");
    }
}

#[test]
fn signed_challenge_does_not_verify_a_message() {
    let app = source("x").start();
    for challenge in ["uzwcfYtzr9", "12345", "true", "null"] {
        let answer = app.get(&format!("/webhooks/x?crc_token={challenge}")).text();
        let signature = x_signature(challenge);
        assert!(answer.contains(&signature), "{answer}");
        let reply = app.send(&x_event(challenge, &signature));
        assert_eq!(reply.status, 403, "{challenge}");
    }
    assert_nothing_stored(&app);
    // The signatures are correct, so another check rejected the requests.
    assert_eq!(rejected(&app, "cause", 4), ["claim_mismatch"; 4]);
    assert_eq!(app.send(&x_event(EVENT, &x_signature(EVENT))).status, 200);
}

#[test]
fn signed_smartcar_challenge_does_not_verify_a_message() {
    let app = source("smartcar").start();
    let post = |body: &str| Request::post("/webhooks/smartcar").body(body);
    let tag = hex(&hmac_sha256(SECRET.as_bytes(), b"12345"));
    let reply = app.send(&post(r#"{"eventName":"verify","payload":{"challenge":"12345"}}"#));
    reply.assert_is(200, "application/json", &format!(r#"{{"challenge":"{tag}"}}"#));
    assert_eq!(app.send(&post("12345").header("SC-Signature", tag)).status, 403);
    assert_nothing_stored(&app);
}
