//! First starts and new timelines, rollback journals, and copies that match only by their counter.

use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::*;
use crate::store::continuity::tests::{
    CrashImage, NAME, accept, assert_rejected, assert_starts, copy, crash, crashed, keep, lock_file, open,
    wal,
};
use crate::store::handle::store::Store;
use crate::store::integrity::verify;
use crate::store::message::new::Identity;
use crate::store::open::Consent;
use crate::store::options::StoreOptions;
use crate::store::tests::setup::{Setup, message, options};

/// Opens a store without its own checkpoints, as for Litestream before its first checkpoint.
fn open_without_checkpoints(setup: &Setup) -> Store {
    Store::open(&StoreOptions { checkpoint: false, ..options(&setup.path()) }).unwrap()
}

fn remove_lock(setup: &Setup) {
    let _ = std::fs::remove_file(lock_file(setup));
}

/// Removes the ledger, as in a database that was created before the ledger existed.
fn remove_ledger(setup: &Setup) {
    remove_lock(setup);
    let connection = Connection::open(setup.path()).unwrap();
    connection.execute("DELETE FROM sqlite_sequence WHERE name LIKE 'creel_%'", []).unwrap();
}

/// A stopped store with 4 messages, changed by `change`.
fn stopped(change: impl FnOnce(&Setup)) -> Setup {
    let setup = Setup::new();
    let store = setup.open();
    keep(&setup, &store, 0..4);
    setup.close(store);
    change(&setup);
    setup
}

/// Asserts that a store starts after a crash, with and without the mark. The mark is missing e.g.
/// if the first start is killed before writing it.
#[track_caller]
fn assert_crash_starts(setup: &Setup, messages: i64) {
    assert_starts(&crash(setup), messages);
    let unmarked = crash(setup);
    remove_lock(&unmarked);
    assert_starts(&unmarked, messages);
}

#[test]
fn new_timeline_in_an_uncopied_wal_starts() {
    let setup = Setup::new();
    let store = open_without_checkpoints(&setup);
    assert_crash_starts(&setup, 0);
    keep(&setup, &store, 0..10);
    assert_crash_starts(&setup, 10);
    for change in [remove_lock, remove_ledger] {
        let setup = stopped(change);
        let store = open_without_checkpoints(&setup);
        assert_crash_starts(&setup, 4);
        keep(&setup, &store, 4..10);
        assert_crash_starts(&setup, 10);
    }
}

#[test]
fn reader_during_first_start_causes_no_loss() {
    for change in [remove_lock, remove_ledger] {
        let setup = stopped(change);
        let reader = Connection::open(setup.path()).unwrap();
        reader.execute_batch("BEGIN; SELECT count(*) FROM messages").unwrap();
        let store = setup.open();
        keep(&setup, &store, 4..10);
        assert_crash_starts(&setup, 10);
    }
}

#[test]
fn file_at_a_timeline_within_the_wal_starts() {
    let mut setup = stopped(remove_lock);
    for round in 1..4 {
        let store = open_without_checkpoints(&setup);
        keep(&setup, &store, round * 4..round * 4 + 4);
        if round == 2 {
            let reader = Connection::open(setup.path()).unwrap();
            reader.execute_batch("BEGIN; SELECT count(*) FROM messages").unwrap();
            keep(&setup, &store, 50..51);
            let other = Connection::open(setup.path()).unwrap();
            other.execute_batch("PRAGMA wal_checkpoint(PASSIVE)").unwrap();
        }
        setup = crash(&setup);
        remove_lock(&setup);
    }
    assert_starts(&setup, 17);
}

/// Returns the files of a process that was killed during a transaction with a rollback journal,
/// after the counter in the file had changed.
fn with_journal() -> Setup {
    let setup = stopped(|_| ());
    let shell = Connection::open(setup.path()).unwrap();
    shell
        .execute_batch(
            "PRAGMA journal_mode = DELETE; PRAGMA cache_size = 1; BEGIN;
             UPDATE sqlite_sequence SET seq = 1 WHERE name = 'creel_commits';
             UPDATE messages SET headers = hex(zeroblob(50000)); DELETE FROM messages WHERE id = 1",
        )
        .unwrap();
    let image = Setup::new();
    for file in [NAME, "creel.db-journal", "creel.db.lock", "creel.db.key"] {
        copy(&setup.directory.path().join(file), &image.directory.path().join(file));
    }
    assert!(has_journal(&image.path()));
    let bytes = std::fs::read(image.path()).unwrap();
    let counters = bytes.chunks(4_096).filter_map(ledger::Ledger::in_page).map(|ledger| ledger.commits);
    assert_eq!(counters.collect::<Vec<_>>(), [1]);
    image
}

