//! Replies, compared exactly: status, content type and body.

use super::*;

fn reply(status: u16, content_type: &'static str, body: &str) -> Reply {
    Reply { status, content_type: Some(content_type), headers: Vec::new(), body: body.to_owned() }
}

fn accepted(verifier: &Verifier, event: &str) -> Reply {
    verifier.accepted(&Description {
        type_bytes: event.len(),
        event_type: event.to_owned(),
        delivery_id: None,
        form_mark: None,
    })
}

fn no_content() -> Reply {
    Reply { status: 204, content_type: None, headers: Vec::new(), body: String::new() }
}

#[test]
fn acme_reply_reports_acceptance_or_wrong_header() {
    for header in ["Acme-Webhook-Token", "Codeunderscored-Webhook-Token"] {
        let configured = Settings {
            reply_body: Some("Message received okay.".into()),
            ..settings(&[("header", header), ("secret", "a")])
        };
        let verifier = Verifier::bind(recipe("token").unwrap(), &configured).unwrap();
        assert_eq!(accepted(&verifier, "message"), reply(200, "text/plain", "Message received okay."));
        for cause in [Cause::MissingHeader, Cause::TokenMismatch] {
            assert_eq!(
                verifier.rejection_reply(cause),
                reply(403, "text/plain", &format!("Incorrect token in {header} header."))
            );
        }
    }
}

#[test]
fn generic_source_replies_with_an_empty_body() {
    for provider in ["token", "none"] {
        let reply = accepted(&bind(provider, &usable(provider)), "message");
        assert_eq!(reply, Reply { status: 200, ..no_content() }, "{provider}");
    }
}

#[test]
fn open_receiver_returns_configured_reply() {
    let settings = Settings { reply_body: Some("success".into()), ..Settings::default() };
    let verifier = Verifier::bind(recipe("none").unwrap(), &settings).unwrap();
    assert_eq!(accepted(&verifier, "message"), reply(200, "text/plain", "success"));
}

#[test]
fn github_reply_depends_on_event_and_cause() {
    let verifier = bind("github", &usable("github"));
    assert_eq!(accepted(&verifier, "ping"), reply(200, "text/plain", "pong"));
    assert_eq!(accepted(&verifier, "push"), reply(200, "text/plain", "success"));
    assert_eq!(accepted(&verifier, "issues.opened"), no_content());
    assert_eq!(accepted(&verifier, "message"), no_content());
    assert_eq!(
        verifier.rejection_reply(Cause::UnknownAlgorithm),
        reply(501, "text/plain", "Operation not supported.")
    );
    for cause in
        [Cause::MissingHeader, Cause::MalformedSignature, Cause::SignatureMismatch, Cause::AddressNotAllowed]
    {
        assert_eq!(verifier.rejection_reply(cause), reply(403, "text/plain", "Permission denied."));
    }
}

#[test]
fn typeform_reply_is_json() {
    let verifier = bind("typeform", &usable("typeform"));
    let json = |status, body| reply(status, "application/json", body);
    assert_eq!(accepted(&verifier, "form_response"), json(200, "{}"));
    assert_eq!(
        verifier.rejection_reply(Cause::MissingHeader),
        json(403, r#"{"Fail": "Permission denied."}"#)
    );
    assert_eq!(
        verifier.rejection_reply(Cause::UnknownAlgorithm),
        json(501, r#"{"Fail": "Operation not supported."}"#)
    );
    assert_eq!(
        verifier.rejection_reply(Cause::SignatureMismatch),
        json(403, r#"{"Fail": "Invalid signature. Permission Denied."}"#)
    );
}

#[test]
fn configured_reply_is_used_for_every_event() {
    let with = |reply_status, reply_body: Option<&str>| {
        let settings = Settings {
            reply_status,
            reply_body: reply_body.map(str::to_owned),
            ..settings(&usable("github"))
        };
        accepted(&Verifier::bind(recipe("github").unwrap(), &settings).unwrap(), "ping")
    };
    assert_eq!(with(Some(202), None), reply(202, "text/plain", "pong"));
    assert_eq!(with(Some(204), None), no_content());
    assert_eq!(with(Some(201), Some("made")), reply(201, "text/plain", "made"));
    assert_eq!(with(None, Some("{\"ok\": true}")), reply(200, "application/json", "{\"ok\": true}"));
    assert_eq!(with(None, Some("{ok}")), reply(200, "text/plain", "{ok}"));
    assert_eq!(with(None, Some("schön")), reply(200, "text/plain; charset=utf-8", "schön"));
    assert_eq!(with(None, Some("")), Reply { status: 200, ..no_content() });
}

#[test]
fn github_reply_depends_on_event_header() {
    let verifier = bind("github", &[("secret", "a")]);
    for (event, expected) in [("push", "success"), ("ping", "pong")] {
        let description = Description {
            event_type: format!("{event}.opened"),
            type_bytes: 4,
            delivery_id: None,
            form_mark: None,
        };
        assert_eq!(verifier.accepted(&description), reply(200, "text/plain", expected));
    }
}
