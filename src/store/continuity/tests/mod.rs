//! Files in the states that crashes, copies and other tools produce.

mod start;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::*;
use crate::store::handle::store::Store;
use crate::store::message::insert::Receipt;
use crate::store::open::Consent;
use crate::store::tests::setup::{Setup, options, with_id};

pub const NAME: &str = "creel.db";

pub fn copy(from: &Path, to: &Path) {
    // Copied by another process: closing a descriptor of the database here would drop SQLite's
    // locks.
    assert!(Command::new("cp").arg(from).arg(to).status().unwrap().success());
}

pub fn keep(setup: &Setup, store: &Store, ids: std::ops::Range<u32>) {
    for id in ids {
        setup.keep(store, with_id(&format!("id {id}"), "1")).unwrap();
    }
}

/// Copies the files, in the state in which kill -9 leaves them, to a new directory.
pub fn crash(setup: &Setup) -> Setup {
    let image = Setup::new();
    for file in ["creel.db", "creel.db-wal", "creel.db.lock", "creel.db.key"] {
        copy(&setup.directory.path().join(file), &image.directory.path().join(file));
    }
    image
}

/// The files of a crashed store, and an earlier copy of its database in `old`.
pub struct CrashImage {
    pub image: Setup,
    pub old: tempfile::TempDir,
}

/// Returns the files of a crash after 10 messages, and the database of a clean stop after 5 of
/// them.
pub fn crashed() -> CrashImage {
    let setup = Setup::new();
    let store = setup.open();
    keep(&setup, &store, 0..5);
    setup.close(store);
    let old = tempfile::tempdir().unwrap();
    copy(&setup.path(), &old.path().join(NAME));
    let store = setup.open();
    keep(&setup, &store, 5..10);
    CrashImage { image: crash(&setup), old }
}

pub fn open(setup: &Setup) -> Result<Store, OpenError> {
    Store::open(&options(&setup.path()))
}

pub fn accept(setup: &Setup) -> Store {
    Store::open_with(&options(&setup.path()), Consent { loss: true, forget_sealed: false }).unwrap()
}

fn contents(setup: &Setup) -> Vec<(std::ffi::OsString, Vec<u8>)> {
    let mut all: Vec<_> = std::fs::read_dir(setup.directory.path())
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name(), std::fs::read(entry.path()).unwrap()))
        .collect();
    all.sort();
    all
}

/// Asserts that the start fails with four lines and changes nothing.
#[track_caller]
pub fn assert_rejected(setup: &Setup, words: &str) {
    let before = contents(setup);
    let OpenError(error) = open(setup).unwrap_err();
    assert_eq!(error.lines().count(), 4, "{error}");
    assert!(error.contains(words) && error.contains("creel serve --accept-loss"), "{error}");
    assert!(contents(setup) == before, "the rejected start changed the files");
    // A process started by another test may hold the lock for a moment.
    let deadline = Instant::now() + Duration::from_secs(5);
    let error = loop {
        match check(&setup.path()) {
            Err(OpenError(error)) => break error,
            Ok(()) => assert!(Instant::now() < deadline, "check accepts the files"),
        }
    };
    assert!(error.contains(words), "{error}");
}

#[track_caller]
pub fn assert_starts(setup: &Setup, messages: i64) {
    check(&setup.path()).unwrap();
    let store = open(setup).unwrap();
    assert_eq!(setup.query::<i64>("SELECT count(*) FROM messages"), messages);
    assert_eq!(setup.query::<String>("PRAGMA integrity_check"), "ok");
    keep(setup, &store, 100..101);
    setup.close(store);
    setup.close(open(setup).unwrap());
}

pub fn wal(setup: &Setup) -> PathBuf {
    wal_of(&setup.path())
}

pub fn lock_file(setup: &Setup) -> PathBuf {
    setup.directory.path().join("creel.db.lock")
}

#[test]
fn crashed_files_start_normally() {
    assert_starts(&crashed().image, 10);
}

#[test]
fn crash_of_the_first_run_starts_normally() {
    let setup = Setup::new();
    let store = setup.open();
    assert_starts(&crash(&setup), 0);
    keep(&setup, &store, 0..3);
    assert_starts(&crash(&setup), 3);
}