#[test]
fn rollback_journal_is_applied() {
    assert_starts(&with_journal(), 4);
    let setup = with_journal();
    assert!(verify(&setup.path()).unwrap().is_sound());
    assert_starts(&setup, 4);
    let setup = with_journal();
    std::fs::copy(wal(&crashed().image), wal(&setup)).unwrap();
    let store = accept(&setup);
    setup.close(store);
    assert_starts(&setup, 4);
}

/// A crash image whose `old` database was created by VACUUM while the WAL was in use: its counter
/// matches, its pages do not.
fn vacuumed() -> CrashImage {
    let setup = Setup::new();
    let keep = |store: &Store, ids: std::ops::Range<u32>| {
        for id in ids {
            let body = format!("\"{}\"", "x".repeat(1_500));
            setup.keep(store, message(Identity::DeliveryId(format!("id {id}")), &body)).unwrap();
        }
    };
    let store = setup.open();
    keep(&store, 0..40);
    setup.close(store);
    let shell = Connection::open(setup.path()).unwrap();
    shell.execute_batch("DELETE FROM messages WHERE id < 20").unwrap();
    drop(shell);
    let store = setup.open();
    keep(&store, 40..45);
    let old = tempfile::tempdir().unwrap();
    let target = old.path().join(NAME);
    let shell = Connection::open(setup.path()).unwrap();
    shell.execute("VACUUM INTO ?1", [target.to_str()]).unwrap();
    keep(&store, 45..50);
    CrashImage { image: crash(&setup), old }
}

#[test]
fn vacuumed_copy_without_mark_is_rejected() {
    for lock in [None, Some("12345")] {
        let CrashImage { image, old } = vacuumed();
        copy(&old.path().join(NAME), &image.path());
        match lock {
            None => remove_lock(&image),
            Some(owner) => std::fs::write(lock_file(&image), owner).unwrap(),
        }
        if lock.is_some() {
            assert_rejected(&image, "does not belong to");
        }
        let OpenError(error) = open(&image).unwrap_err();
        assert!(error.contains("does not belong to"), "{error}");
        let store = accept(&image);
        image.close(store);
        assert_starts(&image, 26);
    }
    let CrashImage { image, .. } = vacuumed();
    remove_lock(&image);
    assert_starts(&image, 31);
}

#[test]
fn mixture_made_by_another_program_is_damaged() {
    let CrashImage { image, old } = vacuumed();
    copy(&old.path().join(NAME), &image.path());
    let shell = Connection::open(image.path()).unwrap();
    let _ = shell.execute_batch("SELECT count(*) FROM messages");
    drop(shell);
    assert!(!wal(&image).exists());
    let OpenError(error) = open(&image).unwrap_err();
    assert!(error.contains("is damaged"), "{error}");
    let found = verify(&image.path());
    let is_reported =
        found.map_or_else(|OpenError(why)| why.contains("damaged"), |report| !report.is_sound());
    assert!(is_reported, "verify reports the damage");
}

fn flip_page(path: &Path, page: u64) {
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(&[0xff; 4_096], (page - 1) * 4_096).unwrap();
}

#[test]
fn wal_stays_in_place_if_copy_is_damaged() {
    let CrashImage { image, old } = vacuumed();
    copy(&old.path().join(NAME), &image.path());
    let pages = std::fs::metadata(image.path()).unwrap().len() / 4_096;
    flip_page(&image.path(), pages - 1);
    let consent = Consent { loss: true, forget_sealed: false };
    let OpenError(error) = Store::open_with(&options(&image.path()), consent).unwrap_err();
    assert!(error.contains("is damaged"), "{error}");
    assert!(wal(&image).exists() && !image.directory.path().join("creel.db-wal.aside-1").exists());
}

#[test]
fn wal_moved_aside_is_reported() {
    let CrashImage { image, .. } = crashed();
    let aside = image.directory.path().join("creel.db-wal.aside-1");
    std::fs::rename(wal(&image), &aside).unwrap();
    let OpenError(error) = open(&image).unwrap_err();
    assert!(error.lines().nth(2).unwrap().contains("creel.db-wal.aside-1"), "{error}");
    std::fs::rename(&aside, wal(&image)).unwrap();
    assert_starts(&image, 10);
}

#[test]
fn clean_stop_waits_for_a_checkpoint() {
    let setup = Setup::new();
    let store = setup.open();
    keep(&setup, &store, 0..4);
    let shared = store.core.shared.clone();
    let alone = shared.wait_for_checkpoint();
    std::thread::scope(|scope| {
        let closing = scope.spawn(move || {
            tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .unwrap()
                .block_on(store.close(Duration::from_secs(10)));
        });
        std::thread::sleep(Duration::from_millis(100));
        assert!(!closing.is_finished());
        drop(alone);
    });
    assert!(std::fs::metadata(wal(&setup)).map_or(0, |wal| wal.len()) == 0);
}
