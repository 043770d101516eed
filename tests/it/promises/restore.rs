//! Copies, restores and other programs: starts that succeed, and starts that are rejected before
//! they lose or mix messages. Each row of the table in docs/restore.md has its test here.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::harness::app::Process;
use crate::harness::target::Target;
use crate::harness::{Builder, TestApp, needs, sign};

const LIMIT: Duration = Duration::from_secs(30);

fn shell(database: &Path, sql: &str) -> String {
    let output = Command::new("sqlite3").arg(database).arg(sql).output().unwrap();
    assert!(output.status.success(), "{sql}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn cp(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg(from).arg(to).status().unwrap().success());
}

fn wal(builder: &Builder) -> PathBuf {
    builder.path().join("creel.db-wal")
}

fn push(app: &TestApp, ids: std::ops::Range<u32>) {
    for id in ids {
        assert_eq!(app.send(&sign::github(&format!("id-{id}"), "{}")).status, 200);
    }
}

fn files(builder: &Builder) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = std::fs::read_dir(builder.path()).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_file()).map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

/// The four lines of a rejected start, which leaves the disk unchanged.
#[track_caller]
fn rejected(builder: &Builder) -> String {
    let before = files(builder);
    let output = builder.run(&["serve"]).failed();
    assert!(files(builder) == before, "the rejected start has changed the files: {output}");
    assert_eq!(output.lines().count(), 4, "{output}");
    let last = output.lines().last().unwrap();
    assert!(last.contains("creel serve --accept-loss"), "{output}");
    output
}

#[track_caller]
fn start_with(builder: &Builder, option: &str) -> Process {
    let mut command = builder.command();
    command.args(["serve", option]);
    let process = Process::spawn(command);
    process.log.wait_for("listening on http://", LIMIT).unwrap_or_else(|log| panic!("{log}"));
    process
}

#[track_caller]
fn stop(mut process: Process) {
    process.signal(Signal::TERM);
    assert!(process.wait(LIMIT).success());
}

#[track_caller]
fn assert_starts_with(builder: &Builder, messages: i64) {
    let app = builder.start();
    push(&app, 900..901);
    let builder = app.restart().stop();
    assert_eq!(builder.database().count("messages"), messages + 1);
    builder.database().assert_sound();
}

/// A service that is killed after ten messages, and a `copy` that `make` makes after the fifth.
fn crashed_with_copy(make: impl FnOnce(&Path, &Path)) -> (Builder, PathBuf) {
    let app = TestApp::github().start();
    push(&app, 0..5);
    let copy = app.path().join("copy");
    make(app.database().path(), &copy);
    push(&app, 5..10);
    (app.kill(), copy)
}

fn backup(database: &Path, copy: &Path) {
    shell(database, &format!(".backup '{}'", copy.display()));
}

fn vacuum(database: &Path, copy: &Path) {
    shell(database, &format!("VACUUM INTO '{}'", copy.display()));
}

#[test]
fn copy_over_crashed_database_with_wal_is_rejected() {
    if !needs("sqlite3") {
        return;
    }
    for make in [backup, vacuum] {
        for is_moved in [false, true] {
            let (builder, copy) = crashed_with_copy(make);
            match is_moved {
                false => cp(&copy, builder.database().path()),
                true => std::fs::rename(&copy, builder.database().path()).unwrap(),
            }
            let output = rejected(&builder);
            assert!(output.contains("creel.db-wal does not belong to"), "{output}");
            for arguments in [&["cleanup"][..], &["cleanup", "--confirm"]] {
                let output = builder.run(arguments).failed();
                assert!(output.contains("does not belong to"), "no command opens it either: {output}");
            }
            let process = start_with(&builder, "--accept-loss");
            process.log.wait_for("creel.db-wal.aside-1", LIMIT).unwrap();
            stop(process);
            assert!(builder.path().join("creel.db-wal.aside-1").exists());
            assert_starts_with(&builder, 5);
        }
    }
}

#[test]
fn copy_with_the_wal_removed_is_rejected_as_older() {
    if !needs("sqlite3") {
        return;
    }
    let (builder, copy) = crashed_with_copy(backup);
    cp(&copy, builder.database().path());
    std::fs::remove_file(wal(&builder)).unwrap();
    let output = rejected(&builder);
    assert!(
        output.contains("is older than") && output.contains("message 5") && output.contains("message 10"),
        "{output}"
    );
    stop(start_with(&builder, "--accept-loss"));
    assert_starts_with(&builder, 5);
}

#[test]
fn copy_of_stopped_database_with_later_wal_is_rejected() {
    let app = TestApp::github().start();
    push(&app, 0..5);
    let builder = app.stop();
    let copy = builder.path().join("copy");
    cp(builder.database().path(), &copy);
    let app = builder.start();
    push(&app, 5..10);
    let builder = app.kill();
    cp(&copy, builder.database().path());
    assert!(rejected(&builder).contains("does not belong to"));
    // The opposite case: the crashed files after a clean stop of the copy.
    std::fs::remove_file(wal(&builder)).unwrap();
    assert!(rejected(&builder).contains("is older than"));
}

