//! The end of the service: what is under way is finished.

use std::time::Duration;

use rustix::process::Signal;

use crate::harness::{TestApp, sign};

#[test]
fn a_request_under_way_is_answered_before_the_end() {
    let mut app = TestApp::github().start();
    let lock = app.database().writer();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut connection = app.connect();
    connection.write(&sign::github("last", "{}").bytes()).unwrap();
    // The service has it: with the lock held, nothing but a waiting message can be in the queue.
    assert!(connection.read_within(Duration::from_millis(200)).is_err());
    app.process.signal(Signal::TERM);
    lock.execute_batch("COMMIT").unwrap();
    assert_eq!(connection.read().status, 200);
    let status = app.process.wait(Duration::from_secs(8));
    assert_eq!(status.code(), Some(0), "{}", app.log());
    assert_eq!(app.database().only_message().delivery_id.as_deref(), Some("last"));
}

#[test]
fn an_interrupt_stops_it_too() {
    let mut app = TestApp::github().start();
    app.process.signal(Signal::INT);
    assert_eq!(app.process.wait(Duration::from_secs(8)).code(), Some(0));
}

#[test]
fn idle_connections_do_not_hold_up_the_end() {
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
fn a_stop_leaves_one_file_that_holds_everything() {
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
