//! Access of a command target to the service that started it, as the same unprivileged user.

use std::os::unix::fs::chown;

use super::*;

const NOBODY: u32 = 65_534;

/// The service as an unprivileged user; tests that run as root switch to one.
fn unprivileged(builder: Builder) -> Builder {
    if !rustix::process::geteuid().is_root() {
        return builder;
    }
    chown(builder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    builder.wrapped(&["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"])
}

#[test]
fn command_cannot_read_environment_or_memory_of_service() {
    let script = "for file in environ mem maps auxv; do \
         { dd if=/proc/$PPID/$file bs=64 count=1 2>> errors && echo $file; } >> readable; done; \
         ls /proc/$PPID/fd >> readable 2>> errors; \
         grep '^Max core file size' /proc/$PPID/limits > limits; tr '\\0' '\\n' < /proc/self/environ > own; touch done";
    let app =
        unprivileged(TestApp::github()).set("CREEL_TARGET_LOOK_EXEC", format!("sh -c \"{script}\"")).start();
    push(&app, "1", "{}");
    eventually("the command has run", SOON, || app.path().join("done").exists());
    let read = |name: &str| std::fs::read_to_string(app.path().join(name)).unwrap();
    assert_eq!(read("readable"), "", "{}", read("errors"));
    assert_eq!(read("errors").matches("Permission denied").count(), 5, "{}", read("errors"));
    assert!(!read("own").contains("CREEL_"), "{}", read("own"));
    assert_eq!(read("limits").split_whitespace().nth(4), Some("0"), "{}", read("limits"));
    eventually_delivered(&app, 1);
}

/// The ids of the child processes of `parent`, including zombies.
fn children(parent: u32) -> Vec<u32> {
    let path = format!("/proc/{parent}/task/{parent}/children");
    let listed = std::fs::read_to_string(&path);
    listed.unwrap_or_else(|error| panic!("{path}: {error}")).split_whitespace().flat_map(str::parse).collect()
}

/// Runs the service as the first process, as in a container without an init process.
#[test]
fn first_process_collects_orphans_of_commands() {
    let mut wrapper = vec!["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];
    if !rustix::process::geteuid().is_root() {
        wrapper.extend(["--user", "--map-root-user"]);
    }
    let script =
        "setsid sh -c 'sleep 0.2; touch orphan-ended' < /dev/null > /dev/null 2>&1 & echo $$ > own-id";
    let app = TestApp::github()
        .set("CREEL_TARGET_LEAVE_EXEC", format!("sh -c \"{script}\""))
        .wrapped(&wrapper)
        .start();
    let service = children(app.process.id())[0];
    for number in 1..=5 {
        push(&app, &number.to_string(), "{}");
        eventually_delivered(&app, number);
        eventually("the orphan has ended", SOON, || app.path().join("orphan-ended").exists());
        std::fs::remove_file(app.path().join("orphan-ended")).unwrap();
    }
    let threads = || std::fs::read_dir(format!("/proc/{service}/task")).unwrap().flatten();
    eventually("no process remains", SOON, || {
        threads().all(|thread| {
            std::fs::read_to_string(thread.path().join("children")).is_ok_and(|ids| ids.is_empty())
        })
    });
}

#[test]
fn unprivileged_service_notices_unlinked_database() {
    let mut app = unprivileged(TestApp::github()).start();
    push(&app, "1", "{}");
    std::fs::remove_file(app.database().path()).unwrap();
    eventually("the service is not ready", SOON, || !app.is_ready());
    assert_eq!(app.process.wait(SOON).code(), Some(74));
    assert_eq!(app.ended().database().count("messages"), 1, "the database was written again");
}