#[test]
fn older_copy_after_a_clean_stop_is_rejected() {
    if !needs("sqlite3") {
        return;
    }
    let app = TestApp::github().start();
    push(&app, 0..5);
    let copy = app.path().join("copy");
    backup(app.database().path(), &copy);
    push(&app, 5..10);
    let builder = app.stop();
    std::fs::rename(&copy, builder.database().path()).unwrap();
    assert!(rejected(&builder).contains("is older than"));
}

#[test]
fn deleted_or_emptied_wal_after_a_crash_is_rejected() {
    for is_deleted in [true, false] {
        let app = TestApp::github().start();
        push(&app, 0..3);
        let builder = app.kill();
        match is_deleted {
            true => std::fs::remove_file(wal(&builder)).unwrap(),
            false => std::fs::write(wal(&builder), "").unwrap(),
        }
        let output = rejected(&builder);
        assert!(output.contains("is older than") && output.contains("message 3"), "{output}");
    }
}

#[test]
fn shell_that_opens_a_crashed_database_loses_nothing() {
    if !needs("sqlite3") {
        return;
    }
    let statements =
        ["SELECT count(*) FROM messages", "UPDATE messages SET event = 'github.seen' WHERE id = 2", "VACUUM"];
    for sql in statements {
        let app = TestApp::github().start();
        push(&app, 0..3);
        let builder = app.kill();
        shell(builder.database().path(), sql);
        assert!(!wal(&builder).exists(), "the shell has recovered the file and removed the WAL");
        assert_starts_with(&builder, 3);
    }
}

#[test]
fn commands_on_a_crashed_database_lose_nothing() {
    for arguments in [&["verify"][..], &["cleanup", "--confirm"], &["cleanup"]] {
        let app = TestApp::github().start();
        push(&app, 0..3);
        let builder = app.kill();
        builder.run(arguments).succeeded();
        assert_starts_with(&builder, 3);
    }
}

#[test]
fn directory_moved_after_a_crash_starts_normally() {
    let app = TestApp::github().start();
    push(&app, 0..3);
    let crashed = app.kill();
    let moved = TestApp::github();
    for name in ["creel.db", "creel.db-wal", "creel.db.lock", "creel.db.key"] {
        cp(&crashed.path().join(name), &moved.path().join(name));
    }
    assert_starts_with(&moved, 3);
}

#[test]
fn foreign_checkpoints_lose_nothing() {
    if !needs("sqlite3") {
        return;
    }
    let mut builder = TestApp::github().set("CREEL_CHECKPOINT", "off");
    for round in 0..3 {
        let app = builder.start();
        push(&app, round * 10..round * 10 + 3);
        shell(app.database().path(), "PRAGMA wal_checkpoint(TRUNCATE)");
        push(&app, round * 10 + 3..round * 10 + 6);
        builder = if round == 1 { app.stop() } else { app.kill() };
    }
    assert_starts_with(&builder, 18);
}

/// The situation with Litestream before its first checkpoint.
#[test]
fn kill_before_any_checkpoint_loses_nothing() {
    let builder = TestApp::github().set("CREEL_CHECKPOINT", "off");
    let app = builder.start();
    push(&app, 0..10);
    assert_starts_with(&app.kill(), 10);
    // A database without its lock file starts a new history.
    let builder = TestApp::github().set("CREEL_CHECKPOINT", "off");
    let app = builder.start();
    push(&app, 0..3);
    let builder = app.stop();
    std::fs::remove_file(builder.path().join("creel.db.lock")).unwrap();
    let app = builder.start();
    push(&app, 3..6);
    assert_starts_with(&app.kill(), 6);
}

#[test]
fn reader_during_the_first_start_loses_nothing() {
    let app = TestApp::github().start();
    push(&app, 0..3);
    let builder = app.stop();
    std::fs::remove_file(builder.path().join("creel.db.lock")).unwrap();
    let reader = builder.database().writer();
    reader.execute_batch("BEGIN; SELECT count(*) FROM messages").unwrap();
    let app = builder.start();
    push(&app, 3..6);
    let builder = app.kill();
    drop(reader);
    assert_starts_with(&builder, 6);
}

#[test]
fn read_only_commands_reject_a_foreign_wal() {
    if !needs("sqlite3") {
        return;
    }
    let (builder, copy) = crashed_with_copy(vacuum);
    cp(&copy, builder.database().path());
    let before = files(&builder);
    let output = builder.run(&["verify"]).failed();
    assert!(output.lines().count() == 4 && output.contains("does not belong to"), "{output}");
    assert!(builder.run(&["check"]).succeeded().contains("does not belong to"));
    assert!(files(&builder) == before, "nothing has changed");
}

