//! Deleted and damaged files of the index, while the service runs and while it is stopped. The
//! results stay complete, and the index is built again.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::{
    INDEX_LIMIT, assert_found, index_files, indexed, path_of_index, push_words, wait_until_indexed, words,
};
use crate::harness::database::Database;
use crate::harness::{TestApp, allow, eventually};

const MESSAGES: usize = 120;

#[derive(Clone, Copy, Debug)]
enum Damage {
    /// All files of the index.
    Deleted,
    /// Only the file itself, whose WAL stays.
    DeletedWithoutWal,
    Emptied,
    /// The last half is missing.
    Truncated,
    Overwritten,
    /// The first page is intact.
    OverwrittenAfterFirstPage,
}

const DAMAGES: [Damage; 6] = [
    Damage::Deleted,
    Damage::DeletedWithoutWal,
    Damage::Emptied,
    Damage::Truncated,
    Damage::Overwritten,
    Damage::OverwrittenAfterFirstPage,
];

/// Damages the files in place, so that a running service has the same file open.
fn damage(directory: &Path, damage: Damage) {
    let path = path_of_index(directory);
    match damage {
        Damage::Deleted => index_files(directory).iter().for_each(|file| std::fs::remove_file(file).unwrap()),
        Damage::DeletedWithoutWal => std::fs::remove_file(&path).unwrap(),
        Damage::Emptied => resize(&path, |_| 0),
        Damage::Truncated => resize(&path, |bytes| bytes / 2),
        Damage::Overwritten => overwrite(&path, 0),
        Damage::OverwrittenAfterFirstPage => overwrite(&path, 4_096),
    }
}

fn resize(path: &Path, length: impl Fn(u64) -> u64) {
    let file = File::options().write(true).open(path).unwrap();
    file.set_len(length(file.metadata().unwrap().len())).unwrap();
}

fn overwrite(path: &Path, from: u64) {
    let file = File::options().write(true).open(path).unwrap();
    let length = file.metadata().unwrap().len().saturating_sub(from);
    file.write_all_at(&vec![0xa5; usize::try_from(length).unwrap()], from).unwrap();
}

/// The index is complete, and its file has no damage.
#[track_caller]
fn assert_rebuilt(app: &TestApp, expected: &[(String, i64)]) {
    wait_until_indexed(app);
    assert_found(app, expected);
    Database::at(&path_of_index(app.path())).assert_sound();
}

#[test]
fn index_damaged_while_stopped_is_rebuilt() {
    for kind in DAMAGES {
        println!("{kind:?}");
        let (app, expected) = indexed(&TestApp::github(), "kiwi", MESSAGES);
        let builder = app.stop();
        damage(builder.path(), kind);
        let app = builder.start();
        assert_found(&app, &expected);
        assert_rebuilt(&app, &expected);
        app.stop().database().assert_sound();
    }
}

/// The WAL of a killed process has changes that the damaged file lacks.
#[test]
fn index_damaged_after_a_crash_is_rebuilt() {
    for kind in DAMAGES {
        println!("{kind:?}");
        let (app, expected) = indexed(&TestApp::github(), "kiwi", MESSAGES);
        let builder = app.kill();
        damage(builder.path(), kind);
        let app = builder.start();
        assert_found(&app, &expected);
        assert_rebuilt(&app, &expected);
    }
}

#[test]
fn index_damaged_while_the_service_runs_changes_no_result() {
    for kind in DAMAGES {
        println!("{kind:?}");
        let (app, mut expected) = indexed(&TestApp::github(), "kiwi", MESSAGES);
        damage(app.path(), kind);
        assert_found(&app, &expected);
        let more = words("plum", 20);
        expected.extend(more.iter().cloned().zip(push_words(&app, &more)));
        assert_found(&app, &expected);
        wait_until_indexed(&app);
        assert_found(&app, &expected);
        assert!(app.is_ready());
        // Damage that the process did not read, because its pages were cached, is found at the
        // start.
        let app = app.restart();
        assert_found(&app, &expected);
        assert_rebuilt(&app, &expected);
    }
}

#[test]
fn deleted_index_is_rebuilt_without_a_restart() {
    let (app, mut expected) = indexed(&TestApp::github(), "kiwi", MESSAGES);
    damage(app.path(), Damage::Deleted);
    let more = words("plum", 1);
    expected.extend(more.iter().cloned().zip(push_words(&app, &more)));
    let path = path_of_index(app.path());
    eventually("the file exists again", allow(INDEX_LIMIT), || path.exists());
    assert_rebuilt(&app, &expected);
}
