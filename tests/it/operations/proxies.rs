//! Requirements of reverse proxies.

use std::time::Duration;

use crate::harness::sign::{self, SECRET};
use crate::harness::{Builder, Connection, Reply, Request, TestApp};

const LIMIT: Duration = Duration::from_secs(10);
const SHOP_PATH: &str = "random-path-part-of-the-shop";

fn builder() -> Builder {
    TestApp::github()
        .set("CREEL_SOURCE_SHOP_PROVIDER", "token")
        .set("CREEL_SOURCE_SHOP_SECRET", "token-of-the-shop")
        .set("CREEL_SOURCE_SHOP_HEADER", "Shop-Token")
        .set("CREEL_SOURCE_SHOP_PATH", SHOP_PATH)
        .set("CREEL_SOURCE_DROPBOX_SECRET", SECRET)
        .set("CREEL_SOURCE_OPEN_PROVIDER", "none")
        .set("CREEL_SOURCE_OPEN_PATH", SHOP_PATH)
        .set("CREEL_SOURCE_OPEN_METHODS", "GET POST")
        .set("CREEL_SOURCE_OPEN_REPLY_STATUS", "204")
        .set("CREEL_SOURCE_OPEN_RATE", "1/h")
        .set("CREEL_MAX_BODY", "1KiB")
}

fn push(id: &str) -> Request {
    sign::github(id, "{}")
}

#[test]
fn webhook_responses_are_not_cacheable() {
    let app = builder().start();
    let open = format!("/webhooks/open/{SHOP_PATH}");
    let rows = [
        (push("1"), 200),
        (push("1"), 200),
        (push("ping").replace("X-GitHub-Event", "ping"), 200),
        (push("2").body("[]"), 403),
        (push("3").body("x".repeat(1_025)), 413),
        (push("4").header("Transfer-Encoding", "chunked").header("Content-Length", "2"), 400),
        (Request::post("/webhooks/shop/wrong"), 404),
        (Request::post(&format!("/webhooks/shop/{SHOP_PATH}")), 403),
        (Request::get("/webhooks/unknown"), 404),
        (Request::get("/webhooks/github"), 405),
        (Request::new("DELETE", "/webhooks/github"), 405),
        (Request::get("/webhooks/dropbox?challenge=abc"), 200),
        (Request::get(&open), 204),
        (Request::get(&open), 429),
        (Request::get("/readyz"), 200),
    ];
    for (request, status) in rows {
        let reply = app.send(&request);
        // A malformed HTTP request never reaches a handler, and no cache stores a 400.
        let expected = (status != 400).then_some("no-store");
        let found: Vec<&str> = reply
            .headers
            .iter()
            .filter(|(name, _)| name == "cache-control")
            .map(|(_, value)| value.as_str())
            .collect();
        assert_eq!((reply.status, found), (status, expected.into_iter().collect()), "{request:?}");
    }
}

/// The headers with which libraries and copied configurations offer another protocol.
fn offers() -> Vec<(&'static str, Request)> {
    let with = |name, fields: &[(&str, &str)]| {
        (name, fields.iter().fold(push(name), |request, (name, value)| request.header(name, value)))
    };
    vec![
        with("bare", &[("Connection", "upgrade")]),
        with("nginx", &[("Upgrade", "websocket"), ("Connection", "Upgrade")]),
        with(
            "java",
            &[
                ("Connection", "Upgrade, HTTP2-Settings"),
                ("Upgrade", "h2c"),
                ("HTTP2-Settings", "AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA"),
            ],
        ),
        with("list", &[("Connection", "keep-alive, Upgrade"), ("Upgrade", "h2c, WebSocket")]),
        with("two lines", &[("Connection", "keep-alive"), ("Connection", "upgrade"), ("Upgrade", "TLS/1.0")]),
        with("unasked", &[("Upgrade", "WEBSOCKET")]),
    ]
}

#[track_caller]
fn assert_plain(name: &str, reply: &Reply) {
    assert_eq!(reply.status, 200, "{name}: {reply:?}");
    let upgrading: Vec<_> =
        reply.headers.iter().filter(|(name, _)| ["connection", "upgrade"].contains(&&**name)).collect();
    assert!(upgrading.is_empty(), "{name}: {reply:?}");
}

#[test]
fn offered_upgrade_is_ignored_and_the_connection_kept() {
    let app = builder().start();
    for (name, request) in offers() {
        let mut connection = app.connect();
        assert_plain(name, &connection.exchange(&request));
        assert_plain(name, &connection.exchange(&push("next")));
        // Two requests in one write get two responses.
        connection.write(&[request.bytes(), request.bytes()].concat()).unwrap();
        assert_plain(name, &connection.read());
        assert_plain(name, &connection.read());
    }
    let kept = app.database().newest_message();
    assert_eq!(kept.payload.as_deref(), Some("{}"));
}

#[test]
fn offered_upgrade_is_ignored_in_any_packets() {
    let app = builder().start();
    let (name, request) = offers().swap_remove(1);
    let bytes = request.bytes();
    let mut connection = app.connect();
    for piece in [1, 3, 7] {
        for part in bytes.chunks(piece) {
            connection.write(part).unwrap();
            // Makes each part arrive in a separate read.
            std::thread::yield_now();
        }
        assert_plain(name, &connection.read());
    }
    assert!(!connection.is_closed_within(Duration::from_millis(100)), "the connection is kept");
}

#[test]
fn body_that_contains_an_offer_is_unchanged() {
    let app = builder().start();
    let body = "\r\n\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    let mut connection = app.connect();
    for (name, request) in
        [("sized", sign::github("sized", body)), ("chunked", sign::github("chunked", body).chunked(9))]
    {
        // The signature covers each byte.
        assert_plain(name, &connection.exchange(&request));
        assert_eq!(app.database().newest_message().body, body.as_bytes(), "{name}");
    }
}

#[test]
fn upgrade_does_not_keep_a_connection_that_closes() {
    let app = builder().start();
    let mut connection = app.connect();
    let reply = connection.exchange(&push("1").header("Connection", "close, upgrade"));
    assert_eq!((reply.status, reply.header("connection")), (200, Some("close")), "{reply:?}");
    assert!(connection.is_closed_within(LIMIT));
    let mut old = Connection::open(app.address);
    let bytes = String::from_utf8(push("2").header("Connection", "upgrade").bytes()).unwrap();
    old.write(bytes.replacen("HTTP/1.1", "HTTP/1.0", 1).as_bytes()).unwrap();
    assert_eq!(old.read().status, 200);
    assert!(old.is_closed_within(LIMIT), "HTTP/1.0 closes without keep-alive");
}
