//! Heads that make the HTTP library return an error or panic.

use std::time::Duration;

use super::{push, service};
use crate::harness::{Request, TestApp, eventually};

const LIMIT: Duration = Duration::from_secs(10);

fn long_name(bytes: usize) -> Vec<u8> {
    let name = "X".repeat(bytes);
    format!("POST /webhooks/github HTTP/1.1\r\nHost: a\r\n{name}: 1\r\nContent-Length: 0\r\n\r\n")
        .into_bytes()
}

fn assert_no_error(app: &TestApp) {
    let log = app.log();
    assert!(!log.contains(" ERROR ") && !log.contains("panic"), "{log}");
}

#[test]
fn long_header_name_is_rejected_before_the_library_panics() {
    let app = service();
    let before = [
        Vec::new(),
        Request::get("/healthz").bytes(),
        push("{}").bytes(),
        push("{}").chunked(1).bytes(),
        b"\r\n\r\n".to_vec(),
    ];
    for bytes in [9_000, 65_535, 65_536, 70_000, 100_000] {
        for first in &before {
            let mut connection = app.connect();
            let _ = connection.write(&[first.as_slice(), &long_name(bytes)].concat());
            let is_request = first.len() > 4;
            if is_request {
                assert_eq!(connection.read_within(LIMIT).unwrap().status, 200);
            }
            let status = connection.read_within(LIMIT).map(|reply| reply.status).ok();
            assert_eq!(status, Some(400), "{bytes} after {:?}", String::from_utf8_lossy(first));
        }
    }
    assert_eq!(app.send(&push("{}").header(&"x".repeat(8_000), "v")).status, 200);
    assert_no_error(&app);
}

#[test]
fn malformed_requests_are_counted_and_logged_with_their_address() {
    let app = TestApp::github().start();
    let malformed: [(&[u8], u16, &str); 3] = [
        (b"hello\r\n\r\n", 400, "400"),
        (&[b"GET / HTTP/1.1\r\nX: ".as_slice(), &[b'x'; 140_000]].concat(), 431, "431"),
        (b"GET / HTTP/1.1\r\nHost", 408, "408"),
    ];
    for (bytes, status, label) in malformed {
        let mut connection = app.connect();
        let _ = connection.write(bytes);
        assert_eq!(connection.read_within(LIMIT).unwrap().status, status);
        let series = format!("creel_malformed_requests_total{{status=\"{label}\"}}");
        eventually("it is counted", LIMIT, || app.metric(&series) >= 1.0);
    }
    // A connection that a client or a health check opens without a request is not malformed.
    assert_eq!(app.connect().read_within(LIMIT).unwrap().status, 408);
    assert!((app.metric("creel_malformed_requests_total{status=\"408\"}") - 1.0).abs() < f64::EPSILON);
    let log = app.log();
    assert_eq!(log.matches("INFO malformed request from 127.0.0.1: ").count(), 1, "{log}");
    assert_no_error(&app);
}

#[test]
fn proxy_protocol_is_named_in_the_log() {
    for preamble in [
        &b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"[..],
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\0\0\0\0\0\0\0\0\0\0\0\0",
    ] {
        let app = TestApp::github().start();
        let mut connection = app.connect();
        connection.write(&[preamble, &push("{}").bytes()].concat()).unwrap();
        assert_eq!(connection.read_within(LIMIT).unwrap().status, 400);
        assert!(app.process.log.wait_for("127.0.0.1 sends the PROXY protocol", LIMIT).is_ok());
    }
}

#[test]
fn repeated_upgrade_offers_are_ignored() {
    let app = service();
    let offers = [
        ("Upgrade", "websocket websocket"),
        ("Upgrade", "websocket\twebsocket  websocket"),
        ("Connection", "upgrade upgrade"),
    ];
    for (name, value) in offers {
        let mut connection = app.connect();
        let missing = Request::get("/missing").header(name, value);
        for (request, status) in [(push("{}").header(name, value), 200), (missing, 404), (push("{}"), 200)] {
            let _ = connection.write(&request.bytes());
            assert_eq!(connection.read_within(LIMIT).unwrap().status, status, "{name}: {value}");
        }
    }
}
