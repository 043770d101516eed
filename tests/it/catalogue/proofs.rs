//! Authentication as real senders and proxies send it: several header lines, keys of two kinds at
//! one URL, and schemes before tokens.

use time::OffsetDateTime;

use crate::harness::sign::{SECRET, base64, hex, hmac_sha1, hmac_sha256};
use crate::harness::{Request, TestApp};

const BODY: &str = r#"{"id":"evt_1","type":"a.b"}"#;

#[test]
fn header_lines_of_a_list_are_one_list() {
    let app = TestApp::builder().set("CREEL_SOURCE_STRIPE_SECRET", SECRET).start();
    let time = OffsetDateTime::now_utc().unix_timestamp();
    let sign = |time: i64| hex(&hmac_sha256(SECRET.as_bytes(), format!("{time}.{BODY}").as_bytes()));
    let send = |lines: &[String]| {
        let request = Request::post("/webhooks/stripe").header("Content-Type", "application/json").body(BODY);
        let add = |request: Request, line: &String| request.header("Stripe-Signature", line);
        app.send(&lines.iter().fold(request, add)).status
    };
    let wrong = format!("t={time},v1={}", "0".repeat(64));
    let right = format!("t={},v1={}", time - 1, sign(time - 1));
    assert_eq!(send(&[wrong.clone(), right.clone()]), 200);
    assert_eq!(send(&[format!("{wrong}, {right}")]), 200);
    assert_eq!(send(&[wrong.clone(), wrong.clone()]), 403);
    // The time of one line with the signature of another.
    let old = time - 10_000;
    assert_eq!(send(&[format!("t={time}"), format!("t={old},v1={}", sign(old))]), 403);
    assert_eq!(app.database().only_message().duplicates, 1);
}

#[test]
fn twilio_accepts_both_keys_at_one_url() {
    let url = "https://sms.example.com/twilio";
    let app = TestApp::builder()
        .set("CREEL_SOURCE_TWILIO_SECRET", SECRET)
        .set("CREEL_SOURCE_TWILIO_SHARED_KEY", "the old shared key")
        .set("CREEL_SOURCE_TWILIO_SHARED_KEY_2", "the new shared key")
        .set("CREEL_SOURCE_TWILIO_URL", url)
        .start();
    let send = |signature: &[u8], settings: Option<&str>| {
        let request = Request::post("/webhooks/twilio")
            .header("Content-Type", "application/x-www-form-urlencoded")
            .header("X-Twilio-Signature", base64(signature))
            .body("From=%2B15005550006&Body=Hi+there");
        let request = match settings {
            Some(settings) => request.header("X-Twilio-Webhooks-Signature-Settings", settings),
            None => request,
        };
        app.send(&request).status
    };
    let text = format!("{url}BodyHi thereFrom+15005550006");
    let settings = Some("key=webhooks_sharedkey_1,algorithm=HMAC_SHA256");
    assert_eq!(send(&hmac_sha1(SECRET.as_bytes(), text.as_bytes()), None), 200);
    for key in ["the old shared key", "the new shared key"] {
        let signature = hmac_sha256(key.as_bytes(), text.as_bytes());
        assert_eq!(send(&signature, settings), 200, "{key}");
        assert_eq!(send(&signature, None), 403, "{key}");
        assert_eq!(send(&hmac_sha1(key.as_bytes(), text.as_bytes()), None), 403, "{key}");
    }
    assert_eq!(send(&hmac_sha256(SECRET.as_bytes(), text.as_bytes()), settings), 403);
}

#[test]
fn scheme_before_a_token_needs_no_blank() {
    for scheme in ["Bearer", "Bearer ", "bearer"] {
        let app = TestApp::builder()
            .set("CREEL_SOURCE_MINE_PROVIDER", "custom")
            .set("CREEL_SOURCE_MINE_TOKEN_AT", "header Authorization")
            .set("CREEL_SOURCE_MINE_TOKEN_SCHEME", scheme)
            .set("CREEL_SOURCE_MINE_SECRET", SECRET)
            .start();
        let send = |value: &str| {
            app.send(&Request::post("/webhooks/mine").header("Authorization", value).body("{}")).status
        };
        let directly = format!("{}{SECRET}", scheme.trim());
        for right in
            [format!("Bearer {SECRET}"), format!("bearer   {SECRET}"), format!("BEARER {SECRET}"), directly]
        {
            assert_eq!(send(&right), 200, "{scheme:?} {right}");
        }
        for wrong in
            [SECRET.to_owned(), format!("BEARER{SECRET}"), format!("Basic {SECRET}"), "Bearer".to_owned()]
        {
            assert_eq!(send(&wrong), 403, "{scheme:?} {wrong}");
        }
    }
    let output = TestApp::builder()
        .set("CREEL_SOURCE_MINE_PROVIDER", "custom")
        .set("CREEL_SOURCE_MINE_TOKEN_AT", "header Authorization")
        .set("CREEL_SOURCE_MINE_TOKEN_SCHEME", "Bearer")
        .set("CREEL_SOURCE_MINE_SECRET", SECRET)
        .run(&["check"])
        .succeeded();
    assert!(
        output.contains("a token in header authorization after `Bearer` (any case, followed by spaces)"),
        "{output}"
    );
}

#[test]
fn unchecked_signature_is_logged_once() {
    let recipes = r#"
title = "Both"
traps = ["made up"]
[[key]]
name = "secret"
kind = "secret"
doc = "is sent along"
[[key]]
name = "signing_secret"
kind = "secret"
doc = "signs"
[[signature]]
at = "header X-Both-Signature"
encoding = "hex"
algorithm = "hmac-sha256"
key = "signing_secret"
text = "{body}"
[[token]]
at = "header X-Both-Token"
"#;
    let builder = TestApp::builder();
    std::fs::write(builder.path().join("both.toml"), recipes).unwrap();
    let builder = builder.set("CREEL_RECIPES", "both.toml").set("CREEL_SOURCE_BOTH_SECRET", SECRET);
    let output = builder.run(&["check"]).succeeded();
    assert!(output.contains("set CREEL_SOURCE_BOTH_SIGNING_SECRET to check the signatures"), "{output}");
    let app = builder.start();
    let message = |signature: &str| {
        let request = Request::post("/webhooks/both").header("X-Both-Token", SECRET).body(BODY);
        request.header("X-Both-Signature", signature)
    };
    for _ in 0..3 {
        assert_eq!(app.send(&message("00")).status, 200);
    }
    assert_eq!(app.log().matches("x-both-signature").count(), 1, "{}", app.log());
    assert!(app.database().newest_message().body_unsigned);

    let app = app.stop().set("CREEL_SOURCE_BOTH_SIGNING_SECRET", "signs").start();
    let right = hex(&hmac_sha256(b"signs", BODY.as_bytes()));
    assert_eq!(app.send(&message(&right)).status, 200);
    assert!(!app.database().newest_message().body_unsigned);
    assert_eq!(app.send(&message(&right).body("{}")).status, 403, "a forged body with a correct token");
    let unsigned = message("").without("X-Both-Signature");
    assert_eq!(app.send(&unsigned).status, 403, "no signature but a correct token");
}
