//! The database or its WAL is unlinked, renamed or truncated under load.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::cycles;
use crate::harness::load::{Load, Sent, assert_nothing_lost};
use crate::harness::{TestApp, eventually};

/// Requests that begin this long after the event must not be acknowledged.
const DETECTION_TIME: Duration = Duration::from_millis(100);

struct Outcome {
    builder: crate::harness::Builder,
    sent: Vec<Sent>,
    log: String,
}

/// Applies `harm` to the files of the running service, and checks the invariants.
fn harmed(harm: impl FnOnce(&Path)) -> Outcome {
    let mut app = TestApp::github().start();
    let load = Load::start(app.address, 4);
    load.wait_for_more(200, Duration::from_secs(60));
    harm(app.database().path());
    let event = Instant::now();
    eventually("the service is not ready", Duration::from_secs(1), || !app.is_ready());
    // If the service continues, two seconds are enough to observe late acknowledgements.
    eventually("the service ends, or continues for too long", Duration::from_secs(10), || {
        app.process.has_ended().is_some() || event.elapsed() > Duration::from_secs(2)
    });
    let sent = load.finish();
    let late: Vec<&Sent> =
        sent.iter().filter(|sent| sent.begun > event + DETECTION_TIME && sent.is_acknowledged()).collect();
    assert!(late.is_empty(), "{} acknowledged after the event: {:?}", late.len(), late.first());
    let others =
        sent.iter().filter(|sent| sent.status.is_some_and(|status| !matches!(status, 200 | 503))).count();
    assert_eq!(others, 0, "only 200 and 503");
    let status = app.process.wait(Duration::from_secs(10));
    assert!(status.code().is_some_and(|code| code != 0), "ended with {status}");
    let log = app.log();
    let errors: Vec<&str> = log.lines().filter(|line| line.contains("ERROR")).collect();
    assert!(
        !errors.is_empty() && errors.len() <= 2 && !log.contains("panicked"),
        "one clear line: {errors:?}"
    );
    Outcome { builder: app.ended(), sent, log }
}

fn sibling_path(database: &Path, ending: &str) -> PathBuf {
    PathBuf::from(format!("{}{ending}", database.display()))
}

fn elsewhere(path: &Path) -> PathBuf {
    sibling_path(path, ".elsewhere")
}

#[test]
fn unlinked_database_loses_no_acknowledged_message() {
    let outcome = harmed(|database| std::fs::remove_file(database).unwrap());
    assert_nothing_lost(&outcome.builder.database(), &outcome.sent);
    outcome.builder.database().assert_sound();
    outcome.builder.start().stop();
}

#[test]
fn renamed_database_loses_no_acknowledged_message() {
    let outcome = harmed(|database| std::fs::rename(database, elsewhere(database)).unwrap());
    let database = outcome.builder.database();
    assert!(outcome.log.contains(database.path().file_name().unwrap().to_str().unwrap()), "{}", outcome.log);
    // The operator moves the file back, as the log advises.
    std::fs::rename(elsewhere(database.path()), database.path()).unwrap();
    assert_nothing_lost(&database, &outcome.sent);
    database.assert_sound();
    outcome.builder.start().stop();
}

#[test]
fn unlinked_wal_loses_no_acknowledged_message() {
    let outcome = harmed(|database| std::fs::remove_file(sibling_path(database, "-wal")).unwrap());
    assert_nothing_lost(&outcome.builder.database(), &outcome.sent);
    outcome.builder.database().assert_sound();
    outcome.builder.start().stop();
}

#[test]
fn renamed_wal_loses_no_acknowledged_message() {
    let outcome = harmed(|database| {
        std::fs::rename(sibling_path(database, "-wal"), sibling_path(database, "-old")).unwrap()
    });
    assert_nothing_lost(&outcome.builder.database(), &outcome.sent);
    outcome.builder.database().assert_sound();
    outcome.builder.start().stop();
}

#[test]
fn file_that_replaces_the_database_is_not_written() {
    let other = "another program's file".repeat(1000);
    let content = other.clone();
    let outcome = harmed(move |database| {
        std::fs::rename(database, elsewhere(database)).unwrap();
        std::fs::write(database, content).unwrap();
    });
    let database = outcome.builder.database();
    assert_eq!(std::fs::read_to_string(database.path()).unwrap(), other);
    std::fs::rename(elsewhere(database.path()), database.path()).unwrap();
    assert_nothing_lost(&database, &outcome.sent);
}

fn cut(path: &Path) {
    std::fs::File::options().write(true).open(path).unwrap().set_len(0).unwrap();
}

#[test]
fn truncated_database_is_detected() {
    // Truncates at random moments, including during a checkpoint.
    for _ in 0..cycles(4, 100) {
        harmed(cut);
    }
}

#[test]
fn truncated_wal_is_detected() {
    // Truncates at random moments, including while the writer appends after the old end.
    for _ in 0..cycles(4, 100) {
        harmed(|database| cut(&sibling_path(database, "-wal")));
    }
}