#[test]
fn crash_after_crash_starts_normally() {
    let mut setup = Setup::new();
    for round in 0..4 {
        let store = setup.open();
        keep(&setup, &store, round * 3..round * 3 + 3);
        assert_eq!(setup.query::<i64>("SELECT count(*) FROM messages"), i64::from(round) * 3 + 3);
        setup = crash(&setup);
    }
    assert_starts(&setup, 12);
}

#[test]
fn older_copy_with_crash_wal_is_rejected() {
    let CrashImage { image, old } = crashed();
    copy(&old.path().join(NAME), &image.path());
    assert_rejected(&image, "does not belong to");
    std::fs::remove_file(lock_file(&image)).unwrap();
    let OpenError(error) = open(&image).unwrap_err();
    assert!(error.contains("does not belong to"), "also without a mark: {error}");
}

#[test]
fn copy_before_checkpoint_of_same_wal_is_rejected() {
    let setup = Setup::new();
    let store = setup.open();
    let young = setup.directory.path().join("young");
    copy(&setup.path(), &young);
    keep(&setup, &store, 0..3);
    Connection::open(setup.path()).unwrap().execute_batch("PRAGMA wal_checkpoint").unwrap();
    store.core.shared.set_commits_copied(store.core.shared.commits_written());
    keep(&setup, &store, 3..6);
    let image = crash(&setup);
    assert_starts(&crash(&setup), 6);
    copy(&young, &image.path());
    assert_rejected(&image, "does not belong to");
}

#[test]
fn vacuumed_copy_with_crash_wal_is_rejected() {
    let setup = Setup::new();
    let store = setup.open();
    keep(&setup, &store, 0..5);
    let vacuumed = tempfile::tempdir().unwrap();
    let target = vacuumed.path().join(NAME);
    Connection::open(setup.path()).unwrap().execute("VACUUM INTO ?1", [target.to_str()]).unwrap();
    keep(&setup, &store, 5..10);
    let image = crash(&setup);
    copy(&target, &image.path());
    assert_rejected(&image, "does not belong to");
}

#[test]
fn missing_or_truncated_wal_is_rejected() {
    for bytes in [None, Some(0), Some(31), Some(5_000), Some(40_000)] {
        let CrashImage { image, .. } = crashed();
        match bytes {
            None => std::fs::remove_file(wal(&image)).unwrap(),
            Some(bytes) => File::options().write(true).open(wal(&image)).unwrap().set_len(bytes).unwrap(),
        }
        assert_rejected(&image, "is older than the last state stored here");
    }
}

#[test]
fn older_wal_is_rejected() {
    let setup = Setup::new();
    let store = setup.open();
    keep(&setup, &store, 0..5);
    let old = crash(&setup);
    setup.close(store);
    let store = setup.open();
    keep(&setup, &store, 5..10);
    let image = crash(&setup);
    copy(&wal(&old), &wal(&image));
    assert_rejected(&image, "does not belong to");
    // With the older database as well, the files are from a state that was once consistent.
    copy(&old.path(), &image.path());
    assert_rejected(&image, "is older than the last state stored here");
}

#[test]
fn older_copy_after_clean_stop_is_rejected() {
    let setup = Setup::new();
    let store = setup.open();
    keep(&setup, &store, 0..5);
    setup.close(store);
    let old = setup.directory.path().join("old");
    copy(&setup.path(), &old);
    let store = setup.open();
    keep(&setup, &store, 5..10);
    setup.close(store);
    copy(&old, &setup.path());
    assert_rejected(&setup, "message 5 (commit");
}

#[test]
fn copy_of_another_history_is_rejected() {
    let (setup, other) = (Setup::new(), Setup::new());
    for (setup, count) in [(&setup, 3), (&other, 30)] {
        let store = setup.open();
        keep(setup, &store, 0..count);
        setup.close(store);
    }
    copy(&other.path(), &setup.path());
    assert_rejected(&setup, "is not the database of the last run here");
}

#[test]
fn missing_database_with_wal_is_rejected() {
    let CrashImage { image, .. } = crashed();
    std::fs::write(image.path(), "").unwrap();
    assert_rejected(&image, "is missing or empty");
    std::fs::remove_file(image.path()).unwrap();
    let OpenError(error) = open(&image).unwrap_err();
    assert!(error.contains("is missing or empty"), "{error}");
    std::fs::remove_file(wal(&image)).unwrap();
    assert_starts(&image, 0);
}

