//! Event types and delivery ids of example requests.

use super::*;

fn described(provider: &str, headers: &[(&str, &str)], body: &str) -> (String, Option<String>) {
    let description = SentRequest::new(headers, body).description(&bind(provider, &usable(provider)));
    (description.event_type, description.delivery_id)
}

#[test]
fn github_event_is_header_with_action_of_body() {
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
fn other_providers_name_event_in_body_or_nowhere() {
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
fn event_type_is_truncated_to_200_characters() {
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
fn delivery_id_is_text_of_limited_length_or_absent() {
    let id = |json: &str| described("stripe", &[], &format!(r#"{{"id":{json}}}"#)).1;
    assert_eq!(id(r#""evt_1""#), Some("evt_1".into()));
    assert_eq!(id("12345678901234567890123"), Some("12345678901234567890123".into()));
    assert_eq!(id(r#""\u0000""#), Some("\0".into()));
    let longest = "é".repeat(200);
    assert_eq!(id(&format!("\"{longest}\"")), Some(longest));
    let digest = ring::digest::digest(&ring::digest::SHA256, "é".repeat(201).as_bytes());
    assert_eq!(id(&format!("\"{}\"", "é".repeat(201))), Some(crate::scheme::encoding::hex(digest.as_ref())));
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
    let mut sent = SentRequest::new(&[("X-GitHub-Event", "?"), (header, "?")], "{}");
    sent.headers.iter_mut().for_each(|(_, value)| *value = vec![0xff]);
    assert_eq!(
        sent.description(&verifier),
        Description { event_type: "message".into(), type_bytes: 7, delivery_id: None, form_mark: None }
    );
}

#[test]
fn github_form_is_described_by_its_payload() {
    let verifier = bind("github", &usable("github"));
    let json = form(&verifier, "payload=%7B%22action%22%3A%22opened%22%7D").unwrap();
    assert_eq!(json, r#"{"action":"opened"}"#);
    let extracted = verifier.read_json(json.as_bytes()).unwrap();
    let description = SentRequest::new(&[("X-GitHub-Event", "issues")], "")
        .put(|request| verifier.describe(request, Some(&extracted)));
    assert_eq!(description.event_type, "issues.opened");
    assert_eq!(
        form(&bind("stripe", &usable("stripe")), "payload=%7B%7D").as_deref(),
        Some(r#"{"payload":"{}"}"#)
    );
}

#[test]
fn sample_has_requested_event() {
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
        let sent = SentRequest::sample(&verifier, Some(event));
        assert_eq!(sent.verdict(&verifier), Ok(()), "{provider} {event}");
        let description = sent.description(&verifier);
        assert_eq!(description.event_type, event, "{provider}");
        assert!(description.delivery_id.is_some_and(|id| id.ends_with("nonce")), "{provider}");
    }
}

fn form(verifier: &Verifier, body: &str) -> Option<String> {
    let sent = SentRequest::new(&[("Content-Type", "application/x-www-form-urlencoded")], body);
    sent.put(|request| verifier.form_to_json(request)).unwrap()
}

#[test]
fn first_place_is_type_and_all_places_form_id() {
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
        let description = SentRequest::new(headers, body).description(&verifier);
        (description.event_type, description.delivery_id)
    };
    let headers = [("X-Kind", "b"), ("X-Try", "2")];
    assert_eq!(described(&headers, r#"{"kind":"a","id":"1"}"#), ("a".into(), Some("1:2".into())));
    assert_eq!(described(&headers[..1], r#"{"id":"1"}"#), ("b".into(), None));
    assert_eq!(described(&[], r#"{"id":"1","message":{}}"#), ("message".into(), None));
    assert_eq!(described(&[], r#"{"id":"1","poll":{}}"#), ("poll".into(), None));
}

#[test]
fn overlapping_batches_have_different_ids() {
    let id = |provider: &str, body: &str| described(provider, &[], body).1;
    let events = |ids: &[&str]| {
        let events: Vec<String> = ids.iter().map(|id| format!(r#"{{"id":"{id}"}}"#)).collect();
        format!(r#"{{"events":[{}]}}"#, events.join(","))
    };
    assert_eq!(id("gocardless", &events(&["a"])), Some("a".into()));
    assert_eq!(id("gocardless", &events(&["a", "b"])), Some("a,b".into()));
    assert_eq!(id("gocardless", &events(&["a", "c"])), Some("a,c".into()));
    let azure = |ids: &str| id("azure-event-grid", ids);
    assert_eq!(azure(r#"[{"id":"a","eventType":"t"}]"#), Some("a".into()));
    assert_eq!(azure(r#"[{"id":"a","eventType":"t"},{"id":"b"}]"#), Some("a,b".into()));
    // Without one of the ids, the batch cannot be distinguished from others.
    assert_eq!(azure(r#"[{"id":"a"},{}]"#), None);
    let many: Vec<String> = (0..100).map(|number| format!("event {number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let joined = ring::digest::digest(&ring::digest::SHA256, many.join(",").as_bytes());
    assert_eq!(id("gocardless", &events(&many)), Some(crate::scheme::encoding::hex(joined.as_ref())));
}

const STRUCTURED: (&str, &str) = ("Content-Type", "Application/CloudEvents+JSON; charset=UTF-8");

#[test]
fn cloudevent_has_the_same_type_and_id_in_each_mode() {
    let expected = ("com.example.größe".to_owned(), Some("/s/ü:A-1".to_owned()));
    let event =
        r#"{"specversion":"1.0","type":"com.example.größe","source":"/s/ü","id":"A-1","data":{"type":"x"}}"#;
    let binary = [
        ("Content-Type", "application/json"),
        ("ce-specversion", "1.0"),
        ("ce-type", "com.example.gr%C3%B6%C3%9Fe"),
        ("ce-source", "/s/%c3%bc"),
        ("ce-id", "\"A-1\""),
    ];
    let described = |headers: &[(&str, &str)], body: &str| described("cloudevents", headers, body);
    assert_eq!(described(&binary, r#"{"type":"other","id":"other","source":"other"}"#), expected);
    assert_eq!(described(&binary, ""), expected);
    assert_eq!(described(&[STRUCTURED], event), expected);
    assert_eq!(described(&[("Content-Type", "application/json")], event), expected);
    assert_eq!(described(&[], event), expected);
    // The content type of the structured mode outranks headers.
    let other = [STRUCTURED, ("ce-type", "other"), ("ce-source", "other"), ("ce-id", "other")];
    assert_eq!(described(&other, event), expected);
    assert_eq!(described(&[STRUCTURED], &format!("[{event}]")), expected);
    let mut in_another_format = binary;
    in_another_format[0].1 = "application/cloudevents+avro";
    assert_eq!(described(&in_another_format, "not JSON"), expected);
}

#[test]
fn cloudevents_batch_has_first_type_and_ids_of_all() {
    let event = |id: &str| format!(r#"{{"specversion":"1.0","type":"t.{id}","source":"/s","id":"{id}"}}"#);
    let batch = |ids: &[&str]| {
        let events: Vec<String> = ids.iter().map(|id| event(id)).collect();
        let kind = [("Content-Type", "application/cloudevents-batch+json")];
        described("cloudevents", &kind, &format!("[{}]", events.join(",")))
    };
    assert_eq!(batch(&["a", "b"]), ("t.a".into(), Some("/s,/s:a,b".into())));
    assert_eq!(batch(&["a", "c"]), ("t.a".into(), Some("/s,/s:a,c".into())));
    assert_eq!(batch(&[]), ("message".into(), None));
}

#[test]
fn json_without_cloudevent_has_no_event() {
    for body in [
        r#"{"type":"t","source":"/s","id":"1"}"#,
        r#"{"specversion":"1.0","source":"/s","id":"1"}"#,
        r#"{"specversion":{},"type":"t","source":"/s","id":"1"}"#,
        "no JSON",
        "",
    ] {
        assert_eq!(described("cloudevents", &[], body), ("message".into(), None), "{body}");
    }
    let lacks_id = r#"{"specversion":"1.0","type":"t","source":"/s"}"#;
    assert_eq!(described("cloudevents", &[], lacks_id), ("t".into(), None));
    assert_eq!(described("cloudevents", &[("ce-type", "t"), ("ce-id", "1")], ""), ("t".into(), None));
}

#[test]
fn slack_interaction_is_described_by_its_payload() {
    let verifier = bind("slack", &usable("slack"));
    let described = |body: &str| {
        let sent = SentRequest::new(&[("Content-Type", "application/x-www-form-urlencoded")], body);
        let json = sent.put(|request| verifier.form_to_json(request)).unwrap().unwrap();
        let description =
            sent.put(|request| verifier.describe(request, verifier.read_json(json.as_bytes()).as_ref()));
        (description.event_type, description.delivery_id)
    };
    let interaction = "payload=%7B%22type%22%3A%22block_actions%22%2C%22trigger_id%22%3A%221.2.x%22%7D";
    assert_eq!(described(interaction), ("block_actions".into(), Some("1.2.x".into())));
    let command = "token=x&command=%2Fweather&trigger_id=1.2.y";
    assert_eq!(described(command), ("/weather".into(), Some("1.2.y".into())));
}

#[test]
fn events_of_one_post_on_x_have_different_ids() {
    let id = |event: &str, filter: &str| {
        let body = format!(
            r#"{{"data":{{"event_uuid":"2080761390344937796","event_type":"{event}","filter":{filter}}}}}"#
        );
        described("x", &[], &body).1
    };
    let created = id("post.create", r#"{"user_id":"1"}"#);
    assert_eq!(created.as_deref(), Some("2080761390344937796:post.create:1"));
    let mentioned = id("post.mention.create", r#"{"user_id":"1"}"#);
    let also_mentioned = id("post.mention.create", r#"{"user_id":"2"}"#);
    assert!(created != mentioned && mentioned != also_mentioned);
    let without_filter = id("post.create", "{}");
    assert_eq!(without_filter.as_deref(), Some("2080761390344937796:post.create:post.create"));
}

#[test]
fn delivery_header_has_priority_over_event_id() {
    let pagerduty = |headers: &[(&str, &str)]| described("pagerduty", headers, r#"{"event":{"id":"e"}}"#).1;
    assert_eq!(pagerduty(&[("X-Webhook-Id", "w")]).as_deref(), Some("w"));
    assert_eq!(pagerduty(&[]).as_deref(), Some("e"));
    let btcpay = |body: &str| described("btcpay", &[], body).1;
    assert_eq!(btcpay(r#"{"deliveryId":"2","originalDeliveryId":"1"}"#).as_deref(), Some("1"));
    assert_eq!(btcpay(r#"{"deliveryId":"2"}"#).as_deref(), Some("2"));
}
