//! The public functions of the store, on real files.

mod damage;
pub mod setup;
mod targets;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rusqlite::Connection;
use time::OffsetDateTime;

use super::integrity::IntegrityReport;
use super::*;
use crate::store::message;
use crate::store::tests::setup::{Setup, message, options, soon, with_id};

#[test]
fn stored_message_has_its_exact_bytes() {
    let setup = Setup::new();
    let store = setup.open();
    let body = "{ \"a\" :  1e400 }";
    assert_eq!(setup.keep(&store, with_id("one", body)), Ok(Receipt::New { id: 1.into() }));
    assert_eq!(setup.query::<String>("SELECT payload FROM messages"), body);
    setup.close(store);
    assert_eq!(verify(&setup.path()).unwrap(), IntegrityReport { checked: 1, ..IntegrityReport::default() });
}

#[test]
fn large_messages_are_stored_exactly_among_small_ones() {
    let setup = Setup::new();
    let store = setup.open();
    let body = |number: usize| format!("\"{number}{}\"", "x".repeat((number % 3) * LARGE_BYTES));
    let kept = setup.keep_all(&store, (0..30).map(|n| with_id(&n.to_string(), &body(n))).collect());
    assert!(kept.iter().all(|kept| matches!(kept, Ok(Receipt::New { .. }))), "{kept:?}");
    for number in 0..30 {
        assert_eq!(
            setup.query::<String>(&format!("SELECT payload FROM messages WHERE delivery_id = '{number}'")),
            body(number)
        );
    }
    let again = setup.keep(&store, with_id("2", &body(2)));
    assert!(matches!(again, Ok(Receipt::Duplicate { .. })), "{again:?}");
    setup.close(store);
    assert_eq!(verify(&setup.path()).unwrap().checked, 30);
}

#[test]
fn message_memory_is_accounted_until_written() {
    let setup = Setup::new();
    let store = setup.open();
    let share = Arc::new(());
    let large = format!("\"{}\"", "x".repeat(LARGE_BYTES));
    let memory: Memory = Box::new(Arc::clone(&share));
    let ingest = store.ingest();
    let kept = ingest.keep_accounted(with_id("one", &large), Some(memory), soon());
    assert_eq!(setup.runtime.block_on(kept), Ok(Receipt::New { id: 1.into() }));
    setup.close(store);
    assert_eq!(Arc::strong_count(&share), 1);
}

/// Rows of an older version have no reason: an empty body is shown as `Empty`, and any other
/// unreadable body as `OlderVersion`.
#[test]
fn unreadable_body_has_reason_after_upgrade() {
    let setup = Setup::new();
    let store = setup.open();
    for (body, reason) in [("", UnreadableReason::Empty), ("a", UnreadableReason::TooDeep)] {
        let content = MessageContent::Unreadable { body: Bytes::copy_from_slice(body.as_bytes()), reason };
        setup.keep(&store, NewMessage { content, ..message(Identity::None, body) }).unwrap();
    }
    setup.keep(&store, message(Identity::None, "1")).unwrap();
    setup.close(store);
    let connection = Connection::open(setup.path()).unwrap();
    let reasons =
        || (1..=3).map(|id| message::read::one(&connection, id.into()).unwrap().unwrap().head.unreadable);
    assert!(reasons().eq([Some(UnreadableReason::Empty), Some(UnreadableReason::TooDeep), None]));
    connection.execute("UPDATE messages SET unreadable = NULL", []).unwrap();
    assert!(reasons().eq([Some(UnreadableReason::Empty), Some(UnreadableReason::OlderVersion), None]));
}

#[test]
fn duplicate_is_counted_and_other_body_is_a_conflict() {
    let setup = Setup::new();
    let store = setup.open();
    assert_eq!(setup.keep(&store, with_id("one", "1")), Ok(Receipt::New { id: 1.into() }));
    assert_eq!(setup.keep(&store, with_id("one", "1")), Ok(Receipt::Duplicate { of: 1.into() }));
    assert_eq!(setup.keep(&store, with_id("one", "2")), Ok(Receipt::Conflict { id: 2.into(), of: 1.into() }));
    assert_eq!(setup.keep(&store, with_id("one", "2")), Ok(Receipt::Duplicate { of: 2.into() }));
    assert_eq!(setup.query::<i64>("SELECT duplicates FROM messages WHERE id = 1"), 1);
    assert_eq!(setup.query::<i64>("SELECT conflict_of FROM messages WHERE id = 2"), 1);
}

