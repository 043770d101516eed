//! GitHub: signatures, events and deliveries.

use crate::harness::sign::{self, SECRET, hex, hmac_sha1};
use crate::harness::{Request, TestApp};

const BODY: &str = r#"{"ref":"refs/heads/main","repository":{"full_name":"octo/cat"}}"#;

fn event(name: &str, body: &str) -> Request {
    sign::github("72d3162e-cc78-11e3-81ab-4c9367dc0958", body).replace("X-GitHub-Event", name)
}

#[test]
fn ping_push_and_other_events_get_their_replies() {
    let app = TestApp::github().start();
    app.send(&event("ping", r#"{"zen":"Keep it logically awesome."}"#)).assert_is(200, "text/plain", "pong");
    app.send(&event("push", BODY)).assert_is(200, "text/plain", "success");
    let reply = app.send(&event("issues", r#"{"action":"opened"}"#));
    assert_eq!((reply.status, reply.text().as_str()), (204, ""));
    let events: Vec<String> = app.database().column("SELECT event FROM messages ORDER BY id");
    assert_eq!(events, ["github.ping", "github.push", "github.issues.opened"]);
}

#[test]
fn message_without_event_header_is_stored_and_gets_204() {
    let app = TestApp::github().start();
    let reply = app.send(&event("push", BODY).without("X-GitHub-Event"));
    assert_eq!((reply.status, reply.text().as_str()), (204, ""));
    assert_eq!(app.database().only_message().event, "github.message");
}

#[test]
fn delivery_id_and_exact_body_are_stored() {
    let app = TestApp::github().start();
    assert_eq!(app.send(&event("push", BODY)).status, 200);
    let kept = app.database().only_message();
    assert_eq!(kept.delivery_id.as_deref(), Some("72d3162e-cc78-11e3-81ab-4c9367dc0958"));
    assert_eq!(kept.payload.as_deref(), Some(BODY));
    assert_eq!(kept.body_sha256, sign::sha256(BODY.as_bytes()));
    assert!(!kept.body_unsigned && !kept.not_json);
    // Signatures are stored, because each is valid only for its body.
    let signature = sign::github_signature(SECRET, BODY.as_bytes());
    assert_eq!(kept.headers["x-hub-signature-256"], signature);
}

#[test]
fn form_is_verified_raw_and_its_payload_unwrapped() {
    let app = TestApp::github().start();
    let form = "payload=%7B%22action%22%3A%22opened%22%2C+%22n%22%3A1%7D";
    let request = event("issues", form).replace("Content-Type", "application/x-www-form-urlencoded");
    assert_eq!(app.send(&request).status, 204);
    let kept = app.database().only_message();
    assert_eq!(kept.body, form.as_bytes());
    assert_eq!(kept.payload.as_deref(), Some(r#"{"action":"opened", "n":1}"#));
    assert_eq!(kept.event, "github.issues.opened");
}

#[test]
fn incorrectly_signed_request_is_rejected() {
    let app = TestApp::github().start();
    let good = event("push", BODY);
    let right = sign::github_signature(SECRET, BODY.as_bytes());
    let sha1 = format!("sha1={}", hex(&hmac_sha1(SECRET.as_bytes(), BODY.as_bytes())));
    let bare = right.replace("sha256=", "");
    let requests = [
        ("missing", good.clone().without("X-Hub-Signature-256")),
        ("empty", good.clone().replace("X-Hub-Signature-256", "")),
        ("without =", good.clone().replace("X-Hub-Signature-256", bare)),
        (
            "of another secret",
            good.clone().replace("X-Hub-Signature-256", sign::github_signature("no", BODY.as_bytes())),
        ),
        ("of another body", good.clone().body("{}")),
        ("only SHA-1", good.clone().without("X-Hub-Signature-256").header("X-Hub-Signature", sha1)),
    ];
    for (name, request) in requests {
        let reply = app.send(&request);
        assert_eq!((reply.status, reply.text().as_str()), (403, "Permission denied."), "{name}");
    }
    assert_eq!(app.database().count("messages"), 0);
}

#[test]
fn other_signature_algorithms_are_unsupported() {
    let app = TestApp::github().start();
    for algorithm in ["sha512", "md5", "SHA999", "sha1"] {
        let request = event("push", BODY).replace("X-Hub-Signature-256", format!("{algorithm}=00ff"));
        app.send(&request).assert_is(501, "text/plain", "Operation not supported.");
    }
    assert_eq!(app.database().count("messages"), 0);
}

#[test]
fn sha1_header_is_accepted_if_source_allows_it() {
    let app = TestApp::github().set("CREEL_SOURCE_GITHUB_ALLOW_SHA1", "yes").start();
    let old = event("push", BODY).without("X-Hub-Signature-256");
    let right = format!("sha1={}", hex(&hmac_sha1(SECRET.as_bytes(), BODY.as_bytes())));
    let wrong = format!("sha1={}", hex(&hmac_sha1(b"wrong", BODY.as_bytes())));
    app.send(&old.clone().header("X-Hub-Signature", wrong)).assert_is(
        403,
        "text/plain",
        "Permission denied.",
    );
    app.send(&old.header("X-Hub-Signature", right)).assert_is(200, "text/plain", "success");
    assert_eq!(app.database().count("messages"), 1);
}

#[test]
fn old_and_new_secret_are_valid_during_rotation() {
    let app = TestApp::github().set("CREEL_SOURCE_GITHUB_SECRET_2", "the older one").start();
    assert_eq!(app.send(&event("push", BODY)).status, 200);
    let older = sign::github_signature("the older one", BODY.as_bytes());
    let request = event("push", BODY).replace("X-GitHub-Delivery", "2").replace("X-Hub-Signature-256", older);
    assert_eq!(app.send(&request).status, 200);
    assert_eq!(app.database().count("messages"), 2);
}

#[test]
fn secret_can_come_from_a_file() {
    let builder = TestApp::builder();
    std::fs::write(builder.path().join("github.secret"), format!("{SECRET}\n")).unwrap();
    let app = builder.set("CREEL_SOURCE_GITHUB_SECRET_FILE", "github.secret").start();
    assert_eq!(app.send(&event("push", BODY)).status, 200);
}

#[test]
fn redelivery_with_the_same_id_stores_no_second_message() {
    let app = TestApp::github().start();
    for _ in 0..3 {
        app.send(&event("push", BODY)).assert_is(200, "text/plain", "success");
    }
    assert_eq!(app.database().only_message().duplicates, 2);
}
