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
    sent.put(|request| verifier.form_to_json(request))
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

/// Fields of samples that look like an event type or a delivery id and are neither.
const LOOKALIKES: [(&str, &str, &str); 20] = [
    ("brevo", "id", "names the webhook"),
    ("brevo", "message-id", "names the mail, which has an event for each of its states"),
    ("circleback", "id", "names the meeting"),
    ("cloudinary", "request_id", "names the API request, which can lead to several notifications"),
    ("expo", "id", "names the build"),
    ("helpscout", "id", "names the conversation"),
    ("mailchannels", "request_id", "names the request that sent the mail"),
    ("mandrill", "_id", "names the mail"),
    ("mollie-classic", "id", "names the payment"),
    ("netlify", "id", "names the deploy"),
    ("none", "id", "is an example: the sender is not known"),
    ("postmark", "ID", "names the bounce"),
    ("postmark", "MessageID", "names the mail"),
    ("recurly", "id", "names the object that has changed"),
    ("recurly", "uuid", "names the object that has changed"),
    ("ripple-collections", "id", "names the collection, which has an event for each of its states"),
    ("sumsub", "correlationId", "traces a request, and is not said to be unique"),
    ("token", "id", "is an example: the sender is not known"),
    ("travis-ci", "id", "names the build"),
    ("vonage", "message_type", "is the kind of the content"),
];

/// Names of fields, in lower case and without `_` and `-`.
const TYPES: [&str; 13] = [
    "type",
    "event",
    "action",
    "kind",
    "eventtype",
    "eventname",
    "alerttype",
    "topic",
    "trigger",
    "triggertype",
    "notificationtype",
    "messagetype",
    "webhookevent",
];
const IDS: [&str; 14] = [
    "id",
    "uuid",
    "guid",
    "eventid",
    "eventuuid",
    "deliveryid",
    "messageid",
    "notificationid",
    "requestid",
    "correlationid",
    "logid",
    "externalid",
    "hash",
    "idempotencykey",
];
/// Inside an object these are the object's own.
const IDS_OF_OBJECTS: [&str; 7] = ["id", "uuid", "guid", "messageid", "requestid", "correlationid", "hash"];

/// The fields of a sample at the top and one level deeper, with the level. Of an array the first item counts; of a form, its
/// fields and the JSON in them.
fn fields_of_sample(body: &str) -> Vec<(usize, String)> {
    fn collect(value: &serde_json::Value, level: usize, found: &mut Vec<(usize, String)>) {
        let value = value.as_array().and_then(|items| items.first()).unwrap_or(value);
        for (name, value) in value.as_object().into_iter().flatten() {
            match value {
                serde_json::Value::String(_) | serde_json::Value::Number(_) => {
                    found.push((level, name.clone()))
                }
                _ if level == 0 => collect(value, 1, found),
                _ => {}
            }
        }
    }
    let body = body.replace("$time_ms", "1").replace("$time", "1");
    let mut found = Vec::new();
    match serde_json::from_str(&body) {
        Ok(document) => collect(&document, 0, &mut found),
        Err(_) => {
            for (name, value) in form_urlencoded::parse(body.as_bytes()) {
                found.push((0, name.into_owned()));
                if let Ok(document) = serde_json::from_str(&value) {
                    collect(&document, 0, &mut found);
                }
            }
        }
    }
    found
}

#[test]
fn sample_with_type_or_id_has_a_place_for_it() {
    let mut unseen: Vec<_> = LOOKALIKES.iter().map(|(provider, place, _)| (*provider, *place)).collect();
    let mut unread = Vec::new();
    for recipe in recipes() {
        for (level, field) in recipe.samples.iter().flat_map(|sample| fields_of_sample(&sample.body)) {
            let name = field.replace(['_', '-'], "").to_ascii_lowercase();
            let is_type = recipe.event_type.is_empty() && TYPES.contains(&name.as_str());
            let is_own = level == 0 || !IDS_OF_OBJECTS.contains(&name.as_str());
            let is_id = recipe.delivery_id.is_empty() && is_own && IDS.contains(&name.as_str());
            if !is_type && !is_id {
                continue;
            }
            if LOOKALIKES.iter().any(|(provider, place, _)| *provider == recipe.name() && *place == field) {
                unseen.retain(|(provider, place)| *provider != recipe.name() || *place != field);
            } else {
                unread.push(format!("{}: {field}", recipe.name()));
            }
        }
    }
    assert!(unread.is_empty(), "no place in the recipe for {unread:?}");
    assert!(unseen.is_empty(), "no such field in a sample: {unseen:?}");
}

#[test]
fn sample_is_described_as_its_recipe_names_it() {
    for own in own_requests() {
        for row in own.verifier.recipe().samples.iter().filter(|row| !row.is_invented) {
            let Some(sample) = own.verifier.sample(&wish(Some(&row.event), "nonce")) else { continue };
            let sent = Sent::of(sample);
            let form = sent.put(|request| own.verifier.form_to_json(request));
            let text = form.as_ref().map_or(sent.body.as_slice(), String::as_bytes);
            let json = own.verifier.read_json(text);
            let description = sent.put(|request| own.verifier.describe(request, json.as_ref()));
            assert_eq!(description.event_type, row.event, "{}", own.provider);
        }
    }
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
    assert_eq!(id("post.create", "{}"), None);
}

#[test]
fn header_of_the_delivery_comes_before_the_id_of_the_event() {
    let pagerduty = |headers: &[(&str, &str)]| described("pagerduty", headers, r#"{"event":{"id":"e"}}"#).1;
    assert_eq!(pagerduty(&[("X-Webhook-Id", "w")]).as_deref(), Some("w"));
    assert_eq!(pagerduty(&[]).as_deref(), Some("e"));
    let btcpay = |body: &str| described("btcpay", &[], body).1;
    assert_eq!(btcpay(r#"{"deliveryId":"2","originalDeliveryId":"1"}"#).as_deref(), Some("1"));
    assert_eq!(btcpay(r#"{"deliveryId":"2"}"#).as_deref(), Some("2"));
}
