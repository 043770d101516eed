//! Clients that occupy all connections or all memory for bodies without sending requests: other
//! clients are still served.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use crate::harness::app::address_in;
use crate::harness::{ADMIN_TOKEN, Connection, Request, TestApp, allow, eventually, sign};

/// Limits the service to 192 connections, fewer than a flood of 400.
const FEW_DESCRIPTORS: [&str; 3] = ["sh", "-c", "ulimit -n 256; exec \"$0\" \"$@\""];
const FLOOD: usize = 400;
/// The promised limit: a second or two.
const MAX_REPLY_TIME: Duration = Duration::from_secs(2);
const MEBIBYTE: usize = 1 << 20;

/// The data that the connections of a flood send before they stall.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Nothing,
    HalfHead,
    IdleAfterReply,
    StalledBody,
    ChunkedStalledBody,
    UnreadReply,
}

const KINDS: [Kind; 6] = [
    Kind::Nothing,
    Kind::HalfHead,
    Kind::IdleAfterReply,
    Kind::StalledBody,
    Kind::ChunkedStalledBody,
    Kind::UnreadReply,
];

fn open(kind: Kind, client: Ipv4Addr, address: SocketAddr) -> Connection {
    let mut connection = Connection::open_from(client, address);
    let body = sign::github("flood", "x".repeat(2_000));
    // The service may close a connection during the write.
    let _ = match kind {
        Kind::Nothing => Ok(()),
        Kind::HalfHead => connection.write(b"POST /webhooks/github HTTP/1.1\r\nHost: a\r\nX-"),
        Kind::IdleAfterReply | Kind::UnreadReply => connection.write(&Request::get("/healthz").bytes()),
        Kind::StalledBody => connection.write(&body.bytes()[..1_000]),
        Kind::ChunkedStalledBody => connection.write(&body.chunked(500).bytes()[..1_000]),
    };
    if matches!(kind, Kind::IdleAfterReply) {
        let _ = connection.read_within(Duration::from_millis(100));
    }
    connection
}

/// Sends one webhook from another address and returns its status.
fn send_from(client: Ipv4Addr, app: &TestApp, request: &Request, limit: Duration) -> Option<u16> {
    let mut connection = Connection::open_from(client, app.address);
    connection.write(&request.bytes()).ok()?;
    connection.read_within(limit).ok().map(|reply| reply.status)
}

fn is_served(app: &TestApp, name: &str) {
    let begun = Instant::now();
    let request = sign::github(name, "{}");
    let status = send_from(Ipv4Addr::new(127, 0, 8, 1), app, &request, allow(MAX_REPLY_TIME));
    assert_eq!(status, Some(200), "{name} after {:?}", begun.elapsed());
}

#[test]
fn flood_of_one_address_never_shuts_out_another() {
    let app = TestApp::github().wrapped(&FEW_DESCRIPTORS).start();
    for kind in KINDS {
        let flood: Vec<Connection> =
            (0..FLOOD).map(|_| open(kind, Ipv4Addr::new(127, 0, 7, 1), app.address)).collect();
        is_served(&app, &format!("{kind:?}"));
        drop(flood);
    }
    let log = app.log();
    assert!(log.contains("connections run short") && log.contains("127.0.7.1 has the most"), "{log}");
    let closed = app.metric("creel_connections_closed_total{reason=\"idle\"}");
    assert!(closed > 0.0, "{}", app.metrics());
    assert!(!log.contains(" ERROR "), "{log}");
}

#[test]
fn flood_of_many_addresses_never_shuts_out_another() {
    let app = TestApp::github().wrapped(&FEW_DESCRIPTORS).start();
    let client = |number: usize| Ipv4Addr::new(127, 0, 9, u8::try_from(number % 250 + 1).unwrap());
    let flood: Vec<Connection> =
        (0..FLOOD).map(|number| open(KINDS[number % KINDS.len()], client(number), app.address)).collect();
    is_served(&app, "many");
    drop(flood);
}

