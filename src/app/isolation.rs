//! Prevents other processes from reading the environment and memory of this one, which hold the
//! secrets of every source.

use rustix::process::{
    DumpableBehavior, Resource, Rlimit, dumpable_behavior, getrlimit, set_dumpable_behavior, setrlimit,
};

/// Makes this process unreadable for other processes of the same user (`/proc/<pid>/environ`,
/// `/proc/<pid>/mem`, debuggers), and disables core dumps. Commands of targets run as this user.
/// Child processes are not affected, except for their core dumps.
pub fn protect_secrets() {
    // `warn_if_readable` reports a failure once the log is available.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    // Only the soft limit is lowered, so that a command can enable its own core dumps.
    let core = getrlimit(Resource::Core);
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: core.maximum });
}

/// Logs a warning in sandboxes that do not support the protection.
pub(super) fn warn_if_readable() {
    if dumpable_behavior() != Ok(DumpableBehavior::NotDumpable) {
        log::warn!(
            "cannot hide memory and environment of this process: commands of targets and other processes of this user can read \
             its secrets"
        );
    }
}
