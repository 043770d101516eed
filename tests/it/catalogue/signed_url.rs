//! The authenticated parts of a message: the registered URL, the body if signed, and secrets in a
//! query.

use std::time::Duration;

use crate::harness::sign::{self, SECRET, base64, hex, hmac_sha1, hmac_sha256};
use crate::harness::{Builder, Request, TestApp, eventually};

const REGISTERED: &str = "https://shop.example.com/in/square";
const PAYMENT: &str = r#"{"type":"payment.created","event_id":"e-77"}"#;

fn square() -> Builder {
    TestApp::builder().set("CREEL_SOURCE_SQUARE_SECRET", SECRET)
}

fn payment(signed_url: &str) -> Request {
    let content = format!("{signed_url}{PAYMENT}");
    Request::post("/webhooks/square")
        .header("Content-Type", "application/json")
        .header("x-square-hmacsha256-signature", base64(&hmac_sha256(SECRET.as_bytes(), content.as_bytes())))
        .body(PAYMENT)
}

#[test]
fn registered_url_counts_regardless_of_host() {
    let app = square().set("CREEL_SOURCE_SQUARE_URL", REGISTERED).start();
    for (number, host) in ["shop.example.com", "127.0.0.1:8080", "evil.example.com"].into_iter().enumerate() {
        let request = payment(REGISTERED).header("Host", host).header("X-Forwarded-Host", host);
        assert_eq!(app.send(&request).status, 200, "{number} {host}");
    }
    let seen = "http://evil.example.com/webhooks/square";
    let request = payment(seen).header("Host", "evil.example.com").header("X-Forwarded-Proto", "http");
    assert_eq!(app.send(&request).status, 403, "the URL in the request is ignored");
    let kept = app.database().only_message();
    assert_eq!((kept.event.as_str(), kept.duplicates), ("square.payment.created", 2));
}

#[test]
fn rejection_names_the_checked_url() {
    const PATH: &str = "random-path-part-of-square";
    let app = square()
        .set("CREEL_PUBLIC_URL", "https://hooks.example.com")
        .set("CREEL_SOURCE_SQUARE_PATH", PATH)
        .set("CREEL_SOURCE_TOKEN_SECRET", "token-of-another-source")
        .set("CREEL_SOURCE_TOKEN_HEADER", "Token")
        .start();
    let target = format!("/webhooks/square/{PATH}");
    let wrong = payment("https://hooks.example.com/").target(&format!("{target}?shop=7&access_token=s3cret"));
    assert_eq!(app.send(&wrong).status, 403);
    assert_eq!(app.send(&Request::post("/webhooks/token")).status, 403);
    let line = app.process.log.wait_for("cause=signature_mismatch", Duration::from_secs(10)).unwrap();
    let shown = "https://hooks.example.com/webhooks/square/[redacted]";
    assert!(line.contains(&format!(" signed_url=\"{shown}?shop=7&access_token=[redacted]\" ")), "{line}");
    eventually("both are stored", Duration::from_secs(10), || app.database().count("rejections") == 2);
    let listing = Builder::default().next_to(&app).set("CREEL_LISTEN", app.address.to_string());
    let lines = listing.run(&["rejections"]).succeeded();
    let of = |source: &str| lines.lines().find(|line| line.contains(source)).unwrap().to_owned();
    assert!(of("  square  ").ends_with(&format!("  checked against {shown} (query not shown)")), "{lines}");
    assert!(!of("  token  ").contains("checked against"), "{lines}");
    assert!(!lines.contains(PATH) && !app.log().contains(&format!("{PATH}?")), "{}", app.log());
}

#[test]
fn public_url_is_used_without_source_url() {
    let app = square().set("CREEL_PUBLIC_URL", "https://hooks.example.com/in/").start();
    for wrong in [REGISTERED, "https://hooks.example.com/webhooks/square"] {
        assert_eq!(app.send(&payment(wrong)).status, 403, "{wrong}");
    }
    let right = "https://hooks.example.com/in/webhooks/square";
    assert_eq!(app.send(&payment(right).header("Host", "10.0.0.7")).status, 200);
}

