//! Secrets from a handshake: learned once, stored encrypted, and replaced only while the operator
//! allows it.

use std::time::Duration;

use crate::harness::sign::{hex, hmac_sha256};
use crate::harness::{Builder, Reply, Request, TestApp, eventually, files_with};

const PATH: &str = "random-path-part-of-asana-42";
const FIRST: &str = "first-secret-1158201444";
const SECOND: &str = "second-secret-9911223344";
const THIRD: &str = "third-secret-5566778899";
const BODY: &str = r#"{"events":[{"action":"changed","resource":{"gid":"1337","resource_type":"task"}}]}"#;

fn asana() -> Builder {
    TestApp::builder().set("CREEL_SOURCE_ASANA_PATH", PATH)
}

fn to_asana() -> Request {
    Request::post(&format!("/webhooks/asana/{PATH}")).header("Content-Type", "application/json")
}

fn handshake(secret: &str) -> Request {
    to_asana().header("X-Hook-Secret", secret).body("{}")
}

fn event(secret: &str) -> Request {
    to_asana().header("X-Hook-Signature", hex(&hmac_sha256(secret.as_bytes(), BODY.as_bytes()))).body(BODY)
}

#[track_caller]
fn assert_learned(reply: &Reply, secret: &str) {
    assert_eq!((reply.status, reply.header("x-hook-secret")), (200, Some(secret)), "{reply:?}");
}

#[track_caller]
fn assert_rejected(reply: &Reply) {
    assert_eq!((reply.status, reply.header("x-hook-secret")), (403, None), "{reply:?}");
}

#[track_caller]
fn assert_absent(app: &TestApp, secret: &str) {
    assert_eq!(files_with(app.path(), secret), Vec::<String>::new(), "the secret is in a file");
    assert!(!app.log().contains(secret) && !app.process.stdout.text().contains(secret), "{}", app.log());
}

fn taught(builder: &Builder) -> TestApp {
    let app = builder.start();
    assert_learned(&app.send(&handshake(FIRST)), FIRST);
    app
}

#[test]
fn handshake_is_echoed_and_its_secret_verifies_messages() {
    let app = taught(&asana());
    assert_eq!(app.database().count("messages"), 0, "a handshake is not a message");
    assert_eq!(app.send(&event(FIRST)).status, 200);
    let kept = app.database().only_message();
    assert_eq!((kept.event.as_str(), kept.payload.as_deref()), ("asana.changed", Some(BODY)));
    assert!(!kept.body_unsigned);
}

#[test]
fn message_without_learned_secret_is_rejected() {
    let app = asana().start();
    let forgeries = [event(FIRST).without("X-Hook-Signature"), event(SECOND), event("")];
    for forgery in forgeries.iter().chain([&event(FIRST)]) {
        assert_rejected(&app.send(forgery));
    }
    assert_learned(&app.send(&handshake(FIRST)), FIRST);
    for forgery in &forgeries {
        assert_rejected(&app.send(forgery));
    }
    assert_eq!(app.database().count("messages"), 0);
}

#[test]
fn second_handshake_is_rejected_and_replaces_nothing() {
    let app = taught(&asana());
    for secret in [SECOND, FIRST] {
        assert_rejected(&app.send(&handshake(secret)));
    }
    assert_rejected(&app.send(&event(SECOND)));
    assert_eq!(app.send(&event(FIRST)).status, 200);
}

