//! Filters on bodies of every encoding, and on unreadable bodies.

use miniz_oxide::deflate::{compress_to_vec, compress_to_vec_zlib};
use serde_json::Value;

use super::*;
use crate::harness::{ADMIN_TOKEN, Request};

const FORM: &str = "application/x-www-form-urlencoded";

/// Two targets with opposite filters, and one without a filter.
fn service(target: &Target) -> TestApp {
    TestApp::github()
        .set("CREEL_TARGET_ALL_URL", target.url("/all"))
        .set("CREEL_TARGET_DRAFT_URL", target.url("/draft"))
        .set("CREEL_TARGET_DRAFT_FILTER", "/draft")
        .set("CREEL_TARGET_READY_URL", target.url("/ready"))
        .set("CREEL_TARGET_READY_FILTER", "!/draft")
        .start()
}

fn message(id: &str, body: impl Into<Vec<u8>>) -> Request {
    sign::github(id, body)
}

/// Sends a message and returns the names of its targets.
#[track_caller]
fn targets_of(app: &TestApp, request: &Request) -> Vec<String> {
    assert_eq!(app.send(request).status, 200);
    let kept = app.database().newest_message();
    assert_eq!(kept.body, request.content(), "the bytes are stored unchanged");
    app.database().column(&format!(
        "SELECT name FROM deliveries JOIN targets ON targets.id = target_id WHERE message_id = {} ORDER BY name",
        kept.id
    ))
}

fn api(app: &TestApp, path: &str) -> Value {
    let request =
        Request::get(&format!("/api/v1{path}")).header("Authorization", format!("Bearer {ADMIN_TOKEN}"));
    let reply = app.send(&request);
    assert_eq!(reply.status, 200, "{}", reply.text());
    serde_json::from_str(&reply.text()).unwrap()
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut member = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    member.extend(compress_to_vec(data, 6));
    member.extend(crc32fast::hash(data).to_le_bytes());
    member.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
    member
}