#[test]
fn emptied_database_after_clean_stop_is_rejected() {
    let setup = Setup::new();
    let store = setup.open();
    keep(&setup, &store, 0..5);
    setup.close(store);
    std::fs::write(setup.path(), "").unwrap();
    assert_rejected(&setup, "is missing or empty");
}

#[test]
fn recovery_by_another_program_is_accepted() {
    let CrashImage { image, .. } = crashed();
    let shell = Connection::open(image.path()).unwrap();
    shell
        .execute_batch("SELECT count(*) FROM messages; UPDATE messages SET event = 'seen' WHERE id = 3")
        .unwrap();
    drop(shell);
    assert!(!wal(&image).exists(), "recovered and removed");
    assert_starts(&image, 10);
}

#[test]
fn crash_of_another_writer_is_accepted() {
    let CrashImage { image, .. } = crashed();
    let shell = Connection::open(image.path()).unwrap();
    shell.execute_batch("PRAGMA wal_checkpoint(RESTART); DELETE FROM messages WHERE id = 3").unwrap();
    let again = crash(&image);
    assert_starts(&again, 9);
    shell.execute_batch("VACUUM").unwrap();
    assert_starts(&crash(&image), 9);
    drop(shell);
}

#[test]
fn copy_since_last_checkpoint_restores_newest_state() {
    let setup = Setup::new();
    let store = setup.open();
    keep(&setup, &store, 0..5);
    let young = setup.directory.path().join("young");
    copy(&setup.path(), &young);
    keep(&setup, &store, 5..10);
    let image = crash(&setup);
    copy(&young, &image.path());
    assert_starts(&image, 10);
}

#[test]
fn lock_without_a_mark_starts_normally() {
    let CrashImage { image, .. } = crashed();
    std::fs::write(lock_file(&image), "12345").unwrap();
    assert_starts(&image, 10);
}

#[test]
fn accepted_loss_moves_the_foreign_wal_aside() {
    let CrashImage { image, old } = crashed();
    copy(&old.path().join(NAME), &image.path());
    let foreign = std::fs::read(wal(&image)).unwrap();
    let store = accept(&image);
    assert_eq!(std::fs::read(image.directory.path().join("creel.db-wal.aside-1")).unwrap(), foreign);
    // A duplicate of a message in the copy is still recognized; ids of lost messages are not
    // reused.
    assert_eq!(image.keep(&store, with_id("id 2", "1")), Ok(Receipt::Duplicate { of: 3.into() }));
    assert_eq!(image.keep(&store, with_id("id 7", "1")), Ok(Receipt::New { id: 11.into() }));
    image.close(store);
    assert_starts(&image, 6);
}

#[test]
fn accepted_loss_of_missing_wal_applies_once() {
    let CrashImage { image, .. } = crashed();
    std::fs::remove_file(wal(&image)).unwrap();
    let store = accept(&image);
    assert_eq!(image.keep(&store, with_id("new", "1")), Ok(Receipt::New { id: 11.into() }));
    let again = crash(&image);
    assert_starts(&again, 6);
}

#[test]
fn webhook_ids_of_lost_messages_are_not_reused() {
    let setup = Setup::new();
    let store = setup.open();
    keep(&setup, &store, 0..5);
    let image = crash(&setup);
    keep(&setup, &store, 5..10);
    let lost: Vec<String> = (1..=10).map(|id| store.reads().instances().webhook_id(id.into())).collect();
    for is_marked in [true, false] {
        let copied = crash(&image);
        if !is_marked {
            std::fs::remove_file(lock_file(&copied)).unwrap();
        }
        let restored = open(&copied).unwrap();
        keep(&copied, &restored, 5..10);
        let now: Vec<String> =
            (1..=10).map(|id| restored.reads().instances().webhook_id(id.into())).collect();
        assert_eq!(now[..5], lost[..5], "messages in the copy keep their ids");
        assert!(now[5..].iter().all(|id| !lost.contains(id)), "{now:?} {lost:?}");
    }
}

#[test]
fn webhook_ids_stay_over_restarts_and_crashes() {
    let setup = Setup::new();
    let store = setup.open();
    keep(&setup, &store, 0..2);
    let ids = store.reads().instances();
    setup.close(store);
    let store = setup.open();
    assert_eq!(store.reads().instances(), ids);
    keep(&setup, &store, 2..3);
    setup.close(store);
    assert_eq!(setup.query::<i64>("SELECT count(*) FROM instances"), 1);
}
