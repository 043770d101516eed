//! Event types and delivery ids, row by row.

use super::*;

fn described(provider: &str, headers: &[(&str, &str)], body: &str) -> (String, Option<String>) {
    let description = Sent::new(headers, body).description(&bind(provider, &usable(provider)));
    (description.event_type, description.delivery_id)
}

#[test]
fn githubs_event_is_its_header_with_the_bodys_action() {
    let event = |headers: &[(&str, &str)], body: &str| described("github", headers, body).0;
    let header = "X-GitHub-Event";
    assert_eq!(event(&[(header, "issues")], r#"{"action":"opened"}"#), "issues.opened");
    assert_eq!(event(&[(header, "push")], r#"{"ref":"main"}"#), "push");
    assert_eq!(event(&[(header, "push")], "not JSON"), "push");
    assert_eq!(event(&[(header, "issues")], r#"{"action":{}}"#), "issues");
    assert_eq!(event(&[], r#"{"action":"opened"}"#), "message");
    assert_eq!(event(&[(header, "")], "{}"), "message");
}

#[test]
fn the_other_providers_name_the_event_in_the_body_or_not_at_all() {
    assert_eq!(
        described("stripe", &[], r#"{"id":"evt_1","type":"invoice.paid"}"#),
        ("invoice.paid".into(), Some("evt_1".into()))
    );
    assert_eq!(
        described("typeform", &[], r#"{"event_id":"1","event_type":"form_response"}"#),
        ("form_response".into(), Some("1".into()))
    );
    assert_eq!(
        described("standard-webhooks", &[("webhook-id", "msg_1")], r#"[{"type":"a"},{"type":"b"}]"#),
        ("a".into(), Some("msg_1".into()))
    );
    assert_eq!(described("token", &[], r#"{"id":"1","type":"a"}"#), ("message".into(), None));
    assert_eq!(described("none", &[], ""), ("message".into(), None));
}

#[test]
fn event_types_are_cut_at_200_characters() {
    let cut = described("stripe", &[], &format!(r#"{{"type":"{}"}}"#, "é".repeat(300))).0;
    assert_eq!(cut, "é".repeat(200));
    let cut = described(
        "github",
        &[("X-GitHub-Event", "issues")],
        &format!(r#"{{"action":"{}"}}"#, "a".repeat(300)),
    )
    .0;
    assert_eq!(cut, format!("issues.{}", "a".repeat(193)));
}

#[test]
fn delivery_ids_are_text_of_bounded_length_or_none() {
    let id = |json: &str| described("stripe", &[], &format!(r#"{{"id":{json}}}"#)).1;
    assert_eq!(id(r#""evt_1""#), Some("evt_1".into()));
    assert_eq!(id("12345678901234567890123"), Some("12345678901234567890123".into()));
    assert_eq!(id(r#""\u0000""#), Some("\0".into()));
    let longest = "é".repeat(200);
    assert_eq!(id(&format!("\"{longest}\"")), Some(longest));
    let digest = ring::digest::digest(&ring::digest::SHA256, "é".repeat(201).as_bytes());
    assert_eq!(id(&format!("\"{}\"", "é".repeat(201))), Some(crate::verify::encoding::hex(digest.as_ref())));
    for none in [r#""""#, "null", "true", "{}", r#"["a"]"#, r#""\ud800""#] {
        assert_eq!(id(none), None, "{none}");
    }
    assert_eq!(described("stripe", &[], r#"{"id":"a""#).1, None);
}

#[test]
fn repeated_or_unreadable_headers_describe_nothing() {
    let header = "X-GitHub-Delivery";
    assert_eq!(described("github", &[(header, "a"), (header, "b")], "{}").1, None);
    let verifier = bind("github", &usable("github"));
    let mut sent = Sent::new(&[("X-GitHub-Event", "?"), (header, "?")], "{}");
    sent.headers.iter_mut().for_each(|(_, value)| *value = vec![0xff]);
    assert_eq!(
        sent.description(&verifier),
        Description { event_type: "message".into(), type_bytes: 7, delivery_id: None }
    );
}

#[test]
fn a_githubs_form_is_described_by_its_payload() {
    let verifier = bind("github", &usable("github"));
    let json = form(&verifier, "payload=%7B%22action%22%3A%22opened%22%7D").unwrap();
    assert_eq!(json, r#"{"action":"opened"}"#);
    let extracted = verifier.read_json(json.as_bytes()).unwrap();
    let description = Sent::new(&[("X-GitHub-Event", "issues")], "")
        .put(|request| verifier.describe(request, Some(&extracted)));
    assert_eq!(description.event_type, "issues.opened");
    assert_eq!(
        form(&bind("stripe", &usable("stripe")), "payload=%7B%7D").as_deref(),
        Some(r#"{"payload":"{}"}"#)
    );
}

#[test]
fn a_sample_is_of_the_event_that_was_asked_for() {
    for (provider, event) in [
        ("github", "issues.closed"),
        ("github", "push"),
        ("github", "ping"),
        ("github", "release.published"),
        ("github", "watch"),
        ("stripe", "charge.refunded"),
        ("stripe", "with \"quotes\""),
        ("typeform", "form_response"),
        ("standard-webhooks", "user.created"),
    ] {
        let verifier = bind(provider, &usable(provider));
        let sent = Sent::sample(&verifier, Some(event));
        assert_eq!(sent.verdict(&verifier), Ok(()), "{provider} {event}");
        let description = sent.description(&verifier);
        assert_eq!(description.event_type, event, "{provider}");
        assert!(description.delivery_id.is_some_and(|id| id.ends_with("nonce")), "{provider}");
    }
}

fn form(verifier: &Verifier, body: &str) -> Option<String> {
    let sent = Sent::new(&[("Content-Type", "application/x-www-form-urlencoded")], body);
    sent.put(|request| verifier.form_to_json(request)).unwrap()
}

#[test]
fn the_first_of_several_places_is_the_type_and_all_of_them_are_the_id() {
    let recipe = Recipe::parse(
        "several",
        r#"
title = "Several"
event_type = ["json kind", "header X-Kind", "key-of . except id"]
delivery_id = ["json id", "header X-Try"]
"#,
    );
    let verifier = Verifier::bind(Box::leak(Box::new(recipe.unwrap())), &Settings::default()).unwrap();
    let described = |headers: &[(&str, &str)], body: &str| {
        let description = Sent::new(headers, body).description(&verifier);
        (description.event_type, description.delivery_id)
    };
    let headers = [("X-Kind", "b"), ("X-Try", "2")];
    assert_eq!(described(&headers, r#"{"kind":"a","id":"1"}"#), ("a".into(), Some("1:2".into())));
    assert_eq!(described(&headers[..1], r#"{"id":"1"}"#), ("b".into(), None));
    assert_eq!(described(&[], r#"{"id":"1","message":{}}"#), ("message".into(), None));
    assert_eq!(described(&[], r#"{"id":"1","poll":{}}"#), ("poll".into(), None));
}
