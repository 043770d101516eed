//! Codeunderscored: a second token receiver in addition to Acme's, and an open receiver that
//! accepts any request.

use crate::harness::{Builder, Request, TestApp};

const ACME: &str = "/webhooks/acme/mPnBRC1qxapOAxQpWmjy4NofbgxCmXSj";
const CODE: &str = "/webhooks/codeunderscored/h2rEcMOPCGX8UImAxGGvfO8sXVxrxWBa";
const OPEN: &str = "/webhooks/open/kq9S7yTr0bWpF3aVz1cXn5mLd8gHj2Ke";

fn last(endpoint: &str) -> &str {
    endpoint.rsplit('/').next().unwrap()
}

fn receivers() -> Builder {
    TestApp::builder()
        .set("CREEL_SOURCE_ACME_PROVIDER", "token")
        .set("CREEL_SOURCE_ACME_SECRET", "acme-token")
        .set("CREEL_SOURCE_ACME_HEADER", "Acme-Webhook-Token")
        .set("CREEL_SOURCE_ACME_PATH", last(ACME))
        .set("CREEL_SOURCE_ACME_REPLY_BODY", "Message received okay.")
        .set("CREEL_SOURCE_CODEUNDERSCORED_PROVIDER", "token")
        .set("CREEL_SOURCE_CODEUNDERSCORED_SECRET", "code-token")
        .set("CREEL_SOURCE_CODEUNDERSCORED_HEADER", "Codeunderscored-Webhook-Token")
        .set("CREEL_SOURCE_CODEUNDERSCORED_PATH", last(CODE))
        .set("CREEL_SOURCE_CODEUNDERSCORED_REPLY_BODY", "Message received okay.")
        .set("CREEL_SOURCE_OPEN_PROVIDER", "none")
        .set("CREEL_SOURCE_OPEN_PATH", last(OPEN))
        .set("CREEL_SOURCE_OPEN_METHODS", "GET POST")
        .set("CREEL_SOURCE_OPEN_REPLY_BODY", "success")
}

#[test]
fn two_sources_of_one_provider_are_separate() {
    let app = receivers().start();
    let acme = Request::post(ACME).header("Acme-Webhook-Token", "acme-token").body(r#"{"to":"acme"}"#);
    let code =
        Request::post(CODE).header("Codeunderscored-Webhook-Token", "code-token").body(r#"{"to":"code"}"#);
    app.send(&acme).assert_is(200, "text/plain", "Message received okay.");
    app.send(&code).assert_is(200, "text/plain", "Message received okay.");
    let kept: Vec<_> =
        app.database().messages().into_iter().map(|kept| (kept.source, kept.payload.unwrap())).collect();
    let pair = |source: &str, payload: &str| (source.to_owned(), payload.to_owned());
    assert_eq!(kept, [pair("acme", r#"{"to":"acme"}"#), pair("codeunderscored", r#"{"to":"code"}"#)]);
}

#[test]
fn credentials_of_one_source_are_invalid_at_the_other() {
    let app = receivers().start();
    let rejection = "Incorrect token in Codeunderscored-Webhook-Token header.";
    let wrong_secret = Request::post(CODE).header("Codeunderscored-Webhook-Token", "acme-token").body("{}");
    app.send(&wrong_secret).assert_is(403, "text/plain", rejection);
    let wrong_header = Request::post(CODE).header("Acme-Webhook-Token", "code-token").body("{}");
    app.send(&wrong_header).assert_is(403, "text/plain", rejection);
    let crossed = format!("/webhooks/codeunderscored/{}", last(ACME));
    let wrong_path = Request::post(&crossed).header("Codeunderscored-Webhook-Token", "code-token").body("{}");
    assert_eq!(app.send(&wrong_path).status, 404);
    assert_eq!(app.database().count("messages"), 0);
}

#[test]
fn open_receiver_accepts_get_and_post_with_any_content() {
    let app = receivers().start();
    let requests = [
        Request::get(&format!("{OPEN}?id=abc&what=%C3%A9")),
        Request::post(OPEN).body("{}"),
        Request::post(OPEN).body(b"\xff\x00 anything".to_vec()),
        Request::post(OPEN),
        Request::get(OPEN),
    ];
    for request in &requests {
        app.send(request).assert_is(200, "text/plain", "success");
    }
    let kept = app.database().messages();
    let seen: Vec<_> =
        kept.iter().map(|kept| (kept.method.as_str(), kept.query.as_deref().unwrap_or(""))).collect();
    assert_eq!(seen, [("GET", "id=abc&what=%C3%A9"), ("POST", ""), ("POST", ""), ("POST", ""), ("GET", "")]);
    assert_eq!(kept[2].body, b"\xff\x00 anything");
}

#[test]
fn open_receiver_rejects_other_methods() {
    let app = receivers().start();
    for method in ["PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"] {
        let reply = app.send(&Request::new(method, OPEN));
        let allow: Vec<_> = reply.header("allow").unwrap_or_default().split(',').map(str::trim).collect();
        assert_eq!((reply.status, allow), (405, vec!["GET", "POST"]), "{method}");
    }
    assert_eq!(app.database().count("messages"), 0);
}

#[test]
fn open_receiver_without_path_prevents_start() {
    let complaint = TestApp::builder().set("CREEL_SOURCE_OPEN_PROVIDER", "none").run(&["serve"]).failed();
    assert!(complaint.starts_with("creel: ") && complaint.contains("CREEL_SOURCE_OPEN_PATH"), "{complaint}");
}
