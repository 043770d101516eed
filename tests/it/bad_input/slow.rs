//! Heads and bodies at one byte per second.

use std::time::{Duration, Instant};

use crate::harness::{Connection, Reply, TestApp, sign};

const LIMIT: Duration = Duration::from_secs(75);
const PACE: Duration = Duration::from_secs(1);

/// Sends one byte per second until the service replies or closes the connection.
fn drip(connection: &mut Connection, bytes: &[u8]) -> Option<Reply> {
    let begun = Instant::now();
    for byte in bytes {
        let _ = connection.write(&[*byte]);
        match connection.read_within(PACE) {
            Ok(reply) => return Some(reply),
            Err(error) if error.kind() == std::io::ErrorKind::TimedOut => {}
            Err(_) => return None,
        }
        assert!(begun.elapsed() < LIMIT, "still waiting after {LIMIT:?}");
    }
    None
}

#[test]
fn head_at_one_byte_per_second_times_out() {
    let app = TestApp::github().start();
    let reply = drip(&mut app.connect(), &sign::github("slow", "{}").head());
    assert_eq!(reply.map(|reply| reply.status), Some(408));
    assert_eq!(app.database().count("messages"), 0);
}

#[test]
fn body_at_one_byte_per_second_times_out() {
    let app = TestApp::github().start();
    let body = format!("\"{}\"", "x".repeat(1000));
    let request = sign::github("slow", body);
    let mut connection = app.connect();
    connection.write(&request.head()).unwrap();
    let reply = drip(&mut connection, request.content()).expect("a reply");
    reply.assert_is(408, "text/plain", "Request timed out.");
    assert_eq!(app.database().count("messages"), 0);
}
