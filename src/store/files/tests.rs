//! Files that are moved, truncated, locked, and preallocated.

use std::fs::OpenOptions;

use super::*;
use crate::store::files::lock::InstanceLock;

fn files(directory: &Path) -> Files {
    std::fs::write(directory.join("creel.db"), vec![1; 8192]).unwrap();
    std::fs::write(directory.join("creel.db-wal"), vec![1; 400_000]).unwrap();
    let files = Files::watch(&directory.join("creel.db"), 0).unwrap();
    files.database_stays(0, 0);
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
    assert_eq!(files.check(), Err(FileChange::Cut("WAL")));
    wal.set_len(400_000).unwrap();
    if files.holes_are_visible {
        assert_eq!(files.check(), Err(FileChange::Cut("WAL")));
    }
}

#[test]
fn truncation_below_content_is_detected_after_checkpoint() {
    let directory = tempfile::tempdir().unwrap();
    let files = files(directory.path());
    let database = OpenOptions::new().write(true).open(directory.path().join("creel.db")).unwrap();
    let before = files.database_may_change();
    database.set_len(4096).unwrap();
    files.database_stays(before, 4096);
    assert_eq!(files.check(), Ok(()));
    let before = files.database_may_change();
    database.set_len(0).unwrap();
    files.database_stays(before, 4096);
    assert_eq!(files.check(), Err(FileChange::Cut("database")));
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
    files.lay_ballast();
    assert_eq!(std::fs::metadata(&ballast).unwrap().len(), BALLAST_BYTES);
    files.note_full();
    assert!(!ballast.exists());
}
