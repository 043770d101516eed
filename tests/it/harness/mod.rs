//! Shared parts of the tests: the running binary, the wire, signers, database rows, load and
//! traces.

pub mod app;
pub mod command;
pub mod database;
pub mod disk;
pub mod events;
pub mod load;
pub mod meta_api;
pub mod output;
pub mod relay;
pub mod sign;
pub mod target;
pub mod trace;
pub mod wire;

use std::path::Path;
use std::time::{Duration, Instant};

pub use app::{ADMIN_TOKEN, Builder, TestApp};
pub use wire::{Connection, Reply, Request};

/// Waits for a result without an exact deadline; fails with `what` after `limit`.
#[track_caller]
pub fn eventually(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The promised time limit, times ten in a build without optimisation, whose tests also run in
/// parallel.
pub fn allow(promised: Duration) -> Duration {
    if cfg!(debug_assertions) { promised * 10 } else { promised }
}

/// Whether a required tool or right is available. A test must not be skipped silently:
/// `CREEL_TEST_WITHOUT` has to name the missing one.
#[track_caller]
pub fn needs(what: &str) -> bool {
    let named = std::env::var("CREEL_TEST_WITHOUT").unwrap_or_default();
    if named.split([' ', ',']).any(|word| word == what) {
        return false;
    }
    let is_available = match what {
        "root" => rustix::process::geteuid().is_root(),
        tool => std::process::Command::new(tool).arg("-V").output().is_ok(),
    };
    assert!(is_available, "this test needs {what}; name it in CREEL_TEST_WITHOUT to go without");
    true
}

/// Every file below the directory that contains `needle`.
pub fn files_with(directory: &Path, needle: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            found.extend(files_with(&entry.path(), needle));
            continue;
        }
        let content = std::fs::read(entry.path()).unwrap_or_default();
        if content.windows(needle.len()).any(|window| window == needle.as_bytes()) {
            found.push(entry.path().display().to_string());
        }
    }
    found
}
