//! Filters judge what is there, in whatever form it comes, and nothing passes them because it cannot be read.

use miniz_oxide::deflate::{compress_to_vec, compress_to_vec_zlib};
use serde_json::Value;

use super::*;
use crate::harness::{ADMIN_TOKEN, Request};

const FORM: &str = "application/x-www-form-urlencoded";

/// Targets with opposite filters, and one without.
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

/// Which of the targets get it.
#[track_caller]
fn targets_of(app: &TestApp, request: &Request) -> Vec<String> {
    assert_eq!(app.send(request).status, 200);
    let kept = app.database().newest_message();
    assert_eq!(kept.body, request.content(), "the bytes are kept as they came");
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
fn odd_but_readable_bodies_reach_the_right_targets() {
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
        message("utf-16", utf16),
        message("form", "draft=1").replace("Content-Type", FORM),
        message("latin", "draft=%E9").replace("Content-Type", format!("{FORM}; charset=iso-8859-1")),
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
fn unreadable_bodies_pass_no_filter_and_say_why() {
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
    assert!(shown.contains("unreadable=too-deep"), "{shown}");
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
fn payload_with_byte_order_mark_is_usable_in_sqlite() {
    let target = Target::start();
    let app = service(&target);
    push(&app, "one", "\u{feff}{\"draft\":7,\"cut\":\"\\ud83d\",\"far\":1e400}");
    assert_eq!(app.database().value::<i64>("SELECT payload ->> '$.draft' FROM messages"), 7);
    assert_eq!(app.database().value::<i64>("SELECT json_valid(payload) FROM messages"), 1);
    assert_eq!(app.database().only_message().body[..3], *b"\xef\xbb\xbf");
}
