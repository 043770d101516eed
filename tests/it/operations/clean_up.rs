//! Cleanup, which keeps pending deliveries.

use std::time::Duration;

use crate::harness::database::Database;
use crate::harness::{Builder, TestApp, eventually, sign};

/// A paused target that receives every event.
const PAUSED_TARGET: &str = "INSERT INTO targets (name, kind, origin, state, state_since, events, url, concurrency, ordering, \
    timeout_seconds, created_at, updated_at) \
    SELECT 'paused', 'http', 'api', 'paused', at, '[\"*\"]', 'http://127.0.0.1:9/', 1, 'any', 30, at, at \
    FROM (SELECT strftime('%Y-%m-%dT%H:%M:%f000Z', 'now') AS at)";
const ALL_OLD: &str = "UPDATE messages SET received_at = strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', '-8 days')";

fn with_paused_target(builder: Builder) -> Builder {
    let builder = builder.start().stop();
    builder.database().change(PAUSED_TARGET);
    builder
}

fn deliver(database: &Database, which: &str) -> usize {
    database.change(&format!(
        "UPDATE deliveries SET state = 'delivered', finished_at = strftime('%Y-%m-%dT%H:%M:%f000Z', 'now') WHERE {which}"
    ))
}

#[test]
fn cleanup_command_keeps_pending_deliveries() {
    let app = with_paused_target(TestApp::github()).start();
    for id in ["one", "two"] {
        assert_eq!(app.send(&sign::github(id, "{}")).status, 200);
    }
    let builder = app.stop();
    let database = builder.database();
    database.change(ALL_OLD);
    assert_eq!(database.count("deliveries"), 2);
    deliver(&database, "message_id = 2");
    let output = builder.run(&["cleanup"]).succeeded();
    assert!(output.contains("Deleted 1 messages"), "{output}");
    assert_eq!(database.column::<i64>("SELECT id FROM messages"), [1]);
    assert_eq!(database.column::<i64>("SELECT message_id FROM deliveries"), [1]);
    deliver(&database, "message_id = 1");
    builder.run(&["cleanup"]).succeeded();
    assert_eq!((database.count("messages"), database.count("deliveries")), (0, 0));
    database.assert_sound();
}

/// The list of targets and the cleanup read the column at different positions.
#[test]
fn unreadable_time_of_target_is_logged_once_by_all_queries() {
    let app = TestApp::github().start();
    assert_eq!(app.send(&sign::github("one", "{}")).status, 200);
    let builder = with_paused_target(app.stop());
    let database = builder.database();
    database.change(ALL_OLD);
    assert_eq!(database.change("UPDATE targets SET state_since = 'yesterday'"), 1);
    let app = builder.set("CREEL_CLEANUP_INTERVAL", "1s").start();
    app.process.log.wait_for("cleaned up: ", Duration::from_secs(30)).unwrap();
    let log = app.log();
    assert_eq!(log.matches("column state_since of targets 1 is unreadable").count(), 1, "{log}");
}

#[test]
fn full_database_rejects_messages_until_some_are_delivered() {
    let builder = TestApp::github().set("CREEL_MAX_DATABASE_SIZE", "2MiB");
    // The service must detect the full database without a run of the cleanup.
    let builder = with_paused_target(builder.set("CREEL_CLEANUP_INTERVAL", "1d"));
    let app = builder.start();
    let body = format!("\"{}\"", "x".repeat(50_000));
    let mut kept = 0;
    eventually("a message is rejected", Duration::from_secs(60), || {
        let reply = app.send(&sign::github(&kept.to_string(), body.clone()));
        kept += i64::from(reply.status == 200);
        reply.status == 503 && reply.retry_after_seconds().is_some()
    });
    assert!(!app.is_ready());
    assert_eq!(app.log().matches("larger than CREEL_MAX_DATABASE_SIZE").count(), 1, "{}", app.log());
    let database = app.database();
    assert_eq!((database.count("messages"), database.count("deliveries")), (kept, kept));
    let size =
        database.value::<i64>("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size");
    assert!(size < 8 << 20, "{kept} messages, {size} bytes");

    let app = app.stop().set("CREEL_CLEANUP_INTERVAL", "1s").start();
    eventually("the service notices it immediately", Duration::from_secs(10), || !app.is_ready());
    deliver(&database, "message_id > 3");
    eventually("messages are accepted again", Duration::from_secs(10), || {
        app.send(&sign::github("again", body.clone())).status == 200
    });
    assert!(app.is_ready());
    assert_eq!(database.column::<i64>("SELECT id FROM messages WHERE id <= 4"), [1, 2, 3]);
}

#[test]
fn size_limit_keeps_as_many_messages_as_fit() {
    const LIMIT: i64 = 20 << 20;
    let builder =
        TestApp::github().set("CREEL_MAX_DATABASE_SIZE", "20MiB").set("CREEL_CLEANUP_INTERVAL", "1d");
    let app = builder.start();
    let body = format!("\"{}\"", "x".repeat(1_000_000 - 2));
    for number in 0..40 {
        assert_eq!(app.send(&sign::github(&number.to_string(), body.clone())).status, 200);
    }
    let database = app.database();
    let used = || {
        let sql = "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size";
        database.value::<i64>(sql)
    };
    eventually("the database fits its limit", Duration::from_secs(20), || used() <= LIMIT);
    let left = database.column::<i64>("SELECT id FROM messages");
    // 20 messages of 1 MB and the size of an empty database are 19.4 MiB.
    assert_eq!(left, (21..=40).collect::<Vec<i64>>());
    app.stop().database().assert_sound();
}
