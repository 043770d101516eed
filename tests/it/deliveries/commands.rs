//! Input of a command target, and the outcome of its exit code.

use std::os::unix::fs::PermissionsExt as _;

use super::{SOON, eventually_delivered, push};
use crate::harness::{Builder, TestApp, eventually};

fn script(builder: &Builder, name: &str, text: &str) -> String {
    let path = builder.path().join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

#[test]
fn command_gets_body_and_metadata_without_service_environment() {
    let builder = TestApp::github();
    let seen = script(&builder, "see", "env > seen.env.new; cat > seen.body; mv seen.env.new seen.env");
    let app = builder
        .set("CREEL_TARGET_SEE_EXEC", format!("{seen} 'two words'"))
        .set("CREEL_SOURCE_ACME_PROVIDER", "token")
        .set("CREEL_SOURCE_ACME_HEADER", "Acme-Token")
        .set("CREEL_SOURCE_ACME_SECRET", "a-secret-that-no-command-may-see")
        .start();
    let body = "{ \"ref\": \"refs/heads/main\",\n \"who\": \"Zo\u{eb}\" }";
    push(&app, "first", body);
    eventually_delivered(&app, 1);
    assert_eq!(std::fs::read_to_string(app.path().join("seen.body")).unwrap(), body);
    let environment = std::fs::read_to_string(app.path().join("seen.env")).unwrap();
    assert!(!environment.contains("CREEL") && !environment.contains("no-command-may-see"), "{environment}");
    for line in ["HOOK_EVENT=github.push", "HOOK_SOURCE=github", "HOOK_ATTEMPT=1", "HOOK_TARGET=see"] {
        assert!(environment.lines().any(|given| given == line), "{line} is not in\n{environment}");
    }
    let foreign = environment.lines().filter(|line| {
        !["HOOK_", "PATH=", "HOME=", "LANG=", "PWD=", "SHLVL=", "_=", "OLDPWD="]
            .iter()
            .any(|known| line.starts_with(known))
    });
    assert_eq!(foreign.collect::<Vec<_>>(), Vec::<&str>::new());
}

#[test]
fn failed_command_is_dead_immediately_with_its_output() {
    let builder = TestApp::github();
    let fails = script(&builder, "fails", "echo 'no such branch' >&2; exit 3");
    let app = builder.set("CREEL_TARGET_FAILS_EXEC", fails).start();
    push(&app, "first", "{}");
    let database = app.database();
    eventually("it is dead", SOON, || database.column::<String>("SELECT state FROM deliveries") == ["dead"]);
    assert_eq!(database.value::<i64>("SELECT status FROM attempts"), 3);
    assert!(database.value::<String>("SELECT excerpt FROM attempts").contains("no such branch"));
    assert_eq!(database.value::<i64>("SELECT count(*) FROM dead_letters"), 1);
}

#[test]
fn command_that_requests_a_retry_is_retried() {
    let builder = TestApp::github();
    let later = script(&builder, "later", "test -e ready && exit 0; touch ready; exit 75");
    let app = builder.set("CREEL_TARGET_LATER_EXEC", later).start();
    push(&app, "first", "{}");
    eventually_delivered(&app, 1);
    assert_eq!(app.database().column::<i64>("SELECT status FROM attempts ORDER BY number"), [75, 0]);
}