#[test]
fn unusual_readable_bodies_reach_the_matching_targets() {
    let target = Target::start();
    let app = service(&target);
    let utf16: Vec<u8> = "\u{feff}{\"draft\":1}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let draft = [
        message("plain", r#"{"draft":true}"#),
        message("surrogate", r#"{"draft":true,"title":"the \ud83d button"}"#),
        message("surrogate-itself", r#"{"draft":"\ud83d"}"#),
        message("surrogate-key", r#"{"\udc00":1,"draft":true}"#),
        message("huge", r#"{"n":1e400,"draft":123456789012345678901234567890}"#),
        message("bom", "\u{feff}{\"draft\":true}"),
        message("twice", r#"{"draft":true,"draft":false}"#),
        message("gzip", gzip(br#"{"draft":true}"#)).header("Content-Encoding", "gzip"),
        message("zlib", compress_to_vec_zlib(br#"{"draft":true}"#, 6)).header("Content-Encoding", "deflate"),
        message("claimed", r#"{"draft":true}"#).header("Content-Encoding", "gzip"),
        message("utf-16", utf16.clone()),
        message("form", "draft=1").replace("Content-Type", FORM),
        message("named", "draft=%E9&charset=windows-1252").replace("Content-Type", FORM),
        message("quoted", "draft=1").replace("Content-Type", format!("{FORM}; charset='utf-8'")),
        message("padded", [gzip(br#"{"draft":true}"#), vec![0; 9]].concat())
            .header("Content-Encoding", "gzip"),
        message("latin-json", b"{\"draft\":\"\xe9\"}")
            .replace("Content-Type", format!("{FORM}; charset=latin1")),
        message("utf-16-form", utf16).replace("Content-Type", FORM),
        message("latin", "draft=%E9").replace("Content-Type", format!("{FORM}; charset=iso-8859-1")),
        message("payload", "&payload=%7B%22draft%22%3Atrue%7D&").replace("Content-Type", FORM),
        message("payload-more", "payload=%7B%22draft%22%3Atrue%7D&a=1").replace("Content-Type", FORM),
        message("payload-gbk", "payload=%7B%22draft%22%3A%22%E4%B8%AD%22%7D")
            .replace("Content-Type", format!("{FORM}; charset=gbk")),
        message("gzip-form", gzip(b"draft=1"))
            .replace("Content-Type", FORM)
            .header("Content-Encoding", "gzip"),
    ];
    for request in &draft {
        let shown = String::from_utf8_lossy(request.content());
        assert_eq!(targets_of(&app, request), ["all", "draft"], "{shown}");
    }
    let other = [
        message("other", r#"{"title":"the \ud83d button","n":1e400}"#),
        message("other-bom", "\u{feff}{}"),
        message("other-gzip", gzip(b"{}")).header("Content-Encoding", "x-gzip"),
        message("array", "[]"),
        message("other-form", "a=1").replace("Content-Type", FORM),
    ];
    for request in &other {
        let shown = String::from_utf8_lossy(request.content());
        assert_eq!(targets_of(&app, request), ["all", "ready"], "{shown}");
    }
    let unreadable: i64 = app.database().value("SELECT count(*) FROM messages WHERE unreadable IS NOT NULL");
    assert_eq!(unreadable, 0);
}

#[test]
fn unreadable_bodies_match_no_filter_and_log_the_reason() {
    let target = Target::start();
    let app = service(&target);
    let deep = format!("{{\"draft\":true,\"a\":{}{}}}", "[".repeat(127), "]".repeat(127));
    let rows = [
        (message("empty", ""), "empty"),
        (message("text", "draft"), "not_json"),
        (message("cut", r#"{"draft":true"#), "not_json"),
        (message("bytes", b"{\"draft\":\"\xff\"}"), "not_json"),
        (message("deep", deep.as_str()), "too_deep"),
        (message("deep-gzip", gzip(deep.as_bytes())).header("Content-Encoding", "gzip"), "too_deep"),
        (message("deep-form", deep.as_str()).replace("Content-Type", FORM), "too_deep"),
        (message("payload-deep", format!("payload={deep}")).replace("Content-Type", FORM), "too_deep"),
        (message("payload-nan", "payload={\"draft\":NaN}").replace("Content-Type", FORM), "not_json"),
        (message("payload-twice", "payload={}&payload={}").replace("Content-Type", FORM), "not_json"),
        (message("fields", "draft&".repeat(10_001)).replace("Content-Type", FORM), "form_too_large"),
        (
            message("klingon", "draft=1").replace("Content-Type", format!("{FORM}; charset=klingon")),
            "unknown_charset",
        ),
        (
            message("no-utf-8", "draft=%FF").replace("Content-Type", format!("{FORM}; charset=utf-8")),
            "malformed_text",
        ),
        (message("br", "\x0b\x02\u{0}draft").header("Content-Encoding", "br"), "unknown_coding"),
        (
            message("garbage", [&gzip(b"{}")[..], b"x"].concat()).header("Content-Encoding", "gzip"),
            "malformed_coding",
        ),
        (message("form-bytes", b"{\"draft\":\"\xff\"}").replace("Content-Type", FORM), "not_json"),
        (message("form-nan", r#"{"draft":NaN}"#).replace("Content-Type", FORM), "not_json"),
        (message("form-cut", r#"{"draft":true"#).replace("Content-Type", FORM), "not_json"),
        (message("form-two", r#"{"draft":1}{"a":1}"#).replace("Content-Type", FORM), "not_json"),
        (message("form-mark", "\u{feff}{\"draft\":1,}").replace("Content-Type", FORM), "not_json"),
        (message("form-gzip", gzip(br#"{"draft":1}"#)).replace("Content-Type", FORM), "not_json"),
        (
            message("form-gzip-cut", gzip(br#"{"draft":1"#))
                .replace("Content-Type", FORM)
                .header("Content-Encoding", "gzip"),
            "not_json",
        ),
        (message("payload-bytes", "payload={\"dr%E4ft\":1}").replace("Content-Type", FORM), "not_json"),
        (message("no-charset", "dr%E4ft=1").replace("Content-Type", FORM), "malformed_text"),
        (message("no-charset-value", "a=%E4").replace("Content-Type", FORM), "malformed_text"),
        (message("bomb", gzip(&vec![b' '; 4 << 20])).header("Content-Encoding", "gzip"), "expands_too_much"),
    ];
    for (request, reason) in rows {
        assert_eq!(targets_of(&app, &request), ["all"], "{reason}");
        let id = app.database().newest_message().id;
        let head = api(&app, &format!("/messages/{id}"));
        assert_eq!((&head["unreadable"], &head["not_json"]), (&reason.into(), &(reason != "empty").into()));
        assert_eq!(head["content"]["payload"], Value::Null);
        let flag = format!("unreadable={reason} ");
        eventually("the log line has the reason", SOON, || {
            app.log().lines().any(|line| line.contains(&format!(" id={id} ")) && line.contains(&flag))
        });
        let metric = format!("creel_unreadable_total{{source=\"github\",reason=\"{reason}\"}}");
        assert!(app.metric(&metric) >= 1.0, "{reason}");
    }
    let server = format!("http://{}", app.address);
    let id = app.database().value::<i64>("SELECT id FROM messages WHERE delivery_id = 'deep'").to_string();
    let shown = TestApp::builder().run(&["show", &id, "--server", &server]).succeeded();
    assert!(
        shown.contains("filters      not evaluated: the body is JSON nested more than 127 levels"),
        "{shown}"
    );
    assert!(shown.contains("unreadable=too_deep"), "{shown}");
}

#[test]
fn compressed_message_is_found_shown_and_forwarded() {
    let target = Target::start();
    let app = service(&target);
    let json = r#"{"z":123456789012345678901234567890,"draft":1.10,"say":"needle"}"#;
    let body = gzip(json.as_bytes());
    let request = message("one", body.clone()).header("Content-Encoding", "gzip");
    assert_eq!(targets_of(&app, &request), ["all", "draft"]);
    for received in target.wait_for(2) {
        assert_eq!((received.header("content-encoding"), &received.body), (Some("gzip"), &body));
    }
    assert_eq!(api(&app, "/messages?text=needle")["items"][0]["id"], 1);
    let payload: String = app.database().value("SELECT payload FROM messages");
    assert_eq!(payload, json);
    let server = format!("http://{}", app.address);
    let shown = TestApp::builder().run(&["show", "1", "--server", &server]).succeeded();
    let lines = "{\n  \"z\": 123456789012345678901234567890,\n  \"draft\": 1.10,\n  \"say\": \"needle\"\n}";
    assert!(shown.contains(lines), "{shown}");
}

#[test]
fn numbers_of_any_size_are_compared_exactly() {
    let target = Target::start();
    let app = TestApp::github()
        .set("CREEL_TARGET_WEI_URL", target.url("/"))
        .set("CREEL_TARGET_WEI_FILTER", "/wei=123456789012345678901234567890|1e400")
        .start();
    for (number, body) in [
        r#"{"wei":123456789012345678901234567890}"#,
        r#"{"wei":123456789012345678901234567890.0}"#,
        r#"{"wei":"123456789012345678901234567890"}"#,
        r#"{"wei":0.1e401}"#,
    ]
    .iter()
    .enumerate()
    {
        assert_eq!(targets_of(&app, &message(&format!("same-{number}"), *body)), ["wei"], "{body}");
    }
    for (number, body) in [
        r#"{"wei":123456789012345678901234567891}"#,
        r#"{"wei":1.2345678901234568e29}"#,
        r#"{"wei":1e401}"#,
        r#"{"wei":1e99999999999999999999999999999}"#,
        r#"{"other":1}"#,
    ]
    .iter()
    .enumerate()
    {
        assert!(targets_of(&app, &message(&format!("other-{number}"), *body)).is_empty(), "{body}");
    }
}

#[test]
fn form_target_gets_every_digit_in_order() {
    let target = Target::start();
    let app = delivering_to(&target).set("CREEL_TARGET_APP_CONTENT_TYPE", "form").start();
    push(
        &app,
        "one",
        r#"{"z":123456789012345678901234567890,"price":1.10,"o":{"n": 1.0},"cut":"a\ud83d","é":"ü"}"#,
    );
    let received = &target.wait_for(1)[0];
    let fields: Vec<(String, String)> = form_urlencoded::parse(&received.body).into_owned().collect();
    let expected = [
        ("z", "123456789012345678901234567890"),
        ("price", "1.10"),
        ("o", "{\"n\":1.0}"),
        ("cut", "a\u{fffd}"),
        ("é", "ü"),
    ];
    assert_eq!(fields, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let gzipped = message("two", gzip(br#"{"a":1.10}"#)).header("Content-Encoding", "gzip");
    assert_eq!(app.send(&gzipped).status, 200);
    let received = &target.wait_for(2)[1];
    assert_eq!((received.header("content-encoding"), received.text().as_str()), (None, "a=1.10"));
}

#[test]
fn form_target_gets_received_forms_decoded() {
    let target = Target::start();
    let app = delivering_to(&target).set("CREEL_TARGET_APP_CONTENT_TYPE", "form").start();
    let form = "b=2&a=%C3%A9&b=1";
    let latin = format!("{FORM}; charset=iso-8859-1");
    let rows = [
        message("plain", form).replace("Content-Type", FORM),
        message("gzip", gzip(form.as_bytes()))
            .replace("Content-Type", FORM)
            .header("Content-Encoding", "gzip"),
        message("latin", "b=2&a=%E9&b=1").replace("Content-Type", latin),
    ];
    for (count, request) in (1..).zip(&rows) {
        assert_eq!(app.send(request).status, 200);
        let received = &target.wait_for(count)[count - 1];
        assert_eq!(received.text(), form);
        assert_eq!(received.header("content-type"), Some(FORM));
        assert_eq!(received.header("content-encoding"), None);
    }
}

#[test]
fn payload_with_byte_order_mark_is_usable_in_sqlite() {
    let target = Target::start();
    let app = service(&target);
    push(&app, "one", "\u{feff}{\"draft\":7,\"cut\":\"\\ud83d\",\"far\":1e400}");
    assert_eq!(app.database().value::<i64>("SELECT payload ->> '$.draft' FROM messages"), 7);
    assert_eq!(app.database().value::<i64>("SELECT json_valid(payload) FROM messages"), 1);
    assert_eq!(app.database().only_message().body[..3], *b"\xef\xbb\xbf");
}

#[test]
fn custom_sender_may_sign_the_decompressed_body() {
    let app = TestApp::builder()
        .set("CREEL_SOURCE_SHOP_PROVIDER", "custom")
        .set("CREEL_SOURCE_SHOP_SECRET", sign::SECRET)
        .set("CREEL_SOURCE_SHOP_SIGNATURE_AT", "header Shop-Signature")
        .set("CREEL_SOURCE_SHOP_SIGNATURE_TEXT", "{body:decoded}")
        .set("CREEL_SOURCE_SHOP_EVENT_TYPE", "json type")
        .set("CREEL_SOURCE_SHOP_DELIVERY_ID", "json id")
        .start();
    let json = r#"{"type":"order.paid","id":12345678901234567890123}"#;
    let send = |signed: &[u8], body: Vec<u8>, coding: &str| {
        let tag = sign::hex(&sign::hmac_sha256(sign::SECRET.as_bytes(), signed));
        let request = Request::post("/webhooks/shop").header("Shop-Signature", tag).body(body);
        app.send(&request.header("Content-Encoding", coding)).status
    };
    assert_eq!(send(json.as_bytes(), gzip(json.as_bytes()), "gzip"), 200);
    let kept = app.database().only_message();
    assert_eq!(
        (kept.event.as_str(), kept.delivery_id.as_deref()),
        ("shop.order.paid", Some("12345678901234567890123"))
    );
    assert_eq!(send(json.as_bytes(), json.into(), "identity"), 200);
    let coded = gzip(json.as_bytes());
    assert_eq!(send(&coded, coded.clone(), "gzip"), 403, "the signature does not cover the compressed bytes");
    assert_eq!(send(b"{}", gzip(json.as_bytes()), "gzip"), 403);
    assert_eq!(send(json.as_bytes(), gzip(json.as_bytes()), "br"), 403);
}

#[test]
fn event_and_id_are_read_from_every_encoding() {
    let app = TestApp::builder()
        .set("CREEL_SOURCE_SHOP_PROVIDER", "custom")
        .set("CREEL_SOURCE_SHOP_SECRET", sign::SECRET)
        .set("CREEL_SOURCE_SHOP_TOKEN_AT", "header Shop-Token")
        .set("CREEL_SOURCE_SHOP_EVENT_TYPE", "json type")
        .set("CREEL_SOURCE_SHOP_DELIVERY_ID", "json id")
        .start();
    let json = |id: u8| format!(r#"{{"odd":"\ud83d","far":1e400,"type":"paid","id":"id-{id}"}}"#);
    let utf16: Vec<u8> = json(4).encode_utf16().flat_map(u16::to_be_bytes).collect();
    let rows: [(Vec<u8>, &str, &str); 6] = [
        (json(1).into(), "application/json", ""),
        (format!("\u{feff}{}", json(2)).into(), "application/json", ""),
        (gzip(json(3).as_bytes()), "application/json", "gzip"),
        (utf16, "application/json; charset=utf-16", ""),
        (b"type=paid&id=id-5".to_vec(), FORM, ""),
        (compress_to_vec(b"type=paid&id=id-6", 6), FORM, "deflate"),
    ];
    for (number, (body, content_type, coding)) in rows.into_iter().enumerate() {
        let request = Request::post("/webhooks/shop").header("Shop-Token", sign::SECRET).body(body);
        let request = request.header("Content-Type", content_type).header("Content-Encoding", coding);
        assert_eq!(app.send(&request).status, 200);
        let kept = app.database().newest_message();
        let id = format!("id-{}", number + 1);
        assert_eq!((kept.event.as_str(), kept.delivery_id), ("shop.paid", Some(id)));
    }
}

#[test]
fn api_filter_is_exact_and_applies_to_emitted_events() {
    let target = Target::start();
    let app = TestApp::builder()
        .set("CREEL_EVENTS", "pay_info.paid")
        .set("CREEL_TARGET_ALLOW_IPS", "127.0.0.1")
        .start();
    let send = |method: &str, path: &str, body: &str| {
        let request = Request::new(method, &format!("/api/v1{path}")).body(body);
        let request = request.header("Authorization", format!("Bearer {ADMIN_TOKEN}"));
        app.send(&request.header("Content-Type", "application/json"))
    };
    let equals = r#""filter":[{"pointer":"/wei","equals":123456789012345678901234567890}]"#;
    let new = format!(r#"{{"name":"wei","events":["pay_info.paid"],{equals},"url":"{}"}}"#, target.url("/"));
    let made = send("POST", "/targets", &new);
    assert_eq!(made.status, 201, "{}", made.text());
    assert!(made.text().contains(equals), "{}", made.text());
    let changed = send("PATCH", "/targets/1", &format!("{{{equals}}}"));
    assert!(changed.status == 200 && changed.text().contains(equals), "{}", changed.text());
    for payload in [
        r#"{"wei":123456789012345678901234567891}"#,
        r#"{"wei":123456789012345678901234567890,"cut":"\ud83d","far":1e400}"#,
    ] {
        let event = format!(r#"{{"event":"pay_info.paid","payload":{payload}}}"#);
        assert_eq!(send("POST", "/events", &event).status, 202, "{payload}");
    }
    let message: i64 = app.database().value("SELECT message_id FROM deliveries");
    assert_eq!(message, 2);
}
