//! An index next to another state of the database: a restored backup, an older index, the index of
//! another database.

use std::path::Path;

use super::{
    assert_found, index_files, indexed, path_of_index, push_words, search, wait_until_indexed, words,
};
use crate::harness::{Builder, TestApp};

const MESSAGES: usize = 30;

/// Ways to start with an older copy of the database.
#[derive(Clone, Copy, Debug)]
enum Restore {
    /// The lock file, which shows that the copy is older, exists.
    AcceptedLoss,
    /// As on another machine.
    WithoutLockFile,
}

/// Starts the service with the copy as its database.
fn restore(copy: &Path, builder: &Builder, way: Restore) -> TestApp {
    std::fs::copy(copy, builder.database().path()).unwrap();
    match way {
        Restore::AcceptedLoss => {
            builder.clone().wrapped(&["sh", "-c", "exec \"$0\" serve --accept-loss"]).start()
        }
        Restore::WithoutLockFile => {
            std::fs::remove_file(builder.path().join("creel.db.lock")).unwrap();
            builder.start()
        }
    }
}

/// The messages after the restore have other words than the lost ones, and may have their ids.
#[test]
fn restored_database_next_to_newer_index_has_no_stale_hits() {
    for way in [Restore::AcceptedLoss, Restore::WithoutLockFile] {
        println!("{way:?}");
        let (app, mut expected) = indexed(&TestApp::github(), "kiwi", MESSAGES);
        let builder = app.stop();
        let copy = builder.path().join("copy");
        std::fs::copy(builder.database().path(), &copy).unwrap();
        let app = builder.start();
        let lost = words("plum", MESSAGES);
        let lost_ids = push_words(&app, &lost);
        wait_until_indexed(&app);
        let builder = app.stop();

        let app = restore(&copy, &builder, way);
        let assert_lost = |app: &TestApp| {
            for word in &lost {
                assert!(search(app, word).is_empty(), "{word}");
            }
        };
        assert_lost(&app);
        let new = words("pear", MESSAGES);
        let new_ids = push_words(&app, &new);
        // Without the lock file, the ids of lost messages are not known.
        let has_same_ids = matches!(way, Restore::WithoutLockFile);
        assert_eq!(new_ids == lost_ids, has_same_ids, "{way:?}: {new_ids:?}");
        expected.extend(new.into_iter().zip(new_ids));
        assert_lost(&app);
        assert_found(&app, &expected);
        let status = wait_until_indexed(&app);
        assert_eq!(status["messages"], expected.len(), "{status}");
        assert_lost(&app);
        assert_found(&app, &expected);
        // The same holds for the next process.
        app.stop();
        let app = builder.start();
        wait_until_indexed(&app);
        assert_lost(&app);
        assert_found(&app, &expected);
    }
}

/// The ids of the restored database pass those of the index before the service starts again.
#[test]
fn restored_database_with_as_many_new_messages_has_no_stale_hits() {
    let (app, mut expected) = indexed(&TestApp::github(), "kiwi", MESSAGES);
    let builder = app.stop();
    let copy = builder.path().join("copy");
    std::fs::copy(builder.database().path(), &copy).unwrap();
    let app = builder.start();
    let lost = words("plum", MESSAGES);
    push_words(&app, &lost);
    wait_until_indexed(&app);
    let builder = app.stop();
    // The copy receives messages elsewhere, and its files return next to the old index.
    let elsewhere = TestApp::github();
    std::fs::copy(&copy, elsewhere.database().path()).unwrap();
    std::fs::copy(builder.path().join("creel.db.key"), elsewhere.path().join("creel.db.key")).unwrap();
    let app = elsewhere.start();
    let new = words("pear", 2 * MESSAGES);
    expected.extend(new.iter().cloned().zip(push_words(&app, &new)));
    let elsewhere = app.stop();
    for name in ["creel.db", "creel.db.lock"] {
        std::fs::copy(elsewhere.path().join(name), builder.path().join(name)).unwrap();
    }
    let app = builder.start();
    for word in &lost {
        assert!(search(&app, word).is_empty(), "{word}");
    }
    assert_found(&app, &expected);
    let status = wait_until_indexed(&app);
    assert_eq!(status["messages"], expected.len(), "{status}");
    assert_found(&app, &expected);
}

#[test]
fn older_index_next_to_newer_database_catches_up() {
    let (app, mut expected) = indexed(&TestApp::github(), "kiwi", MESSAGES);
    let builder = app.stop();
    let copy = builder.path().join("copy");
    std::fs::copy(path_of_index(builder.path()), &copy).unwrap();
    let app = builder.start();
    let more = words("plum", MESSAGES);
    expected.extend(more.iter().cloned().zip(push_words(&app, &more)));
    wait_until_indexed(&app);
    let builder = app.stop();
    index_files(builder.path()).iter().for_each(|file| std::fs::remove_file(file).unwrap());
    std::fs::copy(&copy, path_of_index(builder.path())).unwrap();
    let app = builder.start();
    assert_found(&app, &expected);
    let status = wait_until_indexed(&app);
    assert_eq!(status["messages"], expected.len(), "{status}");
    assert_found(&app, &expected);
}

#[test]
fn index_of_another_database_is_rebuilt() {
    let (other, foreign) = indexed(&TestApp::github(), "plum", MESSAGES);
    let other = other.stop();
    let (app, expected) = indexed(&TestApp::github(), "kiwi", MESSAGES);
    let builder = app.stop();
    index_files(builder.path()).iter().for_each(|file| std::fs::remove_file(file).unwrap());
    std::fs::copy(path_of_index(other.path()), path_of_index(builder.path())).unwrap();
    let app = builder.start();
    let assert_results = || {
        assert_found(&app, &expected);
        for (word, _) in &foreign {
            assert!(search(&app, word).is_empty(), "{word}");
        }
    };
    assert_results();
    wait_until_indexed(&app);
    assert_results();
}
