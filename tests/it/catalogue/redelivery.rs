//! Redelivery after a failed write: no earlier reply prevents the message from being stored.

use std::time::Duration;

use crate::harness::{TestApp, eventually, sign};

const ID: &str = "72d3162e-cc78-11e3-81ab-4c9367dc0958";
const BODY: &str = r#"{"ref":"refs/heads/main"}"#;

#[test]
fn delivery_rejected_by_full_disk_is_stored_when_resent() {
    let app = TestApp::github().set("CREEL_MIN_FREE", "1000TiB").start();
    assert_eq!(app.send(&sign::github(ID, BODY)).status, 503);
    let app = app.stop().set("CREEL_MIN_FREE", "1MiB").start();
    assert_eq!(app.send(&sign::github(ID, BODY)).status, 200);
    let kept = app.database().only_message();
    assert_eq!((kept.delivery_id.as_deref(), kept.duplicates), (Some(ID), 0));
    assert_eq!(kept.body, BODY.as_bytes());
}

#[test]
fn delivery_rejected_by_lock_is_stored_once_when_resent() {
    let app = TestApp::github().start();
    let lock = app.database().writer();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(app.send(&sign::github(ID, BODY)).status, 503);
    lock.execute_batch("COMMIT").unwrap();
    let mut rejected = 0;
    eventually("the delivery is accepted", Duration::from_secs(10), || {
        let reply = app.send(&sign::github(ID, BODY));
        rejected += i64::from(reply.status != 200);
        reply.status == 200
    });
    let kept = app.database().only_message();
    assert_eq!(kept.delivery_id.as_deref(), Some(ID));
    // A message may have been written although its reply was 503, so each rejected copy can count
    // as a duplicate.
    assert!(kept.duplicates <= 1 + rejected, "{kept:?}");
}

#[test]
fn redelivered_message_gets_same_reply_and_is_counted() {
    let app = TestApp::github().start();
    let first = app.send(&sign::github(ID, BODY));
    first.assert_is(200, "text/plain", "success");
    // A manual redelivery has the same id, but other headers may differ.
    let again = app.send(&sign::github(ID, BODY).header("X-GitHub-Hook-ID", "42"));
    again.assert_is(200, "text/plain", "success");
    let app = app.restart();
    app.send(&sign::github(ID, BODY)).assert_is(200, "text/plain", "success");
    assert_eq!(app.database().only_message().duplicates, 2);
}
