//! Local development: messages from the service, live and from the time when the developer's
//! machine was disconnected.

mod commands;
mod laptop;
mod listen;
mod listeners;
mod room;
mod tail;

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::events::EventStream;
use crate::harness::{ADMIN_TOKEN, Builder, Reply, Request, TestApp, eventually, sign};

const READ_TOKEN: &str = "read-token-of-the-tests-0123456789";
const LISTENER_TOKEN: &str = "listener-token-of-the-tests-0123456789";
const SOON: Duration = Duration::from_secs(20);
/// Time to wait before a test concludes that nothing arrives.
const QUIET_TIME: Duration = Duration::from_millis(300);

fn builder() -> Builder {
    TestApp::github()
        .set("CREEL_READ_TOKEN", READ_TOKEN)
        .set("CREEL_LISTENER_TOKEN", LISTENER_TOKEN)
        .set("CREEL_SOURCE_OPEN_PROVIDER", "none")
        .set("CREEL_SOURCE_OPEN_PATH", OPEN_PATH)
        .set("CREEL_SOURCE_OPEN_METHODS", "GET POST PUT")
}

const OPEN_PATH: &str = "random-path-part-of-the-open-source";

/// Adds the listener token for listeners, and the read token for other paths.
fn request(method: &str, path: &str) -> Request {
    let token = if path.starts_with("/listeners") { LISTENER_TOKEN } else { READ_TOKEN };
    Request::new(method, &format!("/api/v1{path}")).header("Authorization", format!("Bearer {token}"))
}

fn get(path: &str) -> Request {
    request("GET", path)
}

fn as_admin(request: Request) -> Request {
    request.replace("Authorization", format!("Bearer {ADMIN_TOKEN}"))
}

#[track_caller]
fn open(app: &TestApp, path: &str) -> EventStream {
    let stream = EventStream::open(app.address, &get(path));
    assert_eq!(stream.status, 200);
    stream
}

/// Connects as a listener and reads the greeting.
#[track_caller]
fn listen(app: &TestApp, name_and_query: &str) -> EventStream {
    let (name, query) = name_and_query.split_once('?').unwrap_or((name_and_query, ""));
    let mut stream = open(app, &format!("/listeners/{name}/stream?{query}"));
    assert_eq!(stream.next().kind, "listening");
    stream
}

#[track_caller]
fn acknowledge(app: &TestApp, name: &str, deliveries: &[i64]) -> Value {
    let body = json!({"deliveries": deliveries}).to_string();
    let request = request("POST", &format!("/listeners/{name}/acknowledge")).body(body);
    answered(&app.send(&request.header("Content-Type", "application/json")))
}

#[track_caller]
fn answered(reply: &Reply) -> Value {
    assert_eq!(reply.status, 200, "{}", reply.text());
    serde_json::from_slice(&reply.body).unwrap()
}

/// Sends a push with this body, which the service stores.
#[track_caller]
fn push(app: &TestApp, body: &str) -> i64 {
    let id = format!("{}-{}", body.len(), sign::hex(&sign::sha256(body.as_bytes())));
    assert_eq!(app.send(&sign::github(&id, body)).status, 200);
    app.database().newest_message().id
}

/// The bodies and ids of the next `count` deliveries of a listener.
#[track_caller]
fn bodies(stream: &mut EventStream, count: usize) -> (Vec<String>, Vec<i64>) {
    (0..count).map(|_| body(&stream.until("message").data)).unzip()
}

fn body(delivered: &Value) -> (String, i64) {
    use base64::Engine as _;
    let text = delivered["body_base64"].as_str().unwrap();
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).unwrap();
    (String::from_utf8(bytes).unwrap(), delivered["delivery"].as_i64().unwrap())
}

/// Waits until the service reports whether a client is connected.
#[track_caller]
fn wait_until_connected(app: &TestApp, name: &str, is_connected: bool) {
    eventually("the state of the listener is written", SOON, || {
        let listeners = answered(&app.send(&get("/listeners")));
        let items = listeners["items"].as_array().unwrap().clone();
        items.iter().any(|one| one["name"] == name && one["connected"] == is_connected)
    });
}