#[test]
fn twilio_signature_covers_registered_url_query_and_form() {
    let app = TestApp::builder()
        .set("CREEL_SOURCE_TWILIO_SECRET", SECRET)
        .set("CREEL_SOURCE_TWILIO_URL", "https://sms.example.com/twilio")
        .start();
    let text = "https://sms.example.com/twilio?shop=1BodyHi thereFrom+15005550006";
    let request = |target: &str| {
        Request::post(target)
            .header("Host", "10.0.0.7")
            .header("Content-Type", "application/x-www-form-urlencoded")
            .header("X-Twilio-Signature", base64(&hmac_sha1(SECRET.as_bytes(), text.as_bytes())))
            .body("From=%2B15005550006&Body=Hi+there")
    };
    assert_eq!(app.send(&request("/webhooks/twilio?shop=2")).status, 403);
    assert_eq!(app.send(&request("/webhooks/twilio?shop=1")).status, 200);
    assert_eq!(app.database().only_message().query.as_deref(), Some("shop=1"));
}

#[test]
fn source_with_signed_url_requires_its_url() {
    for name in ["SQUARE", "TWILIO"] {
        let secret = format!("CREEL_SOURCE_{name}_SECRET");
        let output = TestApp::builder().set(&secret, SECRET).run(&["serve"]).failed();
        for part in [&format!("CREEL_SOURCE_{name}_URL"), "CREEL_PUBLIC_URL", "signs the URL"] {
            assert!(output.contains(part), "{part}: {output}");
        }
    }
}

#[test]
fn message_with_unsigned_body_is_flagged() {
    let app = TestApp::github().set("CREEL_SOURCE_MAILGUN_SECRET", SECRET).start();
    assert_eq!(app.send(&sign::github("1", "{}")).status, 200);
    assert!(!app.database().newest_message().body_unsigned);
    let now = sign::now();
    let signature = hex(&hmac_sha256(SECRET.as_bytes(), format!("{now}token-of-mailgun").as_bytes()));
    let mail = |signature: &str| {
        let proof =
            format!(r#"{{"timestamp":"{now}","token":"token-of-mailgun","signature":"{signature}"}}"#);
        let data = r#"{"event":"opened","id":"m-1"}"#;
        Request::post("/webhooks/mailgun").body(format!(r#"{{"signature":{proof},"event-data":{data}}}"#))
    };
    assert_eq!(app.send(&mail(&"0".repeat(64))).status, 403);
    assert_eq!(app.send(&mail(&signature)).status, 200);
    let kept = app.database().newest_message();
    assert_eq!((kept.event.as_str(), kept.body_unsigned), ("mailgun.opened", true));
}

#[test]
fn token_in_query_is_not_stored_or_logged() {
    const TOKEN: &str = "token-in-the-query-4711";
    let app = TestApp::builder().set("CREEL_SOURCE_DOCKER_HUB_SECRET", TOKEN).start();
    let push = |token: &str| {
        let target = format!("/webhooks/docker-hub?a=1&token={token}&b=2");
        Request::post(&target).body(r#"{"push_data":{"tag":"latest"}}"#)
    };
    assert_eq!(app.send(&push("token-mistyped")).status, 403);
    assert_eq!(app.send(&push(TOKEN)).status, 200);
    let kept = app.database().only_message();
    assert_eq!((kept.event.as_str(), kept.body_unsigned), ("docker-hub.latest", true));
    assert_eq!(kept.query.as_deref(), Some("a=1&token=[redacted]&b=2"));
    eventually("the rejection is stored", Duration::from_secs(10), || {
        app.database().count("rejections") == 1
    });
    let rejected: String = app.database().value("SELECT query FROM rejections");
    assert_eq!(rejected, "a=1&token=[redacted]&b=2");
    assert!(!app.log().contains(TOKEN) && !app.log().contains("token-mistyped"), "{}", app.log());
}
