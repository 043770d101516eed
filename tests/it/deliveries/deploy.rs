//! The deployment of docs/targets.md: a push to GitHub updates a repository.

use std::path::Path;
use std::process::Command;

use super::{SOON, push};
use crate::harness::{TestApp, eventually};

#[track_caller]
fn git(directory: &Path, arguments: &[&str]) {
    let mut command = Command::new("git");
    command.current_dir(directory).args(["-c", "user.name=A", "-c", "user.email=a@example.com"]);
    let output = command.args(arguments).output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn push_updates_a_real_repository_and_reports_it() {
    let directory = tempfile::tempdir().unwrap();
    let (origin, site) = (directory.path().join("origin"), directory.path().join("site"));
    std::fs::create_dir(&origin).unwrap();
    git(&origin, &["init", "--quiet", "--initial-branch=main"]);
    std::fs::write(origin.join("page"), "old").unwrap();
    git(&origin, &["add", "page"]);
    git(&origin, &["commit", "--quiet", "--message=first"]);
    git(directory.path(), &["clone", "--quiet", "origin", "site"]);

    let app = TestApp::github()
        .set("CREEL_TARGET_DEPLOY_EVENTS", "github.push")
        .set("CREEL_TARGET_DEPLOY_FILTER", "/ref=refs/heads/main")
        .set("CREEL_TARGET_DEPLOY_EXEC", format!("git -C '{}' pull --ff-only --quiet", site.display()))
        .start();
    std::fs::write(origin.join("page"), "new").unwrap();
    git(&origin, &["commit", "--quiet", "--all", "--message=second"]);

    push(&app, "other-branch", r#"{"ref":"refs/heads/draft"}"#);
    push(&app, "main", r#"{"ref":"refs/heads/main"}"#);
    eventually("the page is the new one", SOON, || {
        std::fs::read_to_string(site.join("page")).unwrap() == "new"
    });
    let database = app.database();
    eventually("it is recorded", SOON, || {
        database.column::<String>("SELECT state FROM deliveries") == ["delivered"]
    });
    let event: String = database.value(
        "SELECT messages.delivery_id FROM deliveries JOIN messages ON messages.id = deliveries.message_id",
    );
    assert_eq!(event, "main");
    assert_eq!(database.value::<i64>("SELECT status FROM attempts"), 0);
}
