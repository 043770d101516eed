//! Another process that locks the database.

use std::time::{Duration, Instant};

use super::form;
use crate::harness::load::{Load, assert_nothing_lost, slowest};
use crate::harness::{TestApp, eventually, sign};

/// The rate at which a slow disk copies a WAL while messages arrive.
const COPIED_BYTES_PER_SECOND: u64 = 50 << 20;

#[test]
fn one_second_write_lock_only_delays_messages() {
    let app = TestApp::github().start();
    let load = Load::start(app.address, 4);
    load.wait_for_more(20, Duration::from_secs(30));
    let lock = app.database().writer();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    std::thread::sleep(Duration::from_secs(1));
    lock.execute_batch("COMMIT").unwrap();
    load.wait_for_more(20, Duration::from_secs(30));
    let sent = load.finish();
    assert!(sent.iter().all(|sent| sent.is_acknowledged()), "all are acknowledged");
    assert!(slowest(&sent) >= Duration::from_millis(700), "nothing waited for the lock: nothing was tested");
    assert_nothing_lost(&app.database(), &sent);
}

#[test]
fn long_write_lock_returns_503_and_service_recovers() {
    let app = TestApp::github().start();
    let load = Load::start(app.address, 4);
    load.wait_for_more(20, Duration::from_secs(30));
    let lock = app.database().writer();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let taken = Instant::now();
    std::thread::sleep(form(Duration::from_secs(4), Duration::from_secs(30)));
    lock.execute_batch("COMMIT").unwrap();
    let released = Instant::now();
    let mut number = 0;
    eventually("messages are accepted again", Duration::from_secs(1), || {
        number += 1;
        app.send(&sign::github(&format!("again-{number}"), "{}")).status == 200
    });
    load.wait_for_more(20, Duration::from_secs(30));
    let sent = load.finish();
    let during = |sent: &&crate::harness::load::Sent| sent.begun > taken && sent.begun + sent.took < released;
    assert!(sent.iter().filter(during).all(|sent| sent.status == Some(503)));
    assert!(sent.iter().any(|sent| sent.status == Some(503)));
    let slowest = slowest(&sent);
    assert!(slowest <= Duration::from_millis(2_800), "{slowest:?}");
    assert!(sent.iter().all(|sent| matches!(sent.status, Some(200 | 503))), "only 200 and 503");
    assert_nothing_lost(&app.database(), &sent);
}

#[test]
fn wal_shrinks_soon_after_a_long_read_snapshot() {
    let app = TestApp::github().start();
    let wal = app.path().join("creel.db-wal");
    let wal_bytes = || std::fs::metadata(&wal).map_or(0, |metadata| metadata.len());
    let reader = app.database().writer();
    reader.execute_batch("BEGIN").unwrap();
    let _: i64 = reader.query_row("SELECT count(*) FROM messages", [], |row| row.get(0)).unwrap();
    let begun = Instant::now();
    let load = Load::with_padding(app.address, 4, 300_000);
    eventually("the WAL grows beyond its limit", Duration::from_secs(90), || wal_bytes() > 80 << 20);
    let warning = app.process.log.wait_for("kept the WAL from being reset", Duration::from_secs(30)).unwrap();
    let this_process = format!("(process {})", std::process::id());
    assert!(warning.contains("WARN") && warning.contains(&this_process), "{warning}");
    assert!(app.metric("creel_wal_pinned_seconds") >= 10.0);
    std::thread::sleep(form(Duration::ZERO, Duration::from_secs(60)).saturating_sub(begun.elapsed()));
    reader.execute_batch("COMMIT").unwrap();
    drop(reader);
    // The long form copies gigabytes.
    let copied_within = Duration::from_secs(20 + wal_bytes() / COPIED_BYTES_PER_SECOND);
    eventually("the WAL is small again under load", copied_within, || wal_bytes() <= 64 << 20);
    let sent = load.finish();
    app.process.log.wait_for("the WAL can be reset again", Duration::from_secs(10)).unwrap();
    assert_eq!(app.metric("creel_wal_pinned_seconds"), 0.0);
    assert_eq!(app.log().matches("kept the WAL from being reset").count(), 1);
    let rejected: Vec<_> = sent.iter().filter(|sent| !sent.is_acknowledged()).collect();
    // The file system needs seconds to truncate a WAL of gigabytes, and one batch is pending
    // meanwhile.
    assert!(
        rejected.len() <= form(0, 4) && rejected.iter().all(|sent| sent.status == Some(503)),
        "{rejected:?}"
    );
    assert_nothing_lost(&app.database(), &sent);
}

#[test]
fn small_wal_that_reader_pins_is_logged_without_load() {
    let app = TestApp::github().start();
    let reader = app.database().writer();
    reader.execute_batch("BEGIN").unwrap();
    let _: i64 = reader.query_row("SELECT count(*) FROM messages", [], |row| row.get(0)).unwrap();
    let body = format!("\"{}\"", "x".repeat(2 << 20));
    assert_eq!(app.send(&sign::github("one", body)).status, 200);
    app.process.log.wait_for("kept the WAL from being reset", Duration::from_secs(30)).unwrap();
    reader.execute_batch("COMMIT").unwrap();
    app.process.log.wait_for("the WAL can be reset again", Duration::from_secs(10)).unwrap();
}

#[test]
fn wal_stays_bounded_under_load() {
    let app = TestApp::github().start();
    let wal = app.path().join("creel.db-wal");
    let load = Load::with_padding(app.address, 4, 300_000);
    let until = Instant::now() + form(Duration::from_secs(6), Duration::from_secs(60));
    let mut highest = 0;
    while Instant::now() < until {
        highest = highest.max(std::fs::metadata(&wal).map_or(0, |metadata| metadata.len()));
        std::thread::sleep(Duration::from_millis(20));
    }
    let sent = load.finish();
    assert!(highest <= 96 << 20, "the WAL grew to {highest} bytes");
    assert_nothing_lost(&app.database(), &sent);
}