#[test]
fn concurrent_handshakes_teach_one_secret() {
    let app = asana().start();
    let secrets: Vec<String> = (0..8).map(|number| format!("secret-of-thread-{number}")).collect();
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let send = |secret: &String| app.send(&handshake(secret)).status;
        let threads: Vec<_> = secrets.iter().map(|secret| scope.spawn(move || send(secret))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let taught = statuses.iter().position(|status| *status == 200).unwrap();
    assert_eq!(statuses.iter().filter(|status| **status == 403).count(), 7, "{statuses:?}");
    for (number, secret) in secrets.iter().enumerate() {
        assert_eq!(app.send(&event(secret)).status == 200, number == taught, "{secret}, {statuses:?}");
    }
}

#[test]
fn handshake_needs_the_correct_path() {
    let app = asana().start();
    for target in ["/webhooks/asana", "/webhooks/asana/guessed"] {
        assert_eq!(app.send(&handshake(SECOND).target(target)).status, 404, "{target}");
    }
    assert_learned(&app.send(&handshake(FIRST)), FIRST);
}

#[test]
fn invalid_secret_is_not_learned() {
    let app = asana().start();
    for secret in ["", &"x".repeat(513)] {
        assert_rejected(&app.send(&handshake(secret)));
    }
    assert_rejected(&app.send(&handshake(FIRST).header("X-Hook-Secret", SECOND)));
    assert_learned(&app.send(&handshake(FIRST)), FIRST);
}

#[test]
fn learned_secret_survives_a_restart() {
    let app = taught(&asana()).restart();
    assert_eq!(app.send(&event(FIRST)).status, 200);
    assert_rejected(&app.send(&handshake(SECOND)));
    let builder = app.kill();
    assert_eq!(builder.start().send(&event(FIRST)).status, 200);
}

/// Includes a repeated handshake, which is quarantined: a sender repeats it if the reply was lost.
#[test]
fn learned_secret_is_in_no_file_and_no_log() {
    let app = taught(&asana().set("CREEL_LOG", "debug"));
    assert_rejected(&app.send(&handshake(FIRST)));
    assert_eq!(app.send(&event(FIRST)).status, 200);
    eventually("the rejection is stored", Duration::from_secs(10), || {
        app.database().count("rejections") == 1
    });
    assert_absent(&app, FIRST);
    // Also checks the output of the stop and of the next run.
    let app = app.restart();
    assert_eq!(app.send(&event(FIRST)).status, 200);
    assert_absent(&app, FIRST);
}

#[test]
fn learn_opens_window_for_one_handshake() {
    let builder = asana();
    let app = taught(&builder);
    let output = builder.run(&["learn", "asana"]).succeeded();
    assert!(output.contains(&format!("/webhooks/asana/{PATH}")), "{output}");
    assert_learned(&app.send(&handshake(SECOND)), SECOND);
    assert_rejected(&app.send(&handshake(THIRD)));
    assert_rejected(&app.send(&event(FIRST)));
    assert_eq!(app.send(&event(SECOND)).status, 200);
    let app = app.restart();
    assert_rejected(&app.send(&handshake(THIRD)));
    assert_eq!(app.send(&event(SECOND)).status, 200);
}

#[test]
fn old_secret_is_valid_until_the_new_handshake() {
    let builder = asana();
    let app = taught(&builder);
    builder.run(&["learn", "asana"]).succeeded();
    assert_eq!(app.send(&event(FIRST)).status, 200);
}

#[test]
fn learn_show_prints_secret_without_opening_window() {
    let builder = asana();
    let app = builder.start();
    let output = builder.run(&["learn", "asana", "--show"]).failed();
    assert!(output.contains("has not learned"), "{output}");
    assert_learned(&app.send(&handshake(FIRST)), FIRST);
    assert_eq!(builder.run(&["learn", "asana", "--show"]).succeeded().trim(), FIRST);
    assert_rejected(&app.send(&handshake(SECOND)));
}

#[test]
fn learn_reports_source_that_does_not_learn() {
    let builder = TestApp::github()
        .set("CREEL_SOURCE_ASANA_SECRET", FIRST)
        .set("CREEL_SOURCE_TASKS_PROVIDER", "asana")
        .set("CREEL_SOURCE_TASKS_PATH", PATH);
    let app = builder.start();
    for (source, parts) in [
        ("asana", ["configuration", "remove"]),
        ("github", ["github", "does not learn"]),
        ("asanna", ["asanna", "tasks"]),
    ] {
        let output = builder.run(&["learn", source]).failed();
        assert!(parts.iter().all(|part| output.contains(part)), "{source}: {output}");
        assert!(!output.contains(FIRST), "{output}");
    }
    // A handshake does not override the configuration.
    assert_rejected(&app.send(&handshake(SECOND).target("/webhooks/asana")));
    assert_eq!(app.send(&event(FIRST).target("/webhooks/asana")).status, 200);
}

#[test]
fn learning_source_without_path_does_not_start() {
    let named = TestApp::builder().set("CREEL_SOURCE_ASANA_PROVIDER", "asana");
    for builder in [named.clone(), named.set("CREEL_SOURCE_ASANA_ALLOW_IPS", "127.0.0.0/8")] {
        let output = builder.run(&["serve"]).failed();
        let parts = ["CREEL_SOURCE_ASANA_PATH", "creel secret", "handshake"];
        assert!(parts.iter().all(|part| output.contains(part)), "{output}");
    }
}

#[test]
fn notion_teaches_token_in_body() {
    let builder = TestApp::builder().set("CREEL_SOURCE_NOTION_PATH", PATH);
    let app = builder.start();
    let post = |body: &str| Request::post(&format!("/webhooks/notion/{PATH}")).body(body);
    let token = |secret: &str| post(&format!(r#"{{"verification_token":"{secret}"}}"#));
    let page = r#"{"id":"367cba44-b6f3-4c92-81e7-6a2e9659efd4","type":"page.created"}"#;
    let signed = |secret: &str| {
        let signature = hex(&hmac_sha256(secret.as_bytes(), page.as_bytes()));
        post(page).header("X-Notion-Signature", format!("sha256={signature}"))
    };
    assert_eq!(app.send(&signed(FIRST)).status, 403);
    let reply = app.send(&token(FIRST));
    assert_eq!((reply.status, reply.text().as_str()), (200, ""));
    assert_eq!(builder.run(&["learn", "notion", "--show"]).succeeded().trim(), FIRST);
    assert_absent(&app, FIRST);
    assert_eq!(app.send(&token(SECOND)).status, 403);
    // The repeated handshake of the genuine sender is rejected as well, and its body contains the
    // secret.
    assert_eq!(app.send(&token(FIRST)).status, 403);
    assert_absent(&app, FIRST);
    for forgery in [post(page), signed(SECOND)] {
        assert_eq!(app.send(&forgery).status, 403);
    }
    assert_eq!(app.send(&signed(FIRST)).status, 200);
    let kept = app.database().only_message();
    assert_eq!(kept.event, "notion.page.created");
    assert_eq!(kept.delivery_id.as_deref(), Some("367cba44-b6f3-4c92-81e7-6a2e9659efd4"));
}

/// A custom sender whose secret is in base64 or plain text.
fn parcels(encoding: &str) -> String {
    format!(
        r#"
title = "The parcel shop"
requires = ["secret", "path"]

[[key]]
name = "secret"
kind = "secret"
doc = "the secret from the handshake"

[[signature]]
at = "header Parcel-Signature"
encoding = "hex"
algorithm = "hmac-sha256"
key = {{ setting = "secret", encoding = "{encoding}" }}
text = "{{body}}"

[[handshake]]
when = ["header Parcel-Secret"]
learn = "header Parcel-Secret"
reply = {{ status = 200 }}
"#
    )
}

#[test]
fn invalid_secret_is_not_learned_and_blocks_no_start() {
    let builder = TestApp::builder()
        .set("CREEL_RECIPES", "parcels.toml")
        .set("CREEL_SOURCE_PARCELS_PATH", "random-path-part-of-parcels");
    let recipe = builder.path().join("parcels.toml");
    let target = "/webhooks/parcels/random-path-part-of-parcels";
    let teach = |secret: &str| Request::post(target).header("Parcel-Secret", secret).body("{}");
    let event = |key: &[u8]| {
        Request::post(target).header("Parcel-Signature", hex(&hmac_sha256(key, BODY.as_bytes()))).body(BODY)
    };
    std::fs::write(&recipe, parcels("base64")).unwrap();
    let app = builder.start();
    assert_eq!(app.send(&teach("no base64!")).status, 403);
    let app = app.restart();
    assert_eq!(app.send(&teach("AAEC")).status, 200, "the window has stayed open");
    assert_eq!(app.send(&event(&[0, 1, 2])).status, 200);

    // A secret that was learned under other rules.
    let builder = TestApp::builder()
        .set("CREEL_RECIPES", "parcels.toml")
        .set("CREEL_SOURCE_PARCELS_PATH", "random-path-part-of-parcels");
    let recipe = builder.path().join("parcels.toml");
    std::fs::write(&recipe, parcels("text")).unwrap();
    let app = builder.start();
    assert_eq!(app.send(&teach("no base64!")).status, 200);
    std::fs::write(&recipe, parcels("base64")).unwrap();
    let app = app.restart();
    assert!(app.log().contains("source parcels: its learned secret"), "{}", app.log());
    assert!(!app.log().contains("no base64!"));
    assert_eq!(app.send(&event(b"no base64!")).status, 403);
    assert_eq!(app.send(&teach("AAEC")).status, 200);
    assert_eq!(app.send(&event(&[0, 1, 2])).status, 200);
}