#[test]
fn both_copies_in_one_batch_make_one_message() {
    let setup = Setup::new();
    let store = setup.open();
    let kept = setup.keep_all(&store, vec![with_id("one", "1"); 50]);
    assert_eq!(kept.iter().filter(|kept| matches!(kept, Ok(Receipt::New { .. }))).count(), 1);
    assert_eq!(kept.iter().filter(|kept| **kept == Ok(Receipt::Duplicate { of: 1.into() })).count(), 49);
    assert!(store.stats().batches < 50);
}

#[test]
fn message_without_id_is_deduplicated_only_by_content_window() {
    let setup = Setup::new();
    let store = setup.open();
    assert_eq!(setup.keep(&store, message(Identity::None, "1")), Ok(Receipt::New { id: 1.into() }));
    assert_eq!(setup.keep(&store, message(Identity::None, "1")), Ok(Receipt::New { id: 2.into() }));
    let windowed = || message(Identity::Content { window: Duration::from_secs(600) }, "2");
    assert_eq!(setup.keep(&store, windowed()), Ok(Receipt::New { id: 3.into() }));
    assert_eq!(setup.keep(&store, windowed()), Ok(Receipt::Duplicate { of: 3.into() }));
    let mut later = windowed();
    later.received_at += Duration::from_secs(601);
    assert_eq!(setup.keep(&store, later), Ok(Receipt::New { id: 4.into() }));
}

#[test]
fn oldest_key_survives_merge_restart_and_message_deletion() {
    let setup = Setup::new();
    let store = setup.open();
    let messages = (0..500).map(|number| with_id(&format!("id {number}"), "1")).collect();
    setup.keep_all(&store, messages);
    setup.merge_keys(&store);
    assert_eq!(setup.query::<i64>("SELECT count(*) FROM delivery_keys"), 500);
    let deleted =
        setup.runtime.block_on(store.cleanup().delete_messages(vec![1.into()], RetentionRule::default()));
    assert_eq!(deleted, Ok(StepResult { taken: 1, changed: 1 }));
    assert_eq!(setup.keep(&store, with_id("id 0", "1")), Ok(Receipt::Duplicate { of: 1.into() }));
    setup.close(store);
    let store = setup.open();
    assert_eq!(setup.keep(&store, with_id("id 0", "1")), Ok(Receipt::Duplicate { of: 1.into() }));
    assert_eq!(
        setup.keep(&store, with_id("id 0", "2")),
        Ok(Receipt::Conflict { id: 501.into(), of: 1.into() })
    );
}

#[test]
fn keys_survive_crash_before_and_after_merge() {
    let setup = Setup::new();
    let store = setup.open();
    setup.keep_all(&store, (0..300).map(|number| with_id(&format!("merged {number}"), "1")).collect());
    setup.merge_keys(&store);
    setup.keep_all(&store, (0..300).map(|number| with_id(&format!("in memory {number}"), "1")).collect());
    let crashed = setup.crash_copy();
    let reopened = crashed.open();
    for number in [0, 150, 299] {
        for kind in ["merged", "in memory"] {
            let kept = crashed.keep(&reopened, with_id(&format!("{kind} {number}"), "1"));
            assert!(matches!(kept, Ok(Receipt::Duplicate { .. })), "{kind} {number}: {kept:?}");
        }
    }
}

#[test]
fn crash_during_merge_loses_no_key() {
    let setup = Setup::new();
    let store = setup.open();
    setup.keep_all(&store, (0..3_000).map(|number| with_id(&format!("id {number}"), "1")).collect());
    setup.close(store);
    // Part of a generation without its mark, as a crash between two slices leaves it.
    let connection = Connection::open(setup.path()).unwrap();
    connection
        .execute_batch("DELETE FROM key_generations; DELETE FROM delivery_keys WHERE message_id > 700")
        .unwrap();
    drop(connection);
    let store = setup.open();
    for number in [0, 699, 700, 2_999] {
        let kept = setup.keep(&store, with_id(&format!("id {number}"), "1"));
        assert_eq!(kept, Ok(Receipt::Duplicate { of: (number + 1).into() }));
    }
    setup.merge_keys(&store);
    assert_eq!(setup.query::<i64>("SELECT count(*) FROM delivery_keys"), 3_000);
    assert_eq!(setup.query::<i64>("SELECT merged_through FROM key_generations"), 3_000);
}