#[test]
fn flood_does_not_block_clients_of_its_address() {
    // As behind an untrusted proxy.
    let app = TestApp::github().wrapped(&FEW_DESCRIPTORS).start();
    let client = Ipv4Addr::new(127, 0, 8, 1);
    let flood: Vec<Connection> = (0..FLOOD).map(|_| open(Kind::HalfHead, client, app.address)).collect();
    is_served(&app, "same");
    drop(flood);
}

#[test]
fn health_is_served_while_both_addresses_are_flooded() {
    let app = TestApp::github().set("CREEL_ADMIN_LISTEN", "127.0.0.1:0").wrapped(&FEW_DESCRIPTORS).start();
    let line = app.process.log.wait_for("admin on http://", Duration::from_secs(10)).unwrap();
    let admin = address_in(&line, "admin on http://");
    let watch =
        Request::get("/api/v1/messages/stream").header("Authorization", format!("Bearer {ADMIN_TOKEN}"));
    let streams: Vec<Connection> = (0..8)
        .map(|_| {
            let mut connection = Connection::open_from(Ipv4Addr::LOCALHOST, admin);
            connection.write(&watch.bytes()).unwrap();
            connection
        })
        .collect();
    for kind in [Kind::Nothing, Kind::HalfHead, Kind::IdleAfterReply] {
        let flood = |address| move |_| open(kind, Ipv4Addr::new(127, 0, 7, 1), address);
        let flooded: Vec<Connection> =
            (0..FLOOD).map(flood(app.address)).chain((0..200).map(flood(admin))).collect();
        for path in ["/healthz", "/readyz", "/metrics"] {
            let mut connection = Connection::open_from(Ipv4Addr::LOCALHOST, admin);
            connection.write(&Request::get(path).replace("Host", "127.0.0.1").bytes()).unwrap();
            let reply = connection.read_within(allow(MAX_REPLY_TIME)).unwrap();
            assert_eq!(reply.status, 200, "{kind:?} {path}");
        }
        drop(flooded);
    }
    for mut stream in streams {
        assert!(!stream.is_closed_within(Duration::from_millis(1)), "a stream was closed as idle");
    }
}

/// Sends `sent` bytes of a body of `total` bytes, and stalls.
fn stall(client: Ipv4Addr, app: &TestApp, sent: usize, total: usize, is_chunked: bool) -> Connection {
    let mut connection = Connection::open_from(client, app.address);
    let framing = if is_chunked {
        "Transfer-Encoding: chunked\r\n\r\n1000000\r\n".to_owned()
    } else {
        format!("Content-Length: {total}\r\n\r\n")
    };
    let head = format!("POST /webhooks/github HTTP/1.1\r\nHost: a\r\n{framing}");
    let _ = connection.write(head.as_bytes()).and_then(|()| connection.write(&vec![b'x'; sent]));
    connection
}

#[test]
fn stalled_bodies_do_not_hold_the_budget() {
    let app = TestApp::github().set("CREEL_BODY_BUDGET", "25MiB").start();
    let large = sign::github("large", format!("\"{}\"", "x".repeat(2 * MEBIBYTE)));
    for (round, is_chunked) in [false, true].into_iter().enumerate() {
        let client = |number| Ipv4Addr::new(127, 0, 10 + u8::try_from(round).unwrap(), number);
        let few: Vec<Connection> = (1..=3)
            .map(|number| stall(client(number), &app, 8 * MEBIBYTE, 16 * MEBIBYTE, is_chunked))
            .collect();
        let many: Vec<Connection> =
            (10..=60).map(|number| stall(client(number), &app, 400 << 10, 600 << 10, is_chunked)).collect();
        for (number, request) in
            [&large, &sign::github(&format!("small-{round}"), "{}")].into_iter().enumerate()
        {
            let client = Ipv4Addr::new(127, 0, 8, u8::try_from(number + 1).unwrap());
            eventually("a body is accepted", Duration::from_secs(8), || {
                send_from(client, &app, request, Duration::from_secs(5)) == Some(200)
            });
        }
        let mut answers = few.into_iter().chain(many).map(|mut stalled| {
            stalled.read_within(Duration::from_millis(200)).map_or(0, |reply| reply.status)
        });
        assert!(answers.any(|status| status == 408), "no slow client received a 408");
    }
}
