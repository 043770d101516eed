//! Limits what other processes can read of this one: its environment and memory hold the secrets of every source.

use rustix::process::{
    DumpableBehavior, Resource, Rlimit, dumpable_behavior, getrlimit, set_dumpable_behavior, setrlimit,
};

/// Makes this process unreadable for others of the same user (`/proc/<pid>/environ`, `/proc/<pid>/mem`, debuggers), and turns
/// core dumps off. Commands of targets run as this user. A program that this process starts is not affected, except for
/// its core dumps.
pub fn protect_secrets() {
    // `warn_if_readable` reports a failure once there is a log.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    // The hard limit stays, so that a command can allow its own core dumps again.
    let core = getrlimit(Resource::Core);
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: core.maximum });
}

/// Some sandboxes do not support it.
pub(super) fn warn_if_readable() {
    if dumpable_behavior() != Ok(DumpableBehavior::NotDumpable) {
        log::warn!(
            "cannot hide memory and environment of this process: commands of targets and other processes of this user can read \
             its secrets"
        );
    }
}
