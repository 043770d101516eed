//! The shutdown of the service, which completes requests in flight.

use std::time::Duration;

use rustix::process::Signal;

use crate::harness::load::{Load, assert_nothing_lost};
use crate::harness::{ADMIN_TOKEN, Connection, Request, TestApp, sign};

/// The exit status that a shell reports for a process that SIGTERM has ended.
const ENDED_BY_SIGTERM: i32 = 143;
const LIMIT: Duration = Duration::from_secs(20);

/// Sends SIGTERM while `held`, an idle connection, prevents the grace period from ending early.
fn begin_stop(app: &TestApp) -> Connection {
    let mut held = app.connect();
    assert_eq!(held.exchange(&sign::github("before", "{}")).status, 200);
    app.process.signal(Signal::TERM);
    app.process.log.wait_for("SIGTERM: stopping", LIMIT).unwrap();
    held
}

#[test]
fn request_in_flight_is_answered_before_the_end() {
    let mut app = TestApp::github().start();
    let lock = app.database().writer();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut connection = app.connect();
    connection.write(&sign::github("last", "{}").bytes()).unwrap();
    // The lock blocks the writer, so the message can only be pending in the queue.
    assert!(connection.read_within(Duration::from_millis(200)).is_err());
    app.process.signal(Signal::TERM);
    lock.execute_batch("COMMIT").unwrap();
    assert_eq!(connection.read().status, 200);
    let status = app.process.wait(Duration::from_secs(8));
    assert_eq!(status.code(), Some(0), "{}", app.log());
    assert_eq!(app.database().only_message().delivery_id.as_deref(), Some("last"));
}

#[test]
fn interrupt_stops_the_service() {
    let mut app = TestApp::github().start();
    app.process.signal(Signal::INT);
    assert_eq!(app.process.wait(Duration::from_secs(8)).code(), Some(0));
}

#[test]
fn idle_connections_do_not_delay_the_end() {
    let mut app = TestApp::github().start();
    let mut connections: Vec<_> = (0..20).map(|_| app.connect()).collect();
    for connection in &mut connections {
        assert_eq!(connection.exchange(&sign::github("1", "{}")).status, 200);
    }
    let mut half = app.connect();
    half.write(b"POST /webhooks/github HTTP/1.1\r\nHost:").unwrap();
    app.process.signal(Signal::TERM);
    assert_eq!(app.process.wait(Duration::from_secs(8)).code(), Some(0), "{}", app.log());
}

#[test]
fn stop_leaves_one_complete_database_file() {
    let app = TestApp::github().start();
    for number in 0..20 {
        assert_eq!(app.send(&sign::github(&number.to_string(), "{}")).status, 200);
    }
    let builder = app.stop();
    let wal = builder.path().join("creel.db-wal");
    let length = std::fs::metadata(&wal).map_or(0, |metadata| metadata.len());
    assert_eq!(length, 0, "the WAL was copied into the database");
    let copy = builder.path().join("copy.db");
    std::fs::copy(builder.database().path(), &copy).unwrap();
    assert_eq!(crate::harness::database::Database::at(&copy).count("messages"), 20);
}

#[test]
fn idle_connection_is_served_and_closed_after_sigterm() {
    let mut app = TestApp::github().start();
    let mut held = begin_stop(&app);
    let reply = held.exchange(&sign::github("after", "{}"));
    assert_eq!((reply.status, reply.header("connection")), (200, Some("close")), "{reply:?}");
    assert!(held.is_closed_within(Duration::from_secs(1)));
    assert_eq!(app.process.wait(LIMIT).code(), Some(0));
    assert_eq!(app.database().count("messages"), 2);
}

#[test]
fn new_connection_is_served_in_the_grace_period() {
    let mut app = TestApp::github().start();
    let _held = begin_stop(&app);
    let reply = app.send(&sign::github("after", "{}"));
    assert_eq!((reply.status, reply.header("connection")), (200, Some("close")), "{reply:?}");
    let ready = app.get("/readyz");
    assert_eq!((ready.status, ready.header("connection")), (503, Some("close")), "{ready:?}");
    assert_eq!(app.get("/healthz").status, 200);
    assert_eq!(app.send(&Request::get("/nowhere")).header("connection"), Some("close"));
    assert_eq!(app.process.wait(LIMIT).code(), Some(0));
}

#[test]
fn stream_request_in_the_grace_period_gets_503() {
    let mut app = TestApp::github().start();
    let _held = begin_stop(&app);
    for path in ["messages/stream", "listeners/laptop/stream"] {
        let request = Request::get(&format!("/api/v1/{path}"));
        let reply = app.send(&request.header("Authorization", format!("Bearer {ADMIN_TOKEN}")));
        assert_eq!((reply.status, reply.header("connection")), (503, Some("close")), "{path}: {reply:?}");
        assert!(reply.header("retry-after").is_some() && reply.text().contains("\"stopping\""), "{reply:?}");
    }
    assert_eq!(app.process.wait(LIMIT).code(), Some(0));
}

#[test]
fn second_signal_ends_the_grace_period() {
    let mut app = TestApp::github().start();
    let mut held = begin_stop(&app);
    app.process.signal(Signal::TERM);
    assert_eq!(app.process.wait(LIMIT).code(), Some(ENDED_BY_SIGTERM), "{}", app.log());
    assert!(held.is_closed_within(LIMIT));
}

#[test]
fn restart_under_load_breaks_no_connection_in_use() {
    let app = TestApp::github().start();
    let load = Load::start(app.address, 4);
    load.wait_for_more(50, LIMIT);
    let address = app.address.to_string();
    let app = app.stop().set("CREEL_LISTEN", address).start();
    load.wait_for_more(50, LIMIT);
    let sent = load.finish();
    let failed: Vec<_> = sent.iter().filter(|sent| sent.status != Some(200)).collect();
    assert!(failed.is_empty(), "{} of {}: {:?}", failed.len(), sent.len(), failed.first());
    assert_nothing_lost(&app.database(), &sent);
}
