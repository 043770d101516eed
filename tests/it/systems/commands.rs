//! Command targets in the real service.

use std::path::Path;
use std::time::Duration;

use crate::harness::{ADMIN_TOKEN, TestApp, eventually, sign};

const LIMIT: Duration = Duration::from_secs(20);

fn process_in(path: &Path) -> u32 {
    std::fs::read_to_string(path).unwrap().trim().parse().unwrap()
}

/// Whether a process still runs; a zombie has ended.
fn is_alive(process: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    !matches!(stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next()), None | Some('Z' | 'X'))
}

#[test]
fn command_gets_exact_body_without_service_environment() {
    let script = "cat > body; env > environment; ls -l /proc/self/fd > descriptors; touch done";
    let builder = TestApp::github()
        .set("CREEL_TARGET_DEPLOY_EXEC", format!("sh -c '{script}'"))
        .set("CREEL_TARGET_DEPLOY_EVENTS", "github.push")
        .set("SOME_PASSWORD", "hunter2");
    let app = builder.start();
    let body = "{ \"ref\":  \"refs/heads/main\" }";
    assert_eq!(app.send(&sign::github("a delivery", body)).status, 200);
    let file = |name: &str| app.path().join(name);
    eventually("the command has run", LIMIT, || file("done").exists());
    assert_eq!(std::fs::read_to_string(file("body")).unwrap(), body);
    let environment = std::fs::read_to_string(file("environment")).unwrap();
    for part in
        ["HOOK_EVENT=github.push\n", "HOOK_TYPE=push\n", "HOOK_ATTEMPT=1\n", "HOOK_TARGET=deploy\n", "PATH="]
    {
        assert!(environment.contains(part), "{part}: {environment}");
    }
    for part in ["CREEL", "hunter2", ADMIN_TOKEN, sign::SECRET] {
        assert!(!environment.contains(part), "{part}: {environment}");
    }
    let descriptors = std::fs::read_to_string(file("descriptors")).unwrap();
    for part in ["creel.db", "socket:", "eventpoll", "eventfd"] {
        assert!(!descriptors.contains(part), "{part}: {descriptors}");
    }
    let delivered = "SELECT count(*) FROM deliveries WHERE state = 'delivered'";
    eventually("the outcome is written", LIMIT, || app.database().value::<i64>(delivered) == 1);
}

#[test]
fn command_is_killed_at_stop_and_repeated_later() {
    let script = "sleep 1000 & echo $! > new; mv new process-$HOOK_ATTEMPT; wait";
    let builder = TestApp::github()
        .set("CREEL_TARGET_SLOW_EXEC", format!("sh -c '{script}'"))
        .set("CREEL_TARGET_SLOW_TIMEOUT", "15m");
    let app = builder.start();
    assert_eq!(app.send(&sign::github("one", "{}")).status, 200);
    let first = app.path().join("process-1");
    eventually("the command runs", LIMIT, || first.exists());
    let process = process_in(&first);
    let builder = app.stop();
    eventually("the command has exited", LIMIT, || !is_alive(process));
    let pending = "SELECT count(*) FROM deliveries WHERE state = 'pending'";
    assert_eq!(builder.database().value::<i64>(pending), 1);
    std::fs::remove_file(&first).unwrap();
    let app = builder.start();
    eventually("it runs again", LIMIT, || {
        std::fs::read_dir(app.path())
            .unwrap()
            .flatten()
            .any(|entry| entry.file_name().to_string_lossy().starts_with("process-"))
    });
    // A killed service would leave the command running.
    app.stop();
}
