//! Files that are moved, truncated, locked, and preallocated.

use std::fs::OpenOptions;

use rusqlite::Connection;

use super::*;
use crate::store::checkpoint::{content_bytes, copy_all};
use crate::store::files::lock::InstanceLock;

fn files(directory: &Path) -> Files {
    std::fs::write(directory.join("creel.db"), vec![1; 8192]).unwrap();
    std::fs::write(directory.join("creel.db-wal"), vec![1; 400_000]).unwrap();
    let files = Files::watch(&directory.join("creel.db"), 0).unwrap();
    files.update_min_bytes();
    files.expect_wal(400_000);
    files
}

#[test]
fn files_that_stay_or_grow_are_fine() {
    let directory = tempfile::tempdir().unwrap();
    let files = files(directory.path());
    assert_eq!(files.check(), Ok(()));
    std::fs::write(directory.path().join("creel.db-wal"), vec![1; 500_000]).unwrap();
    assert_eq!(files.check(), Ok(()));
}

#[test]
fn unlinked_renamed_or_replaced_file_is_detected() {
    let directory = tempfile::tempdir().unwrap();
    let files = files(directory.path());
    let wal = directory.path().join("creel.db-wal");
    std::fs::rename(&wal, directory.path().join("elsewhere")).unwrap();
    assert_eq!(files.check(), Err(FileChange::Moved("WAL")));
    std::fs::write(&wal, vec![1; 400_000]).unwrap();
    assert_eq!(files.check(), Err(FileChange::Moved("WAL")));
    std::fs::remove_file(directory.path().join("creel.db")).unwrap();
    assert_eq!(files.check(), Err(FileChange::Moved("database")));
}

#[test]
fn truncated_file_is_detected_after_regrowth() {
    let directory = tempfile::tempdir().unwrap();
    let files = files(directory.path());
    assert_eq!(files.check(), Ok(()));
    let wal = OpenOptions::new().write(true).open(directory.path().join("creel.db-wal")).unwrap();
    wal.set_len(0).unwrap();
    assert_eq!(files.check(), Err(FileChange::Truncated("WAL")));
    wal.set_len(400_000).unwrap();
    if files.holes_are_visible {
        assert_eq!(files.check(), Err(FileChange::Truncated("WAL")));
    }
}

#[test]
fn truncation_below_content_is_detected_after_checkpoint() {
    let directory = tempfile::tempdir().unwrap();
    let files = files(directory.path());
    let _ = files.database_may_change(4096);
    cut(directory.path(), 4096);
    files.update_min_bytes();
    assert_eq!(files.check(), Ok(()));
    let _ = files.database_may_change(4096);
    cut(directory.path(), 0);
    assert_eq!(files.check(), Err(FileChange::Truncated("database")), "during the checkpoint");
    files.update_min_bytes();
    assert_eq!(files.check(), Err(FileChange::Truncated("database")));
}

fn cut(directory: &Path, length: u64) {
    let database = OpenOptions::new().write(true).open(directory.join("creel.db")).unwrap();
    database.set_len(length).unwrap();
}

/// A database with an empty WAL.
fn database(directory: &Path) -> (Connection, Files) {
    let path = directory.join("creel.db");
    let connection = Connection::open(&path).unwrap();
    connection
        .execute_batch(
            "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0;
             CREATE TABLE bodies (body); CREATE TABLE one (a); CREATE TABLE two (a); CREATE INDEX three ON two (a);
             PRAGMA wal_checkpoint(TRUNCATE)",
        )
        .unwrap();
    let files = Files::watch(&path, 0).unwrap();
    files.update_min_bytes();
    files.expect_roots(RootPages::read(&connection).unwrap());
    (connection, files)
}

/// Writes more pages to the WAL than the new database file has.
fn grow(connection: &Connection) {
    connection.execute_batch("DELETE FROM bodies; INSERT INTO bodies VALUES (zeroblob(400000))").unwrap();
}

