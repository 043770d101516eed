//! Length of the body: requests with an ambiguous or invalid length are rejected.

use std::time::Duration;

use super::{MAX_BODY_BYTES, Storage, assert_rows, push, row, service};
use crate::harness::{Request, TestApp, sign};

/// A signed push with these header lines about its length, and `body` after the head.
fn framed(lines: &[(&str, &str)], body: &str) -> Request {
    lines.iter().fold(push(body), |request, (name, value)| request.header(name, value))
}

const LENGTH: &str = "Content-Length";
const ENCODING: &str = "Transfer-Encoding";

#[track_caller]
fn assert_bad_request(app: &TestApp, name: &str, request: &Request, closes: bool) {
    let mut connection = app.connect();
    let _ = connection.write(&request.bytes());
    let reply =
        connection.read_within(Duration::from_secs(20)).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(reply.status, 400, "{name}: {reply:?}");
    if closes {
        assert!(connection.is_closed_within(Duration::from_secs(5)), "{name}: the connection stays open");
    }
}

#[test]
fn ambiguous_or_invalid_length_is_rejected_and_closes_connection() {
    let app = service();
    let chunked_body = "2\r\n{}\r\n0\r\n\r\n";
    let rows = [
        ("length and encoding", vec![(LENGTH, "2"), (ENCODING, "chunked")], chunked_body),
        ("encoding and length", vec![(ENCODING, "chunked"), (LENGTH, "2")], chunked_body),
        ("two lengths", vec![(LENGTH, "2"), (LENGTH, "3")], "{}"),
        ("two equal lengths", vec![(LENGTH, "2"), (LENGTH, "2")], "{}"),
        ("a list of lengths", vec![(LENGTH, "2, 2")], "{}"),
        ("+5", vec![(LENGTH, "+5")], "[1,2]"),
        ("-1", vec![(LENGTH, "-1")], "{}"),
        ("abc", vec![(LENGTH, "abc")], "{}"),
        ("empty", vec![(LENGTH, "")], "{}"),
        ("2^64", vec![(LENGTH, "18446744073709551616")], "{}"),
    ];
    for (name, lines, body) in rows {
        assert_bad_request(&app, name, &framed(&lines, body), true);
    }
    assert_eq!(app.database().count("messages"), 0);
}

#[test]
fn transfer_encoding_other_than_chunked_is_rejected() {
    let app = service();
    let body = "2\r\n{}\r\n0\r\n\r\n";
    for (name, lines) in [
        ("identity", vec![(ENCODING, "identity")]),
        ("xchunked", vec![(ENCODING, "xchunked")]),
        ("twice", vec![(ENCODING, "chunked"), (ENCODING, "chunked")]),
        ("twice in one line", vec![(ENCODING, "chunked, chunked")]),
        ("after another", vec![(ENCODING, "chunked, identity")]),
    ] {
        assert_bad_request(&app, name, &framed(&lines, body), false);
    }
    assert_eq!(app.database().count("messages"), 0);
}

#[test]
fn invalid_chunk_size_is_rejected() {
    let app = service();
    for size in ["zz", "-2", "0x2", "+2", "11111111111111111"] {
        let body = format!("{size}\r\n{{}}\r\n0\r\n\r\n");
        assert_bad_request(&app, size, &framed(&[(ENCODING, "chunked")], &body), false);
    }
    assert_eq!(app.database().count("messages"), 0);
}

#[test]
fn connection_closed_within_body_stores_nothing() {
    let app = service();
    let whole = push(r#"{"cut":true}"#).bytes();
    let mut connection = app.connect();
    connection.write(&whole[..whole.len() - 4]).unwrap();
    connection.finish();
    let reply = connection.read_within(Duration::from_secs(10));
    assert!(!reply.as_ref().is_ok_and(|reply| reply.status < 400), "{reply:?}");
    drop(connection);
    // A later message is stored, so the service has already processed the truncated one.
    assert_eq!(app.send(&push("{}")).status, 200);
    assert_eq!(app.database().count("messages"), 1);
    assert_eq!(app.database().count("rejections"), 0, "a truncated request is not a failed verification");
}

#[test]
fn chunks_of_any_size_form_one_body() {
    let app = service();
    let body = r#"{"in":"chunks","of":"any size"}"#;
    for size in [1, 7, 1000] {
        let request = push(body).chunked(size);
        assert_eq!(app.send(&request).status, 200);
        assert_eq!(app.database().newest_message().payload.as_deref(), Some(body));
    }
}

#[test]
fn declared_length_over_limit_is_rejected_immediately() {
    let app = service();
    let head = push("").header(LENGTH, (MAX_BODY_BYTES + 1).to_string()).head();
    let mut connection = app.connect();
    connection.write(&head).unwrap();
    let reply = connection.read_within(Duration::from_secs(5)).expect("a reply without the body");
    reply.assert_is(413, "text/plain", "Body too large.");
}

#[test]
fn body_at_limit_is_accepted_one_byte_more_rejected() {
    let app = service();
    let text = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2)).into_bytes();
    assert_rows(
        &app,
        &[
            row("the limit", push(text(MAX_BODY_BYTES)), 200, Storage::AsJson),
            row("one more", push(text(MAX_BODY_BYTES + 1)), 413, Storage::Nothing),
        ],
    );
}

#[test]
fn chunked_body_over_limit_is_rejected_not_truncated() {
    let app = service();
    let body = vec![b'7'; MAX_BODY_BYTES + 1];
    let over = push(body).chunked(64 * 1024);
    assert_rows(&app, &[row("chunked over the limit", over, 413, Storage::Nothing)]);
    let exact = push(vec![b'7'; MAX_BODY_BYTES]).chunked(64 * 1024);
    assert_eq!(app.send(&exact).status, 200);
    assert_eq!(app.database().newest_message().body.len(), MAX_BODY_BYTES);
}

#[test]
fn requests_in_one_packet_are_answered_in_order() {
    let app = service();
    let mut connection = app.connect();
    let requests =
        [push("{}"), push("{}").replace("X-GitHub-Event", "ping"), sign::github("x", "{}").body("[]")];
    let bytes: Vec<u8> = requests.iter().flat_map(Request::bytes).collect();
    connection.write(&bytes).unwrap();
    let texts: Vec<String> = (0..3).map(|_| connection.read().text()).collect();
    assert_eq!(texts, ["success", "pong", "Permission denied."]);
}
