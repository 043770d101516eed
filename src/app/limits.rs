//! What the operating system grants, and what of it the connections may use.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

/// Connections to the address for operations alone.
pub const ADMIN_CONNECTIONS: usize = 32;
/// Kept for the database, the log, the runtime and outgoing requests.
const RESERVED_DESCRIPTORS: u64 = 64;
/// More would not be memory that a small machine has.
const MOST_CONNECTIONS: u64 = 10_000;
const SIGXFSZ: i32 = 25;

/// Raises the limit on descriptors as far as it goes, and says how many connections fit into it.
pub fn connections() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.unwrap_or(u64::MAX).min(MOST_CONNECTIONS + RESERVED_DESCRIPTORS);
    let current = limit.current.unwrap_or(u64::MAX);
    let raised = if current < wanted
        && setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum }).is_ok()
    {
        wanted
    } else {
        current
    };
    // With very few descriptors, half of them must do.
    let usable = raised.saturating_sub(RESERVED_DESCRIPTORS).max(raised / 2).min(MOST_CONNECTIONS);
    usize::try_from(usable).unwrap_or(usize::MAX)
}

/// A write beyond the limit on file sizes must fail with an error that the store can answer, not end the process.
pub fn survive_file_size_limit() {
    if let Err(error) = signal(SignalKind::from_raw(SIGXFSZ)) {
        log::warn!("SIGXFSZ is not handled, a limit on file sizes would end this process: {error}");
    }
}
