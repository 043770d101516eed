//! Errors as problem documents, with a code and without internal details.

use serde_json::json;

use super::{assert_rows, get, json as json_of, post, row, service, with_body, with_token};
use crate::harness::{ADMIN_TOKEN, Request, TestApp};

#[test]
fn problem_has_type_title_status_detail_and_code() {
    let app = service();
    let reply = app.send(&get("/messages/42"));
    assert_eq!((reply.status, reply.content_type()), (404, "application/problem+json"));
    assert_eq!(
        json_of(&reply),
        json!({"type": "about:blank", "title": "Not Found", "status": 404, "code": "not_found",
            "detail": "Message 42 not found (it may have been deleted by retention)."})
    );
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
}

#[test]
fn unknown_path_is_a_problem() {
    let app = service();
    let nowhere = |path: &str| with_token(Request::get(path), ADMIN_TOKEN);
    assert_rows(
        &app,
        &[
            row(nowhere("/api"), 404, &["no_such_path"], &[]),
            row(nowhere("/api/"), 404, &["no_such_path"], &[]),
            row(nowhere("/api/v1"), 404, &["no_such_path"], &[]),
            row(nowhere("/api/v2/messages"), 404, &["no_such_path"], &[]),
            row(nowhere("/api/v1/messages/"), 404, &[], &[]),
            row(nowhere("/api/v1/Messages"), 404, &["no_such_path"], &[]),
            row(nowhere("/api/v1/messages/1/2/3"), 404, &["no_such_path"], &[]),
            row(nowhere("/api/v1/%6dessages"), 200, &["items"], &[]),
            row(get("/messages/abc"), 404, &["not_found", "whole numbers"], &[]),
            row(get("/messages/0"), 404, &["not_found", "whole numbers"], &[]),
            row(get("/messages/-1"), 404, &["not_found", "whole numbers"], &[]),
            row(get("/messages/+1"), 404, &["not_found", "whole numbers"], &[]),
            row(get("/messages/1%00"), 404, &["not_found", "whole numbers"], &[]),
            row(get("/messages/99999999999999999999"), 404, &["not_found", "whole numbers"], &[]),
            row(get("/messages/9223372036854775807"), 404, &["not_found"], &[]),
        ],
    );
}

#[test]
fn unsupported_method_returns_allowed_methods() {
    let app = service();
    for (method, path, allow) in [
        ("DELETE", "/messages", "GET, HEAD"),
        ("TRACE", "/messages/1", "GET, HEAD"),
        ("GET", "/events", "POST"),
        ("BREW", "/events", "POST"),
    ] {
        let reply = app.send(&with_body(method, path, &json!({})));
        assert_eq!((reply.status, reply.header("allow")), (405, Some(allow)), "{method} {path}");
        assert_eq!(json_of(&reply)["code"], "method_not_allowed");
    }
    assert_eq!(app.send(&get("/messages").method("HEAD")).status, 200);
}

#[test]
fn unknown_names_are_in_the_problem() {
    let app = service();
    let event = |body| post("/events", &body);
    assert_rows(
        &app,
        &[
            row(get("/messages?surce=github"), 400, &["invalid_query", "`surce`", "`source`"], &[]),
            row(get("/messages?limit=many"), 400, &["invalid_query", "limit"], &[]),
            row(get("/messages?limit=0"), 400, &["limit", "1 to 200"], &[]),
            row(get("/messages?limit=201"), 400, &["limit", "1 to 200"], &[]),
            row(get("/messages?limit=70000"), 400, &["limit"], &[]),
            row(get("/messages?limit=1&limit=2"), 400, &["limit"], &[]),
            row(get("/messages?cursor=0"), 400, &["cursor"], &[]),
            row(get("/messages?cursor=99999999999999999999"), 400, &["cursor"], &[]),
            row(get("/messages?dead=perhaps"), 400, &["dead"], &[]),
            row(get("/messages?since=soon"), 422, &["invalid_value", "since", "2h"], &[]),
            row(get("/messages?until=2026-13-01T00:00:00Z"), 422, &["until"], &[]),
            row(get("/messages?source=a%00b"), 422, &["source", "control"], &[]),
            row(get("/deliveries?state=lost"), 400, &["state", "pending"], &[]),
            row(get("/deliveries?target=nobody"), 404, &["nobody"], &[]),
            row(event(json!({"event": "pay_info.paid", "payload": 1, "ownr": "a"})), 400, &["`ownr`"], &[]),
            row(event(json!({"event": "pay_info.paid"})), 400, &["invalid_body", "`payload`"], &[]),
            row(event(json!({"event": 1, "payload": 1})), 400, &["invalid_body", "string"], &[]),
            row(event(json!([])), 400, &["invalid_body"], &[]),
            row(event(json!({})).body("{"), 400, &["invalid_body"], &[]),
            row(event(json!({})).body(""), 400, &["invalid_body"], &[]),
            row(event(json!({})).replace("Content-Type", "text/plain"), 415, &["application/json"], &[]),
        ],
    );
}

#[test]
fn body_is_limited_by_its_path() {
    let app = super::builder().set("CREEL_MAX_BODY", "2MiB").start();
    let event =
        |bytes: usize| post("/events", &json!({"event": "pay_info.paid", "payload": "x".repeat(bytes)}));
    assert_eq!(app.send(&event(1_900_000)).status, 202);
    let reply = app.send(&event(2_200_000));
    assert_eq!((reply.status, &json_of(&reply)["code"]), (413, &json!("body_too_large")));
    let target = |bytes: usize| {
        post("/targets", &json!({"events": ["*"], "url": "http://127.0.0.1:9/", "name": "x".repeat(bytes)}))
    };
    assert_eq!(app.send(&target(1_000_000)).status, 422);
    assert_eq!(app.send(&target(1 << 20)).status, 413);
}

#[test]
fn failed_write_is_503_with_retry_after() {
    let app = super::builder().set("CREEL_MIN_FREE", "1000TiB").start();
    let reply = app.send(&post("/events", &json!({"event": "pay_info.paid", "payload": 1})));
    assert_eq!((reply.status, &json_of(&reply)["code"]), (503, &json!("unavailable")));
    assert!(reply.retry_after_seconds().is_some_and(|seconds| seconds > 0), "{reply:?}");
}

#[test]
fn webhook_address_does_not_serve_the_api() {
    let app = TestApp::github().set("CREEL_ADMIN_LISTEN", "127.0.0.1:0").start();
    let reply = app.send(&get("/messages"));
    reply.assert_is(404, "text/plain", "Not found.");
    let line = app.process.log.wait_for("admin on http://", std::time::Duration::from_secs(5)).unwrap();
    let admin = crate::harness::app::address_in(&line, "admin on http://");
    let status_of = |request: &Request| crate::harness::Connection::open(admin).exchange(request).status;
    assert_eq!(status_of(&get("/messages")), 200);
    assert_eq!(status_of(&get("/messages").without("Authorization")), 401);
    assert_eq!(status_of(&Request::get("/metrics").replace("Host", admin.to_string())), 200);
    assert_eq!(status_of(&Request::get("/metrics").replace("Host", "rebound.example.com")), 421);
}