#[test]
fn failing_row_rejects_only_its_message() {
    let setup = Setup::new();
    let store = setup.open();
    for raise in ["ABORT", "FAIL", "ROLLBACK"] {
        let connection = Connection::open(setup.path()).unwrap();
        let trigger = format!(
            "DROP TRIGGER IF EXISTS poison;
             CREATE TRIGGER poison BEFORE INSERT ON messages WHEN NEW.delivery_id LIKE 'poison%'
             BEGIN SELECT RAISE({raise}, 'poison'); END"
        );
        connection.execute_batch(&trigger).unwrap();
        let mut messages: Vec<_> = (0..63).map(|number| with_id(&format!("{raise} {number}"), "1")).collect();
        messages.insert(31, with_id("poison", "1"));
        let kept = setup.keep_all(&store, messages);
        assert_eq!(kept[31], Err(Unavailable::Refused), "{raise}");
        assert_eq!(kept.iter().filter(|kept| matches!(kept, Ok(Receipt::New { .. }))).count(), 63, "{raise}");
        let stored = format!("SELECT count(*) FROM messages WHERE delivery_id LIKE '{raise}%'");
        assert_eq!(setup.query::<i64>(&stored), 63, "{raise}");
    }
}

#[test]
fn message_waits_for_lock_until_its_deadline() {
    let setup = Setup::new();
    let store = setup.open();
    let other = Connection::open(setup.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let began = Instant::now();
    let deadline = began + Duration::from_millis(300);
    let kept = setup.runtime.block_on(store.ingest().keep(with_id("one", "1"), deadline));
    assert_eq!(kept, Err(Unavailable::Deadline.into()));
    assert!(began.elapsed() < Duration::from_secs(2));
    let waiting = std::thread::spawn({
        let store = store.clone();
        move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            runtime.block_on(store.ingest().keep(with_id("two", "1"), soon()))
        }
    });
    while store.stats().queue_depth > 0 {
        std::thread::yield_now();
    }
    other.execute_batch("COMMIT").unwrap();
    assert!(matches!(waiting.join().unwrap(), Ok(Receipt::New { .. })));
}

#[test]
fn low_disk_space_rejects_messages_but_not_settings() {
    let setup = Setup::new();
    let store = Store::open(&StoreOptions { min_free_bytes: u64::MAX, ..options(&setup.path()) }).unwrap();
    assert_eq!(setup.keep(&store, with_id("one", "1")), Err(Unavailable::DiskLow));
    assert_eq!(store.ready(), Err(Unavailable::DiskLow));
    let now = OffsetDateTime::now_utc();
    assert_eq!(setup.runtime.block_on(store.settings().set_setting("a", "b", Sealing::Plain, now)), Ok(()));
}

#[test]
fn sealed_settings_are_read_back_and_are_not_in_the_file() {
    let setup = Setup::new();
    let store = setup.open();
    let now = OffsetDateTime::now_utc();
    setup
        .runtime
        .block_on(store.settings().set_setting("inbox_path", "very-secret-path", Sealing::Sealed, now))
        .unwrap();
    assert_eq!(
        setup.runtime.block_on(store.settings().setting("inbox_path")),
        Ok(Some("very-secret-path".to_owned()))
    );
    assert_eq!(setup.runtime.block_on(store.settings().setting("nothing")), Ok(None));
    setup.close(store);
    let file = std::fs::read(setup.path()).unwrap();
    assert!(!file.windows(16).any(|bytes| bytes == b"very-secret-path"));
}

#[test]
fn second_instance_and_other_key_fail_with_remedy() {
    let setup = Setup::new();
    let store = setup.open();
    let second = Store::open(&options(&setup.path())).unwrap_err();
    assert!(second.0.contains("in use by process"), "{second}");
    setup.close(store);
    let other_key = StoreOptions { key: Some(b"another key".to_vec()), ..options(&setup.path()) };
    let other = Store::open(&other_key).unwrap_err();
    assert!(other.0.contains("a key other than"), "{other}");
}

#[test]
fn unlinked_database_is_rewritten_and_store_stops() {
    let setup = Setup::new();
    let store = setup.open();
    setup.keep_all(&store, (0..100).map(|number| with_id(&format!("id {number}"), "1")).collect());
    std::fs::remove_file(setup.path()).unwrap();
    assert_eq!(store.ready(), Err(Unavailable::FileChanged));
    assert_eq!(setup.keep(&store, with_id("late", "1")), Err(Unavailable::FileChanged));
    let line = setup.runtime.block_on(store.failed());
    assert!(line.contains("moved, deleted or replaced"), "{line}");
    setup.close(store);
    let store = setup.open();
    assert_eq!(setup.query::<i64>("SELECT count(*) FROM messages"), 100);
    assert_eq!(setup.keep(&store, with_id("id 0", "1")), Ok(Receipt::Duplicate { of: 1.into() }));
}

#[test]
fn unlinked_wal_is_copied_into_database() {
    let setup = Setup::new();
    let store = setup.open();
    setup.keep_all(&store, (0..100).map(|number| with_id(&format!("id {number}"), "1")).collect());
    std::fs::remove_file(format!("{}-wal", setup.path().display())).unwrap();
    assert_eq!(setup.keep(&store, with_id("late", "1")), Err(Unavailable::FileChanged));
    setup.runtime.block_on(store.failed());
    setup.close(store);
    assert_eq!(setup.query::<i64>("SELECT count(*) FROM messages"), 100);
}

