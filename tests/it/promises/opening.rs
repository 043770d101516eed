//! The files that the service opens, and those that it rejects with a clear message.

use std::time::Duration;

use rusqlite::Connection;

use crate::harness::{Builder, TestApp, sign};

const START_LIMIT: Duration = Duration::from_secs(20);

/// The error output of a service that does not start.
#[track_caller]
fn start_error(builder: &Builder) -> String {
    let mut process = builder.spawn();
    let status = process.wait(START_LIMIT);
    let log = process.log.whole(START_LIMIT);
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(!log.contains("listening on"), "{log}");
    assert!(log.contains("creel: ") && !log.contains("panicked"), "{log}");
    log
}

#[test]
fn second_instance_on_the_same_file_does_not_start() {
    let app = TestApp::github().start();
    let second = TestApp::github().next_to(&app);
    let output = start_error(&second);
    assert!(output.contains("creel.db"), "{output}");
    assert!(output.contains(&app.process.id().to_string()) || output.contains("another"), "{output}");
    assert_eq!(app.send(&sign::github("1", "{}")).status, 200);
    app.kill();
    let app = second.start();
    assert_eq!(app.database().count("messages"), 1, "a killed instance leaves no lock");
}

#[test]
fn first_start_never_conflicts_with_itself() {
    // Parallel starts interrupt each other's threads at unusual moments.
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..12).for_each(|_| drop(TestApp::github().start().kill())));
        }
    });
}

#[test]
fn second_instance_on_another_file_name_does_not_start() {
    let app = TestApp::github().start();
    let elsewhere = TestApp::github();
    std::os::unix::fs::symlink(app.database().path(), elsewhere.path().join("creel.db")).unwrap();
    start_error(&elsewhere);
    assert_eq!(app.send(&sign::github("1", "{}")).status, 200);
}

fn with_file(content: impl FnOnce(&std::path::Path)) -> Builder {
    let builder = TestApp::github();
    content(&builder.path().join("creel.db"));
    builder
}

#[track_caller]
fn assert_rejected_and_untouched(builder: &Builder) -> String {
    let file = builder.path().join("creel.db");
    let before = std::fs::read(&file).unwrap();
    let output = start_error(builder);
    assert!(std::fs::read(&file).unwrap() == before, "the file was changed");
    output
}

#[test]
fn database_of_another_program_is_rejected_unchanged() {
    let builder = with_file(|file| {
        let theirs = Connection::open(file).unwrap();
        theirs
            .execute_batch(
                "CREATE TABLE theirs (a); INSERT INTO theirs VALUES (1); PRAGMA application_id = 77",
            )
            .unwrap();
    });
    assert_rejected_and_untouched(&builder);
}

#[test]
fn database_with_tables_but_no_mark_is_rejected_unchanged() {
    let builder = with_file(|file| {
        Connection::open(file)
            .unwrap()
            .execute_batch("CREATE TABLE messages (id INTEGER PRIMARY KEY)")
            .unwrap();
    });
    assert_rejected_and_untouched(&builder);
}

#[test]
fn file_that_is_not_a_database_is_rejected_unchanged() {
    let builder =
        with_file(|file| std::fs::write(file, "holiday pictures, please keep".repeat(1000)).unwrap());
    assert_rejected_and_untouched(&builder);
}

#[test]
fn database_of_a_newer_version_is_rejected() {
    let builder = TestApp::github().start().stop();
    builder.database().writer().execute_batch("PRAGMA user_version = 9999").unwrap();
    let output = start_error(&builder);
    assert!(output.contains("newer") && output.contains("9999"), "{output}");
}

#[test]
fn uncreatable_directory_is_reported() {
    let builder = TestApp::github();
    std::fs::write(builder.path().join("file"), "").unwrap();
    let output = start_error(&builder.set("CREEL_DATABASE", "file/creel.db"));
    assert!(output.contains("file/creel.db") || output.contains("file"), "{output}");
}

#[test]
fn address_in_use_is_reported() {
    let app = TestApp::github().start();
    let output = start_error(&TestApp::github().set("CREEL_LISTEN", app.address.to_string()));
    assert!(output.contains(&app.address.to_string()), "{output}");
}

#[test]
fn database_file_has_the_documented_format() {
    let app = TestApp::github().start();
    assert_eq!(app.send(&sign::github("1", "{}")).status, 200);
    let builder = app.stop();
    let database = builder.database();
    assert_eq!(database.value::<String>("PRAGMA journal_mode"), "wal");
    assert_eq!(database.value::<i64>("PRAGMA auto_vacuum"), 2, "incremental");
    assert_ne!(database.value::<i64>("PRAGMA application_id"), 0);
    assert_ne!(database.value::<i64>("PRAGMA user_version"), 0);
    let loose: Vec<String> =
        database.column("SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND strict = 0 AND name NOT LIKE 'sqlite_%'");
    assert!(loose.is_empty(), "not STRICT: {loose:?}");
    let undescribed: Vec<String> = database.column("SELECT name FROM sqlite_schema WHERE type = 'table' AND sql NOT LIKE '%--%' AND name NOT LIKE 'sqlite_%'");
    assert!(undescribed.is_empty(), "without comments: {undescribed:?}");
}

#[test]
fn key_file_is_readable_only_by_its_owner() {
    use std::os::unix::fs::PermissionsExt;
    let app = TestApp::github().start();
    let keys: Vec<_> = std::fs::read_dir(app.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "key"))
        .collect();
    assert_eq!(keys.len(), 1, "a key file next to the database");
    assert_eq!(std::fs::metadata(&keys[0]).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn reading_with_the_shell_during_operation_is_safe() {
    if !crate::harness::needs("sqlite3") {
        return;
    }
    let app = TestApp::github().start();
    let load = crate::harness::load::Load::start(app.address, 2);
    let mut highest = 0;
    for _ in 0..10 {
        let shell = std::process::Command::new("sqlite3")
            .arg("-readonly")
            .arg(app.database().path())
            .arg("SELECT count(*) FROM messages")
            .output()
            .unwrap();
        let count: i64 =
            String::from_utf8_lossy(&shell.stdout).trim().parse().unwrap_or_else(|_| panic!("{shell:?}"));
        assert!(count >= highest);
        highest = count;
        load.wait_for_more(5, Duration::from_secs(20));
    }
    let sent = load.finish();
    assert!(highest > 0 && sent.iter().all(|sent| sent.is_acknowledged()), "a reader delays no client");
    let builder = app.stop();
    crate::harness::load::assert_nothing_lost(&builder.database(), &sent);
}