/// Runs a checkpoint as the service does, with an event between its first check and the copying.
fn checkpoint_after(event: impl FnOnce(), connection: &Connection, files: &Files) -> Result<(), FileChange> {
    let baseline = files.database_may_change(content_bytes(connection));
    event();
    assert_eq!(copy_all(connection), Ok(true));
    files.detect_lost_pages(Some(baseline), || RootPages::read(connection));
    files.update_min_bytes();
    files.check()
}

#[test]
fn truncation_before_copying_is_detected_by_roots() {
    let directory = tempfile::tempdir().unwrap();
    let (connection, mut files) = database(directory.path());
    files.holes_are_visible = false;
    grow(&connection);
    let length = content_bytes(&connection);
    let event = || cut(directory.path(), 0);
    assert_eq!(checkpoint_after(event, &connection, &files), Err(FileChange::Truncated("database")));
    assert_eq!(files.database_bytes(), length, "only the lost pages show it");
}

#[test]
fn truncation_before_copying_is_detected_by_holes() {
    let directory = tempfile::tempdir().unwrap();
    let (connection, files) = database(directory.path());
    *files.roots.lock() = RootPages::default();
    if files.holes_are_visible {
        grow(&connection);
        let event = || cut(directory.path(), 0);
        assert_eq!(checkpoint_after(event, &connection, &files), Err(FileChange::Truncated("database")));
    }
}

#[test]
fn checkpoint_after_growth_and_vacuum_loses_no_page() {
    let directory = tempfile::tempdir().unwrap();
    let (connection, files) = database(directory.path());
    for _ in 0..2 {
        grow(&connection);
        connection.execute_batch("DELETE FROM bodies; INSERT INTO one VALUES (1)").unwrap();
        assert_eq!(checkpoint_after(|| (), &connection, &files), Ok(()));
    }
    let length = files.database_bytes();
    let mut vacuum = connection.prepare("PRAGMA incremental_vacuum").unwrap();
    let mut steps = vacuum.query([]).unwrap();
    while steps.next().unwrap().is_some() {}
    assert_eq!(checkpoint_after(|| (), &connection, &files), Ok(()));
    assert!(files.database_bytes() < length);
}

#[test]
fn roots_moved_by_another_process_are_not_lost() {
    let directory = tempfile::tempdir().unwrap();
    let (connection, mut files) = database(directory.path());
    files.holes_are_visible = false;
    assert_eq!(files.roots.lock().pages_in_file(), 5);
    // A page of the body, whose first byte is zero, takes the place of the last root page.
    connection.execute_batch("DROP TABLE one").unwrap();
    grow(&connection);
    connection.execute_batch("VACUUM").unwrap();
    assert_eq!(checkpoint_after(|| (), &connection, &files), Ok(()));
    assert_eq!(files.roots.lock().pages_in_file(), 4, "the new roots are watched");
    grow(&connection);
    let event = || cut(directory.path(), 0);
    assert_eq!(checkpoint_after(event, &connection, &files), Err(FileChange::Truncated("database")));
}

#[test]
fn second_holder_cannot_take_lock() {
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("creel.db");
    let first = InstanceLock::try_take(&database).unwrap();
    assert!(first.is_some());
    assert!(InstanceLock::try_take(&database).unwrap().is_none());
    assert_eq!(InstanceLock::holder(&database), "another process");
    first.as_ref().unwrap().claim();
    assert_eq!(InstanceLock::holder(&database), format!("process {}", std::process::id()));
    drop(first);
    assert!(InstanceLock::try_take(&database).unwrap().is_some());
}

#[test]
fn ballast_is_released_on_full_disk() {
    let directory = tempfile::tempdir().unwrap();
    let mut files = files(directory.path());
    files.min_free_bytes = 1;
    let ballast = directory.path().join("creel.db.ballast");
    files.write_ballast_if_room();
    assert_eq!(std::fs::metadata(&ballast).unwrap().len(), BALLAST_BYTES);
    files.note_full();
    assert!(!ballast.exists());
}