#[test]
fn renamed_database_keeps_all_messages() {
    let setup = Setup::new();
    let store = setup.open();
    setup.keep_all(&store, (0..100).map(|number| with_id(&format!("id {number}"), "1")).collect());
    let elsewhere = setup.directory.path().join("elsewhere.db");
    std::fs::rename(setup.path(), &elsewhere).unwrap();
    assert_eq!(setup.keep(&store, with_id("late", "1")), Err(Unavailable::FileChanged));
    let line = setup.runtime.block_on(store.failed());
    assert!(line.contains("move it back"), "{line}");
    setup.close(store);
    let connection = Connection::open(&elsewhere).unwrap();
    let count: i64 = connection.query_row("SELECT count(*) FROM messages", [], |row| row.get(0)).unwrap();
    assert_eq!(count, 100);
}

#[test]
fn truncated_wal_stops_store() {
    let setup = Setup::new();
    let store = setup.open();
    setup.keep(&store, with_id("one", "1")).unwrap();
    let wal =
        std::fs::OpenOptions::new().write(true).open(format!("{}-wal", setup.path().display())).unwrap();
    wal.set_len(100).unwrap();
    assert_eq!(setup.keep(&store, with_id("two", "1")), Err(Unavailable::FileChanged));
}

/// A checkpoint by another process restores the length of the file, but only those pages that are
/// in the WAL.
#[test]
fn truncated_database_stops_store_after_regrowth() {
    let setup = Setup::new();
    let store = setup.open();
    let other = Connection::open(setup.path()).unwrap();
    let _: i64 = other.query_row("SELECT count(*) FROM messages", [], |row| row.get(0)).unwrap();
    // SQLite does not extend the file to far more pages than the WAL has frames.
    let body = format!("\"{}\"", "x".repeat(50_000));
    for number in 0..8 {
        setup.keep(&store, with_id(&number.to_string(), &body)).unwrap();
    }
    let length = store.stats().database_bytes;
    let database = std::fs::OpenOptions::new().write(true).open(setup.path()).unwrap();
    database.set_len(0).unwrap();
    let copied: i64 = other.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(2)).unwrap();
    let regrown = store.stats().database_bytes;
    assert!(copied > 0 && regrown >= length, "{copied} frames, {regrown} of {length} bytes");
    store.cleanup().settle();
    let failed = async { tokio::time::timeout(Duration::from_secs(20), store.failed()).await };
    let line = setup.runtime.block_on(failed).expect("the store stops");
    assert!(line.contains("database file was truncated"), "{line}");
    assert_eq!(setup.keep(&store, with_id("late", "1")), Err(Unavailable::FileChanged));
}

#[test]
fn checkpoint_by_sqlite3_shell_does_not_stop_store() {
    let setup = Setup::new();
    let store = setup.open();
    setup.keep(&store, with_id("one", "1")).unwrap();
    let other = Connection::open(setup.path()).unwrap();
    let busy: i64 = other.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).unwrap();
    assert_eq!(busy, 0);
    assert!(matches!(setup.keep(&store, with_id("two", "1")), Ok(Receipt::New { .. })));
    assert_eq!(store.ready(), Ok(()));
}

#[test]
fn the_wal_stays_bounded_while_it_is_written_to() {
    let setup = Setup::new();
    let store = setup.open();
    let body = format!("\"{}\"", "x".repeat(200_000));
    for round in 0..30 {
        let messages = (0..20).map(|number| with_id(&format!("{round} {number}"), &body)).collect();
        assert!(setup.keep_all(&store, messages).iter().all(Result::is_ok));
        assert!(store.stats().wal_bytes < 96 << 20, "{} bytes", store.stats().wal_bytes);
    }
    assert!(store.stats().database_bytes > 40 << 20, "nothing was checkpointed");
}

#[test]
fn verify_finds_a_flipped_bit() {
    let setup = Setup::new();
    let store = setup.open();
    setup.keep_all(&store, (0..10).map(|number| with_id(&format!("id {number}"), "[1]")).collect());
    setup.close(store);
    let connection = Connection::open(setup.path()).unwrap();
    connection.execute("UPDATE messages SET payload = '[3]' WHERE id = 7", []).unwrap();
    drop(connection);
    let report = verify(&setup.path()).unwrap();
    assert_eq!((report.checked, report.flipped.as_slice()), (10, [7.into()].as_slice()));
    assert!(report.to_string().contains("message 7"));
}
