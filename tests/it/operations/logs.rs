//! One line per request, as text or as JSON.

use std::time::Duration;

use crate::harness::events::EventStream;
use crate::harness::{ADMIN_TOKEN, Request, TestApp, eventually, sign};

const LIMIT: Duration = Duration::from_secs(10);
const PATH: &str = "random-path-part-of-github-1";

#[track_caller]
fn line_with(app: &TestApp, needle: &str) -> String {
    app.process.log.wait_for(needle, LIMIT).unwrap_or_else(|log| panic!("no {needle:?} in the log:\n{log}"))
}

/// Returns the `request_id` of a text line.
#[track_caller]
fn request_id(line: &str) -> &str {
    let (_, id) = line.rsplit_once(" request_id=").unwrap_or_else(|| panic!("no request_id: {line}"));
    let (process, number) = id.split_once('-').unwrap();
    assert!(process.len() == 4 && process.bytes().all(|byte| byte.is_ascii_hexdigit()), "{line}");
    assert!(number.parse::<u64>().is_ok(), "{line}");
    id
}

#[test]
fn request_is_one_text_line_without_random_path() {
    let app = TestApp::github().set("CREEL_SOURCE_GITHUB_PATH", PATH).start();
    let target = format!("/webhooks/github/{PATH}");
    let issue =
        sign::github("1", r#"{"action":"opened"}"#).replace("X-GitHub-Event", "issues").target(&target);
    assert_eq!(app.send(&issue).status, 204);
    let line = line_with(&app, "POST /webhooks/github 204 ");
    for field in ["source=github", "event=github.issues.opened", "id=1", "ip=127.0.0.1", "ms"] {
        assert!(line.contains(field), "{field} is missing: {line}");
    }
    assert!(!app.log().contains(PATH));
    let first = request_id(&line).to_owned();
    assert_eq!(app.send(&issue.body("{}")).status, 403);
    let line = line_with(&app, "POST /webhooks/github 403 ");
    assert_ne!(request_id(&line), first);
    assert!(line.contains("cause=signature_mismatch") && line.contains("ip=127.0.0.1"), "{line}");
}

#[test]
fn request_is_one_json_object() {
    let app = TestApp::github().set("CREEL_LOG_FORMAT", "json").start();
    assert_eq!(app.send(&sign::github("1", "{}")).status, 200);
    assert_eq!(app.send(&sign::github("1", "{}").body("[]")).status, 403);
    line_with(&app, "signature_mismatch");
    let log = app.log();
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of_requests: Vec<_> = lines.iter().filter(|line| line["source"] == "github").collect();
    assert_eq!(of_requests.len(), 2, "{log}");
    assert_eq!(
        (&of_requests[0]["event"], &of_requests[0]["ip"]),
        (&"github.push".into(), &"127.0.0.1".into())
    );
    assert_eq!(
        of_requests[0]["id"].as_i64().or_else(|| of_requests[0]["id"].as_str()?.parse().ok()),
        Some(1)
    );
    assert_eq!(of_requests[1]["cause"], "signature_mismatch");
    let ids = [&of_requests[0]["request_id"], &of_requests[1]["request_id"]];
    assert!(ids[0].is_string() && ids[1].is_string() && ids[0] != ids[1], "{log}");
    assert!(lines[0]["request_id"].is_null(), "no request: {}", lines[0]);
}

#[test]
fn api_response_has_request_id_of_its_log_line() {
    let app = TestApp::github().start();
    for (token, status) in [(ADMIN_TOKEN, 200), ("wrong-token-of-the-tests-0123456789", 401)] {
        let request = Request::get("/api/v1/messages").header("Authorization", format!("Bearer {token}"));
        let reply = app.send(&request);
        assert_eq!(reply.status, status);
        let line = line_with(&app, &format!("GET /api/v1/messages {status} "));
        assert_eq!(reply.header("x-request-id"), Some(request_id(&line)));
    }
}

#[test]
fn api_request_that_creates_a_message_has_its_id() {
    let app = TestApp::github().set("CREEL_EVENTS", "order.paid").start();
    assert_eq!(app.send(&sign::github("1", "{}").body("[]")).status, 403);
    eventually("the rejection is written", LIMIT, || app.database().count("rejections") == 1);
    let rejection: i64 = app.database().value("SELECT id FROM rejections");
    let post = |path: &str, body: &str| {
        let request = Request::post(&format!("/api/v1{path}"));
        let request = request.header("Authorization", format!("Bearer {ADMIN_TOKEN}"));
        app.send(&request.header("Content-Type", "application/json").body(body)).status
    };
    assert_eq!(post(&format!("/rejections/{rejection}/recheck"), ""), 200);
    let line = line_with(&app, &format!("POST /api/v1/rejections/{rejection}/recheck 200 "));
    assert!(!line.contains(" id="), "{line}");
    assert_eq!(post("/events", r#"{"event":"order.paid","payload":1}"#), 202);
    let line = line_with(&app, "POST /api/v1/events 202 ");
    assert!(line.contains(" id=1 "), "{line}");
    assert_eq!(post(&format!("/rejections/{rejection}/release"), ""), 200);
    let line = line_with(&app, &format!("POST /api/v1/rejections/{rejection}/release 200 "));
    assert!(line.contains(" id=2 "), "{line}");
}

#[test]
fn quiet_log_is_empty() {
    let app = TestApp::github().set("CREEL_LOG", "warn,creel=info").start();
    assert_eq!(app.send(&sign::github("1", "{}")).status, 200);
    line_with(&app, "POST /webhooks/github 200 ");
    let builder = app.stop().set("CREEL_LOG", "error").set("CREEL_LISTEN", "127.0.0.1:0");
    let process = builder.spawn();
    // The log stays empty for two seconds, without the listening address.
    let quiet = process.log.wait_for("listening", Duration::from_secs(2));
    assert_eq!(quiet, Err(String::new()));
}

#[test]
fn untrusted_proxy_is_warned_about_once() {
    let app = TestApp::github().start();
    let request = Request::post("/webhooks/github").header("X-Forwarded-For", "203.0.113.9").body("{}");
    let mut connection = app.connect();
    for _ in 0..1_100 {
        assert_eq!(connection.exchange(&request).status, 403);
    }
    let line = line_with(&app, "nearly all requests come from 127.0.0.1");
    assert!(line.contains(" WARN ") && line.contains("CREEL_TRUSTED_PROXIES=127.0.0.1"), "{line}");
    // The warning is written during a request, whose own line follows.
    let id = request_id(&line);
    let is_of_request = |line: &str| line.contains("POST /webhooks/github 403 ") && request_id(line) == id;
    assert!(app.log().lines().any(is_of_request), "{line}");
    assert_eq!(app.log().matches("nearly all requests").count(), 1);
    let trusting = app.stop().set("CREEL_TRUSTED_PROXIES", "127.0.0.1").start();
    let mut connection = trusting.connect();
    for _ in 0..600 {
        assert_eq!(connection.exchange(&request).status, 403);
    }
    assert!(!trusting.log().contains("nearly all requests"), "{}", trusting.log());
}

/// Edits the time of a message, so that each read of it finds an unreadable time.
fn make_time_unreadable(app: &TestApp, message: i64) {
    let edited =
        app.database().change(&format!("UPDATE messages SET received_at = 'yesterday' WHERE id = {message}"));
    assert_eq!(edited, 1);
}

#[test]
fn unreadable_time_is_logged_once_per_row() {
    let app = TestApp::github().start();
    for id in ["1", "2"] {
        assert_eq!(app.send(&sign::github(id, "{}")).status, 200);
    }
    let list = Request::get("/api/v1/messages").header("Authorization", format!("Bearer {ADMIN_TOKEN}"));
    for (message, reads) in [(1, 2), (2, 1)] {
        make_time_unreadable(&app, message);
        (0..reads).for_each(|_| assert_eq!(app.send(&list).status, 200));
    }
    // The log is in order, so all lines about message 1 precede this one.
    line_with(&app, "column received_at of messages 2 is unreadable");
    assert_eq!(app.log().matches("column received_at of messages 1 is unreadable").count(), 1);
}

#[test]
fn stream_logs_with_the_id_of_its_request() {
    for path in ["/messages/stream?from=0", "/listeners/laptop/stream?since=1h"] {
        let app = TestApp::github().start();
        assert_eq!(app.send(&sign::github("1", "{}")).status, 200);
        make_time_unreadable(&app, 1);
        let request = Request::get(&format!("/api/v1{path}"));
        let request = request.header("Authorization", format!("Bearer {ADMIN_TOKEN}"));
        let mut stream = EventStream::open(app.address, &request);
        stream.until("message");
        let line = line_with(&app, "column received_at of messages 1 is unreadable");
        assert_eq!(stream.header("x-request-id"), Some(request_id(&line)), "{path}");
    }
}
