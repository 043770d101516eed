//! What the command of a target can read of the service that started it, as the same user without privileges.

use std::os::unix::fs::chown;

use super::*;

const NOBODY: u32 = 65_534;

/// The service as an unprivileged user; tests as root change to one.
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

#[test]
fn unprivileged_service_notices_unlinked_database() {
    let mut app = unprivileged(TestApp::github()).start();
    push(&app, "1", "{}");
    std::fs::remove_file(app.database().path()).unwrap();
    eventually("the service is not ready", SOON, || !app.is_ready());
    assert_eq!(app.process.wait(SOON).code(), Some(74));
    assert_eq!(app.ended().database().count("messages"), 1, "the database was written again");
}
