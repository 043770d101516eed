//! Acme: a token in a header and a random path.

use std::time::Duration;

use crate::harness::{Builder, Reply, Request, TestApp, eventually};

const TOKEN: &str = "acme token with spaces, 4qTz";
const ENDPOINT: &str = "/webhooks/acme/mPnBRC1qxapOAxQpWmjy4NofbgxCmXSj";

fn acme() -> Builder {
    TestApp::builder()
        .set("CREEL_SOURCE_ACME_PROVIDER", "token")
        .set("CREEL_SOURCE_ACME_SECRET", TOKEN)
        .set("CREEL_SOURCE_ACME_HEADER", "Acme-Webhook-Token")
        .set("CREEL_SOURCE_ACME_PATH", ENDPOINT.rsplit('/').next().unwrap())
        .set("CREEL_SOURCE_ACME_REPLY_BODY", "Message received okay.")
}

fn message(body: &str) -> Request {
    Request::post(ENDPOINT)
        .header("Content-Type", "application/json")
        .header("Acme-Webhook-Token", TOKEN)
        .body(body)
}

#[track_caller]
fn assert_rejected(reply: &Reply) {
    reply.assert_is(403, "text/plain", "Incorrect token in Acme-Webhook-Token header.");
}

#[test]
fn post_with_correct_token_is_stored_as_sent() {
    let app = acme().start();
    let body = r#"{ "hello":  "Zoë", "n": 1.0 }"#;
    let clock = app.database();
    let before: String = clock.value("SELECT strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')");
    app.send(&message(body)).assert_is(200, "text/plain", "Message received okay.");
    let kept = app.database().only_message();
    assert_eq!(kept.payload.as_deref(), Some(body));
    assert_eq!((kept.source.as_str(), kept.event.as_str()), ("acme", "acme.message"));
    assert_eq!(kept.method, "POST");
    assert_eq!(kept.remote_ip, "127.0.0.1");
    assert!(kept.body_unsigned, "a token does not cover the body");
    // The shell's clock has milliseconds.
    assert!(kept.received_at[..23] >= before[..23], "{} is before {before}", kept.received_at);
    assert_eq!(kept.received_at.len(), "2026-11-22T14:31:00.000000Z".len());
    let difference: f64 =
        clock.value("SELECT abs(julianday('now') - julianday(received_at)) * 86400 FROM messages");
    assert!(difference < 60.0, "received {difference} s from now");
}

#[test]
fn trailing_slash_is_accepted() {
    let app = acme().start();
    app.send(&message("{}").target(&format!("{ENDPOINT}/"))).assert_is(
        200,
        "text/plain",
        "Message received okay.",
    );
    assert_eq!(app.database().count("messages"), 1);
}

#[test]
fn missing_or_wrong_token_is_rejected() {
    let app = acme().start();
    assert_rejected(&app.send(&message("{}").without("Acme-Webhook-Token")));
    for wrong in ["", "wrong", &TOKEN[1..], &format!("{TOKEN}x"), &TOKEN.to_uppercase()] {
        assert_rejected(&app.send(&message("{}").replace("Acme-Webhook-Token", wrong)));
    }
    assert_eq!(app.database().count("messages"), 0);
    assert_eq!(app.metric(r#"creel_messages_received_total{source="acme"}"#), 0.0);
    let rejected = app.metric(r#"creel_rejected_total{source="acme",cause="token_mismatch"}"#);
    assert!(rejected >= 4.0, "{}", app.metrics());
}

#[test]
fn missing_token_is_rejected_before_body_is_read() {
    let app = acme().start();
    let mut connection = app.connect();
    let request = message("").without("Acme-Webhook-Token").header("Content-Length", "100000");
    connection.write(&request.head()).unwrap();
    assert_rejected(&connection.read_within(Duration::from_secs(5)).expect("a reply without the body"));
}

#[test]
fn get_is_not_allowed() {
    let app = acme().start();
    let reply = app.send(&Request::get(ENDPOINT).header("Acme-Webhook-Token", TOKEN));
    assert_eq!((reply.status, reply.header("allow")), (405, Some("POST")));
    assert_eq!(app.database().count("messages"), 0);
}

#[test]
fn csrf_token_is_never_required() {
    let app = acme().start();
    let foreign =
        message("{}").header("Origin", "https://acme.example").header("Referer", "https://acme.example/");
    assert_eq!(app.send(&foreign).status, 200);
}

fn kept_ids(builder: &Builder) -> Vec<i64> {
    builder.database().column("SELECT id FROM messages ORDER BY id")
}

/// A stopped service with three messages: one minute older than seven days, one minute younger, and
/// new.
fn with_old_messages() -> Builder {
    let app = acme().start();
    for number in 1..=3 {
        assert_eq!(app.send(&message(&format!(r#"{{"n":{number}}}"#))).status, 200);
    }
    let builder = app.stop();
    let database = builder.database();
    let age = |id: i64, offset: &str| {
        database.change(&format!(
            "UPDATE messages SET received_at = strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', '-7 days', '{offset}') WHERE id = {id}"
        ))
    };
    assert_eq!((age(1, "-1 minute"), age(2, "+10 minutes")), (1, 1));
    builder
}

#[test]
fn cleanup_deletes_only_messages_older_than_seven_days() {
    let builder = with_old_messages();
    assert_eq!(kept_ids(&builder), [1, 2, 3]);
    builder.run(&["cleanup"]).succeeded();
    assert_eq!(kept_ids(&builder), [2, 3]);
}

#[test]
fn interval_task_cleans_up_without_a_request() {
    let builder = with_old_messages().set("CREEL_CLEANUP_INTERVAL", "1s");
    let app = builder.start();
    eventually("the old message is deleted", Duration::from_secs(20), || kept_ids(&builder) == [2, 3]);
    // Ids are never reused, because the cursors of readers rely on them.
    assert_eq!(app.send(&message("{}")).status, 200);
    assert_eq!(kept_ids(&builder), [2, 3, 4]);
}

#[test]
fn source_retention_overrides_the_default() {
    let builder = with_old_messages().set("CREEL_SOURCE_ACME_RETENTION", "8d");
    builder.run(&["cleanup"]).succeeded();
    assert_eq!(kept_ids(&builder), [1, 2, 3]);
    let builder = builder.set("CREEL_SOURCE_ACME_RETENTION", "6d");
    builder.run(&["cleanup"]).succeeded();
    assert_eq!(kept_ids(&builder), [3]);
}

#[test]
fn cleanup_can_be_disabled() {
    let builder = with_old_messages().set("CREEL_RETENTION", "off");
    builder.run(&["cleanup"]).succeeded();
    assert_eq!(kept_ids(&builder), [1, 2, 3]);
}

#[test]
fn invalid_json_body_is_flagged_and_stored() {
    let app = acme().start();
    let body = "this is not JSON \u{1F41F}";
    app.send(&message(body)).assert_is(200, "text/plain", "Message received okay.");
    let kept = app.database().only_message();
    assert!(kept.not_json);
    assert_eq!(kept.body, body.as_bytes());
    assert_eq!(kept.payload, None);
}
