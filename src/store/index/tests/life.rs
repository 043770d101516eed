//! The file of the index: its start, its damage, and its generations.

use crate::store::index::file;

use super::*;

#[test]
fn index_continues_after_a_restart() {
    let setup = Setup::new();
    let store = open(&setup, &generated(examples(), 300));
    wait(&setup, &store);
    let before = status(&setup, &store);
    setup.close(store);
    let store = open_with_index(&setup);
    wait(&setup, &store);
    let after = status(&setup, &store);
    assert_eq!((after.messages, after.generations), (before.messages, before.generations));
    assert_eq!(store.stats().search.unwrap().indexed_total, 0);
    setup.close(store);
}

#[test]
fn deleted_or_damaged_file_is_rebuilt() {
    let setup = Setup::new();
    let store = open(&setup, &generated(examples(), 300));
    wait(&setup, &store);
    let path = setup.directory.path().join("creel.db.search");
    let expected = found(&setup, &store, "order", Direction::NewestFirst, 50).0;
    assert!(!expected.is_empty());
    let damages: [fn(&std::path::Path); 2] = [
        |path| file::remove(path),
        |path| std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(0).unwrap(),
    ];
    for damage in damages {
        let total = store.stats().search.unwrap().indexed_total;
        damage(&path);
        assert_eq!(found(&setup, &store, "order", Direction::NewestFirst, 50).0, expected);
        let deadline = Instant::now() + Duration::from_secs(60);
        while store.stats().search.unwrap().indexed_total < total + 300 {
            assert!(Instant::now() < deadline, "the index is not rebuilt");
            std::thread::sleep(Duration::from_millis(5));
        }
        wait(&setup, &store);
        assert_eq!(found(&setup, &store, "order", Direction::NewestFirst, 50).0, expected);
    }
    setup.close(store);
}

#[test]
fn unfit_file_is_replaced_at_the_start() {
    let setup = Setup::new();
    let store = open(&setup, &generated(examples(), 200));
    wait(&setup, &store);
    let expected = found(&setup, &store, "order", Direction::NewestFirst, 50).0;
    setup.close(store);
    let path = setup.directory.path().join("creel.db.search");
    let index = |sql: &str| Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    let damages: [&dyn Fn(); 4] = [
        &|| std::fs::write(&path, "no database at all, but a text of some length").unwrap(),
        &|| index("UPDATE state SET value = 'other' WHERE name = 'database'"),
        &|| index("UPDATE state SET value = '0' WHERE name = 'version'"),
        &|| index("UPDATE generations SET last_id = 9999 WHERE number = 1"),
    ];
    for damage in damages {
        damage();
        let store = open_with_index(&setup);
        wait(&setup, &store);
        assert_eq!(store.stats().search.unwrap().indexed_total, 200);
        assert_eq!(found(&setup, &store, "order", Direction::NewestFirst, 50).0, expected);
        setup.close(store);
    }
}

#[test]
fn index_of_deleted_messages_is_dropped() {
    let setup = Setup::new();
    let store = open(&setup, &generated(examples(), 1_000));
    wait(&setup, &store);
    let before = status(&setup, &store);
    let delete = |sql: &str| crate::store::test_support::change(&setup.path(), sql);
    // Few are left in the middle, none at the start.
    delete("DELETE FROM messages WHERE id < 300 OR id BETWEEN 400 AND 800 AND id % 40 <> 0");
    wait_until(&setup, &store, |status| status.lag_messages == 0 && status.messages < before.messages - 500);
    let left = 1_000 - 299 - 401 + 11;
    assert_eq!(count(&setup, &store, "source:shop,github,emitted"), left);
    delete("DELETE FROM messages");
    wait_until(&setup, &store, |status| status.generations == 0 && status.messages == 0);
    assert!(status(&setup, &store).bytes < before.bytes);
    setup.keep(&store, with_id("new", r#"{"word":"afterwards"}"#)).unwrap();
    wait(&setup, &store);
    assert_eq!(count(&setup, &store, "afterwards"), 1);
    setup.close(store);
}

#[test]
fn index_without_a_setting_is_deleted() {
    let setup = Setup::new();
    let store = open(&setup, &generated(examples(), 10));
    wait(&setup, &store);
    setup.close(store);
    let path = setup.directory.path().join("creel.db.search");
    assert!(path.exists());
    let store = setup.open();
    assert!(!path.exists());
    assert!(store.reads().index_status(MessageId::START).is_none());
    setup.close(store);
}

#[test]
fn dropped_words_are_not_in_the_file() {
    let setup = Setup::new();
    let store = open(&setup, &[]);
    let word = "qzxwvjk";
    for number in 0..200 {
        let body = format!(r#"{{"word":"{word}{number:03}pqrstu"}}"#);
        setup.keep(&store, with_id(&number.to_string(), &body)).unwrap();
    }
    wait(&setup, &store);
    let holds = |end: &str| {
        let read =
            |suffix: &str| std::fs::read(setup.directory.path().join(format!("creel.db.search{suffix}")));
        ["", "-wal"]
            .iter()
            .filter_map(|suffix| read(suffix).ok())
            .any(|bytes| memchr::memmem::find(&bytes, end.as_bytes()).is_some())
    };
    // Words are stored without the beginning that they share with the word before.
    wait_until(&setup, &store, |_| holds("pqrstu"));
    crate::store::test_support::change(&setup.path(), "DELETE FROM messages");
    wait_until(&setup, &store, |status| status.generations == 0 && !holds("pqrstu"));
    setup.close(store);
}
