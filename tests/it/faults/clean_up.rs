//! Cleanup of many rows during ingest.

use std::time::{Duration, Instant};

use super::form;
use crate::harness::load::{Load, assert_nothing_lost};
use crate::harness::{TestApp, allow, eventually, sign};

/// Multiplies one message into many old ones.
const MULTIPLY: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1) \
    INSERT INTO messages (received_at, source, event, delivery_id, method, remote_ip, body_sha256, headers, payload) \
    SELECT strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', '-8 days'), source, event, 'old-' || i, method, remote_ip, \
    body_sha256, headers, payload FROM n, (SELECT * FROM messages LIMIT 1)";
/// Adds a finished delivery for each message.
const DELIVERED: &str = "INSERT INTO deliveries (message_id, target_id, state, attempts, created_at, due_at, finished_at, outcome) \
    SELECT id, 1, 'delivered', 1, received_at, received_at, received_at, '200' FROM messages WHERE delivery_id LIKE 'old-%'";
const ATTEMPTED: &str = "INSERT INTO attempts (delivery_id, number, began_at, took_ms, outcome, status, excerpt) \
    SELECT id, 1, created_at, 5, 'delivered', 200, 'done' FROM deliveries";

#[test]
fn cleanup_of_many_rows_does_not_block_ingest() {
    let app = TestApp::github().start();
    let body = format!("\"{}\"", "x".repeat(1000));
    assert_eq!(app.send(&sign::github("first", body)).status, 200);
    let builder = app.stop();
    let rows = form(5_000_i64, 1_000_000);
    assert_eq!(builder.database().writer().execute(MULTIPLY, [rows]).unwrap() as i64, rows);
    for sql in [DELIVERED, ATTEMPTED] {
        assert_eq!(builder.database().change(sql) as i64, rows);
    }
    let size = || std::fs::metadata(builder.database().path()).unwrap().len();
    builder.database().writer().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let before = size();
    let app = builder.clone().set("CREEL_CLEANUP_INTERVAL", "1s").start();
    let load = Load::start(app.address, 2);
    let begun = Instant::now();
    let left = || app.database().value::<i64>("SELECT count(*) FROM messages WHERE delivery_id LIKE 'old-%'");
    eventually(
        "the old messages are deleted",
        form(Duration::from_secs(90), Duration::from_secs(3_600)),
        || left() == 0,
    );
    println!("{rows} rows in {:?}", begun.elapsed());
    assert_eq!((app.database().count("deliveries"), app.database().count("attempts")), (0, 0));
    let sent = load.finish();
    assert!(sent.iter().all(|sent| sent.is_acknowledged()));
    let mut times: Vec<Duration> = sent.iter().map(|sent| sent.took).collect();
    times.sort_unstable();
    let p99 = times[times.len() * 99 / 100];
    assert!(p99 <= allow(Duration::from_millis(100)), "{p99:?}");
    eventually("the space is released", form(Duration::from_secs(30), Duration::from_secs(600)), || {
        size() * 10 <= before + 10 * sent.len() as u64 * 4096
    });
    assert_nothing_lost(&app.database(), &sent);
}
