//! A disk that fills up and has free space again.

use std::time::{Duration, Instant};

use super::form;
use crate::harness::disk::SmallDisk;
use crate::harness::load::{Load, assert_nothing_lost};
use crate::harness::{Builder, TestApp, eventually, needs, sign};

const RECOVERY: Duration = Duration::from_secs(5);

fn on(disk: &SmallDisk, min_free: &str) -> Builder {
    TestApp::github().within(disk.path()).set("CREEL_MIN_FREE", min_free)
}

fn accepts_messages(app: &TestApp, id: &str) -> bool {
    app.send(&sign::github(id, "{}")).status == 200
}

/// Fills and frees the disk under load: no false acknowledgements, and recovery without a restart.
fn fills_up(min_free: &str, left: u64) {
    if !needs("root") {
        return;
    }
    // Each disk is used twice, because the messages themselves would eventually fill it.
    for _ in 0..form(1, 10) {
        fills_up_twice(min_free, left);
    }
}

fn fills_up_twice(min_free: &str, left: u64) {
    let disk = SmallDisk::mount(96);
    let app = on(&disk, min_free).start();
    let load = Load::with_padding(app.address, 4, 20_000);
    for cycle in 0..2 {
        load.wait_for_more(20, Duration::from_secs(30));
        disk.fill(left);
        eventually("the service is not ready", Duration::from_secs(20), || {
            disk.fill(left);
            !app.is_ready()
        });
        let reply = app.send(&sign::github(&format!("while-full-{cycle}"), "{}"));
        assert_eq!((reply.status, reply.retry_after_seconds().is_some()), (503, true), "{reply:?}");
        disk.release();
        let released = Instant::now();
        eventually("messages are accepted", RECOVERY, || accepts_messages(&app, &format!("again-{cycle}")));
        println!("taken again after {:?}", released.elapsed());
    }
    let sent = load.finish();
    assert!(sent.iter().any(|sent| sent.status == Some(503)), "the load received a 503");
    assert!(sent.iter().all(|sent| matches!(sent.status, Some(200 | 503))), "only 200 and 503");
    let builder = app.stop();
    assert_nothing_lost(&builder.database(), &sent);
    builder.database().assert_sound();
}

#[test]
fn low_water_mark_rejects_messages_before_sqlite_fails() {
    fills_up("24MiB", 8 << 20);
}

#[test]
fn disk_without_a_free_byte_has_no_false_acknowledgements() {
    fills_up("1", 0);
}

fn send_large_messages(app: &TestApp) {
    let body = format!("\"{}\"", "x".repeat(100_000));
    for number in 0..200 {
        assert_eq!(app.send(&sign::github(&number.to_string(), body.clone())).status, 200);
    }
}

#[track_caller]
fn assert_cleans_up_and_recovers(app: &TestApp, disk: &SmallDisk) {
    assert_eq!(app.send(&sign::github("while-full", "{}")).status, 503);
    eventually("old messages are cleaned up", Duration::from_secs(60), || {
        app.database().count("messages") == 0
    });
    eventually("their space is released", Duration::from_secs(60), || disk.free_bytes() >= 10 << 20);
    disk.release();
    eventually("messages are accepted", RECOVERY, || accepts_messages(app, "again"));
}

/// Expires after the disk is full, and before the test ends.
const SHORT_RETENTION: &str = "15s";

#[test]
fn cleanup_works_while_disk_is_full() {
    if !needs("root") {
        return;
    }
    let disk = SmallDisk::mount(128);
    let builder = on(&disk, "24MiB").set("CREEL_RETENTION", SHORT_RETENTION);
    let app = builder.set("CREEL_CLEANUP_INTERVAL", "1s").start();
    send_large_messages(&app);
    disk.fill(0);
    assert_eq!(app.database().count("messages"), 200, "nothing is old yet");
    assert_cleans_up_and_recovers(&app, &disk);
}

/// Copying the WAL into the database would use more space than the ballast has.
#[test]
fn cleanup_works_while_wal_does_not_fit_into_database() {
    if !needs("root") {
        return;
    }
    let disk = SmallDisk::mount(128);
    let builder = on(&disk, "24MiB").set("CREEL_RETENTION", SHORT_RETENTION);
    let app = builder.set("CREEL_CLEANUP_INTERVAL", "1s").start();
    let reader = app.database().writer();
    reader.execute_batch("BEGIN; SELECT count(*) FROM messages").unwrap();
    send_large_messages(&app);
    disk.fill(0);
    reader.execute_batch("COMMIT").unwrap();
    assert_cleans_up_and_recovers(&app, &disk);
}

#[test]
fn start_on_a_full_disk_cleans_up() {
    if !needs("root") {
        return;
    }
    let disk = SmallDisk::mount(128);
    let builder = on(&disk, "24MiB").set("CREEL_RETENTION", "1s").set("CREEL_CLEANUP_INTERVAL", "1d");
    let app = builder.start();
    send_large_messages(&app);
    let builder = app.stop();
    assert_eq!(builder.database().count("messages"), 200, "nothing was cleaned up yet");
    disk.fill(0);
    let app = builder.set("CREEL_CLEANUP_INTERVAL", "1s").start();
    assert_cleans_up_and_recovers(&app, &disk);
}
