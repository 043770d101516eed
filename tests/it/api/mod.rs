//! The admin API in rows: a request, the status, and texts that the response must and must not
//! contain.

mod access;
mod dead_letters;
mod description;
mod diff;
mod events;
mod explanations;
mod messages;
mod paging;
mod problems;
mod rejections;
mod replays;
mod stats;
mod targets;

use serde_json::Value;

use crate::harness::{ADMIN_TOKEN, Builder, Reply, Request, TestApp, eventually, sign};

pub const READ_TOKEN: &str = "read-token-of-the-tests-0123456789";
pub const LISTENER_TOKEN: &str = "listener-token-of-the-tests-0123456789";

fn builder() -> Builder {
    TestApp::github()
        .set("CREEL_READ_TOKEN", READ_TOKEN)
        .set("CREEL_LISTENER_TOKEN", LISTENER_TOKEN)
        .set("CREEL_EVENTS", "pay_info.paid order.shipped")
        .set("CREEL_TARGET_ALLOW_IPS", "127.0.0.1")
        .set("CREEL_SOURCE_SHOP_PROVIDER", "token")
        .set("CREEL_SOURCE_SHOP_SECRET", SHOP_TOKEN)
        .set("CREEL_SOURCE_SHOP_HEADER", "Shop-Token")
        .set("CREEL_SOURCE_SHOP_PATH", SHOP_PATH)
}

const SHOP_TOKEN: &str = "token-of-the-shop-that-nobody-may-see";
const SHOP_PATH: &str = "path-of-the-shop-that-nobody-may-see";

fn service() -> TestApp {
    builder().start()
}

fn with_token(request: Request, token: &str) -> Request {
    request.header("Authorization", format!("Bearer {token}"))
}

/// A request to the API with the admin token.
fn get(path: &str) -> Request {
    with_token(Request::get(&format!("/api/v1{path}")), ADMIN_TOKEN)
}

fn post(path: &str, body: &Value) -> Request {
    with_body("POST", path, body)
}

fn with_body(method: &str, path: &str, body: &Value) -> Request {
    with_token(Request::new(method, &format!("/api/v1{path}")), ADMIN_TOKEN)
        .header("Content-Type", "application/json")
        .body(body.to_string())
}

fn json(reply: &Reply) -> Value {
    serde_json::from_slice(&reply.body).unwrap_or_else(|error| panic!("no JSON ({error}): {reply:?}"))
}

/// Sends the request and returns the JSON of the response.
#[track_caller]
fn answered(app: &TestApp, request: &Request, status: u16) -> Value {
    let reply = app.send(request);
    assert_eq!(reply.status, status, "{}", reply.text());
    if reply.body.is_empty() { Value::Null } else { json(&reply) }
}

struct Row {
    request: Request,
    status: u16,
    has: Vec<String>,
    lacks: Vec<String>,
}

fn row(request: Request, status: u16, has: &[&str], lacks: &[&str]) -> Row {
    let owned = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
    Row { request, status, has: owned(has), lacks: owned(lacks) }
}

/// Runs all rows and reports their failures together.
#[track_caller]
fn assert_rows(app: &TestApp, rows: &[Row]) {
    let problems: Vec<String> = rows.iter().filter_map(|row| problem_of(app, row)).collect();
    assert!(problems.is_empty(), "{} of {} rows:\n{}", problems.len(), rows.len(), problems.join("\n"));
}

fn problem_of(app: &TestApp, row: &Row) -> Option<String> {
    let reply = app.send(&row.request);
    let text = reply.text();
    let is_problem = reply.content_type() == "application/problem+json";
    let lacks: Vec<&String> = row.has.iter().filter(|has| !text.contains(*has)).collect();
    let has: Vec<&String> = row.lacks.iter().filter(|lacks| text.contains(*lacks)).collect();
    let is_right = reply.status == row.status && lacks.is_empty() && has.is_empty();
    if is_right && is_problem == (reply.status >= 400) {
        return None;
    }
    let head = String::from_utf8_lossy(&row.request.head()).into_owned();
    let line = head.lines().next().unwrap_or_default().to_owned();
    let body = String::from_utf8_lossy(row.request.content()).into_owned();
    Some(format!(
        "{line} {body}\n  answered {} {text}\n  not {}, it lacks {lacks:?} and has {has:?}",
        reply.status, row.status
    ))
}

/// Sends a push to the source `github` and returns the message id.
#[track_caller]
fn push(app: &TestApp, delivery_id: &str, body: &str) -> i64 {
    assert_eq!(app.send(&sign::github(delivery_id, body)).status, 200);
    app.database().newest_message().id
}

/// Sends requests to `github` and `shop` that fail verification, and waits until they are in the
/// quarantine.
#[track_caller]
fn reject_some(app: &TestApp) {
    let forged = sign::github("forged", r#"{"forged":true}"#)
        .replace("X-Hub-Signature-256", sign::github_signature(sign::OTHER_SECRET, br#"{"forged":true}"#));
    assert_eq!(app.send(&forged).status, 403);
    let wrong = Request::post(&format!("/webhooks/shop/{SHOP_PATH}"))
        .header("Shop-Token", "wrong-token-of-a-stranger")
        .header("Authorization", "Bearer wrong-token-of-a-stranger")
        .body("{}");
    assert!(app.send(&wrong).status >= 400);
    eventually("the rejections are written", std::time::Duration::from_secs(10), || {
        app.database().count("rejections") >= 2
    });
}