#[test]
fn restored_copy_never_reuses_a_webhook_id() {
    if !needs("sqlite3") {
        return;
    }
    let target = Target::start();
    let builder = TestApp::github().set("CREEL_TARGET_APP_URL", target.url("/"));
    let app = builder.start();
    push(&app, 0..1);
    target.wait_for(1);
    // A copy on another machine has no lock file.
    let elsewhere = TestApp::github().set("CREEL_TARGET_APP_URL", target.url("/"));
    backup(app.database().path(), elsewhere.database().path());
    cp(&app.path().join("creel.db.key"), &elsewhere.path().join("creel.db.key"));
    push(&app, 1..2);
    target.wait_for(2);
    app.stop();
    elsewhere.database().change("UPDATE deliveries SET state = 'pending', finished_at = NULL");
    let restored = elsewhere.start();
    push(&restored, 2..3);
    let ids: Vec<String> =
        target.wait_for(4).iter().map(|request| request.header("webhook-id").unwrap().to_owned()).collect();
    assert_eq!(ids[2], ids[0], "a message that the copy has keeps its id");
    assert!(ids[3].ends_with("_2") && ids[3] != ids[1], "{ids:?}");
}

#[test]
fn database_encrypted_with_a_missing_key_is_rejected() {
    let app = TestApp::github().start();
    push(&app, 0..1);
    let builder = app.stop();
    let key = builder.path().join("creel.db.key");
    let secret = std::fs::read_to_string(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    for arguments in [&["serve"][..], &["cleanup"]] {
        let output = builder.run(arguments).failed();
        assert!(output.contains("creel.db.key is missing") && output.contains("--forget-sealed"), "{output}");
        assert!(!key.exists(), "no new key file");
    }
    for end in ["\n", "\r\n", " \n"] {
        std::fs::write(&key, format!("{secret}{end}")).unwrap();
        builder.start().stop();
    }
    let builder = builder.set("CREEL_KEY", format!("{secret}\n"));
    builder.start().stop();
    let output = builder.set("CREEL_KEY", "another key, and long enough for it").run(&["serve"]).failed();
    assert!(output.contains("under a key other than"), "{output}");
}

#[test]
fn truncated_key_file_reports_the_remedy() {
    let builder = TestApp::github().start().stop();
    let key = builder.path().join("creel.db.key");
    std::fs::write(&key, "").unwrap();
    let output = builder.run(&["serve", "--forget-sealed"]).failed();
    assert!(output.contains("is truncated") && output.contains("remove this file"), "{output}");
    std::fs::remove_file(&key).unwrap();
    stop(start_with(&builder, "--forget-sealed"));
}

#[test]
fn sealed_values_are_dropped_only_on_request() {
    let inbox = |builder: &Builder| {
        let app = builder.start();
        let text = app.process.stdout.wait_for("/webhooks/inbox/", LIMIT).unwrap();
        app.stop();
        text.rsplit('/').next().unwrap().to_owned()
    };
    let builder = TestApp::builder();
    let before = inbox(&builder);
    std::fs::remove_file(builder.path().join("creel.db.key")).unwrap();
    let process = start_with(&builder, "--forget-sealed");
    process.log.wait_for("the URL of the inbox", LIMIT).unwrap();
    stop(process);
    let after = inbox(&builder);
    assert_ne!(before, after);
    // With the correct key no value is dropped.
    stop(start_with(&builder, "--forget-sealed"));
    assert_eq!(inbox(&builder), after);
}

#[test]
fn files_are_private_to_their_owner_under_any_umask() {
    let builder = TestApp::github().set("CREEL_DATABASE", "deep/data/creel.db").wrapped(&[
        "sh",
        "-c",
        "umask 0; exec \"$0\" \"$@\"",
    ]);
    let app = builder.start();
    push(&app, 0..1);
    let mode = |path: &str| std::fs::metadata(app.path().join(path)).unwrap().mode() & 0o777;
    for directory in ["deep", "deep/data"] {
        assert_eq!(mode(directory), 0o700, "{directory}");
    }
    let mut seen = 0;
    for entry in std::fs::read_dir(app.path().join("deep/data")).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().mode() & 0o777, 0o600, "{entry:?}");
        seen += 1;
    }
    assert!(seen >= 5, "database, WAL, shared memory, lock, key: {seen}");
    assert!(!app.log().contains("has mode"), "{}", app.log());
}

#[test]
fn files_with_looser_modes_are_reported_and_left_unchanged() {
    let builder = TestApp::github().start().stop();
    let database = builder.database();
    std::fs::set_permissions(database.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::set_permissions(builder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let app = builder.start();
    let log = app.process.log.wait_for("creel.db has mode 0644", LIMIT).unwrap();
    assert!(log.contains("WARN") && log.contains("chmod 600"), "{log}");
    assert!(app.log().contains("has mode 0755"), "{}", app.log());
    let builder = app.stop();
    assert_eq!(std::fs::metadata(database.path()).unwrap().mode() & 0o777, 0o644);
    assert!(builder.run(&["check"]).succeeded().contains("creel.db has mode 0644"));
}
