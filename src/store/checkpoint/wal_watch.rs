//! Detects readers that prevent a reset of the WAL, e.g. an sqlite3 shell with an open transaction
//! or a stuck backup, and reports their processes and the time for which they have blocked it.
//!
//! Never opens a file of the database: closing it would drop SQLite's locks. `/proc/locks` shows
//! the same locks from outside.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// Time after which a reader is reported. Shorter reads are normal, e.g. a list or the backup of a
/// small database.
const MIN_PIN_TIME: Duration = Duration::from_secs(10);
/// Interval between log lines about the same pin (see `Pin`).
const PIN_LOG_INTERVAL: Duration = Duration::from_secs(600);
/// Bytes of the shared memory that readers lock: SQLite's `WAL_READ_LOCK(0)` to `WAL_READ_LOCK(4)`.
const FIRST_READ_LOCK: u64 = 123;
const LAST_READ_LOCK: u64 = 127;
const MAX_NAMED: usize = 3;

/// The WAL after a checkpoint.
#[derive(Clone, Copy, Debug)]
pub struct WalState {
    pub frames: i32,
    /// Frames that are also in the database.
    pub copied: i32,
    /// Whether a reader blocked the last reset, which is possible even if all frames are copied.
    pub is_reset_blocked: bool,
}

/// An event to log, with the duration of the pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    Pinned(Duration),
    Released(Duration),
}

/// Tracks the current pin, and decides when to log it.
#[derive(Debug, Default)]
pub struct WalWatch {
    pin: Option<Pin>,
}

/// A period in which readers prevent a reset of the WAL.
#[derive(Debug)]
struct Pin {
    since: Instant,
    copied: i32,
    logged: Option<Instant>,
}

impl WalWatch {
    /// Whether a reader holds the WAL now, even briefly. If so, the WAL must be checked again soon.
    pub fn is_held(&self) -> bool {
        self.pin.is_some()
    }

    /// Returns the duration of the current pin, once it was logged.
    pub fn pinned_for(&self, now: Instant) -> Option<Duration> {
        self.pin.as_ref().filter(|pin| pin.logged.is_some()).map(|pin| now - pin.since)
    }

    pub fn observe(&mut self, now: Instant, wal: WalState) -> Option<Notice> {
        if wal.copied >= wal.frames && !wal.is_reset_blocked {
            let pin = self.pin.take().filter(|pin| pin.logged.is_some())?;
            return Some(Notice::Released(now - pin.since));
        }
        let pin = self.pin.get_or_insert(Pin { since: now, copied: wal.copied, logged: None });
        // More frames were copied since the last check, so these are short-lived readers, not one
        // pin.
        if wal.copied != pin.copied && !wal.is_reset_blocked && pin.logged.is_none() {
            pin.since = now;
        }
        pin.copied = wal.copied;
        let is_due = pin.logged.is_none_or(|at| now - at >= PIN_LOG_INTERVAL);
        if now - pin.since < MIN_PIN_TIME || !is_due {
            return None;
        }
        pin.logged = Some(now);
        Some(Notice::Pinned(now - pin.since))
    }
}

/// Lists the other processes that currently read the database, for the log.
pub fn readers(database: &Path) -> String {
    let mut shared_memory = database.as_os_str().to_owned();
    shared_memory.push("-shm");
    let inode = std::fs::metadata(&shared_memory).map(|metadata| metadata.ino());
    let locks = std::fs::read_to_string("/proc/locks");
    let (Ok(inode), Ok(locks)) = (inode, locks) else { return unknown_reader() };
    let named = readers_in(&locks, inode, std::process::id()).into_iter().map(|process| {
        let name = std::fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
        format!("{} (process {process})", name.trim_end())
    });
    let named: Vec<String> = named.take(MAX_NAMED).collect();
    if named.is_empty() { unknown_reader() } else { named.join(", ") }
}

fn unknown_reader() -> String {
    "an unknown process (/proc/locks does not show it); look for an sqlite3 shell with an open transaction, a backup, or another \
     container that has the file open"
        .to_owned()
}

/// Returns the other processes in the text of `/proc/locks` that hold a read lock of SQLite on the
/// shared-memory file.
fn readers_in(locks: &str, inode: u64, this_process: u32) -> Vec<u32> {
    let mut found: Vec<u32> = locks.lines().filter_map(|line| read_mark_of(line, inode)).collect();
    found.sort_unstable();
    found.dedup();
    found.retain(|process| *process != this_process && *process != 0);
    found
}

/// Parses `1: POSIX  ADVISORY  READ 4711 fe:00:5539793 123 123`; adjacent locks of one process
/// appear as one.
fn read_mark_of(line: &str, inode: u64) -> Option<u32> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [_, "POSIX", _, "READ", process, file, first, last] = fields[..] else { return None };
    if file.rsplit(':').next()?.parse() != Ok(inode) {
        return None;
    }
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().unwrap_or(u64::MAX));
    (first <= LAST_READ_LOCK && last >= FIRST_READ_LOCK).then(|| process.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn held(copied: i32) -> WalState {
        WalState { frames: 1_000, copied, is_reset_blocked: false }
    }

    #[test]
    fn pin_is_logged_at_its_start_rarely_and_at_its_end() {
        let (mut watch, start) = (WalWatch::default(), Instant::now());
        let mut notices = Vec::new();
        for second in 0..700 {
            let wal = if second < 650 { held(7) } else { held(1_000) };
            if let Some(notice) = watch.observe(start + SECOND * second, wal) {
                notices.push(notice);
            }
        }
        let expected =
            [Notice::Pinned(SECOND * 10), Notice::Pinned(SECOND * 610), Notice::Released(SECOND * 650)];
        assert_eq!(notices, expected);
        assert!(!watch.is_held());
    }

    #[test]
    fn short_lived_readers_do_not_count_as_pin() {
        let (mut watch, start) = (WalWatch::default(), Instant::now());
        for second in 0..100 {
            let wal = held(i32::try_from(second / 5).unwrap());
            assert_eq!(watch.observe(start + SECOND * second, wal), None, "{second}");
        }
        assert_eq!(
            watch.observe(start + SECOND * 100, held(1_000)),
            None,
            "the end of an unlogged pin is not reported"
        );
    }

    #[test]
    fn readers_that_overlap_without_gap_are_a_pin() {
        let (mut watch, start) = (WalWatch::default(), Instant::now());
        let wal = |second: u32| WalState { is_reset_blocked: true, ..held(i32::try_from(second).unwrap()) };
        let notices: Vec<Notice> =
            (0..20).filter_map(|second| watch.observe(start + SECOND * second, wal(second))).collect();
        assert_eq!(notices, [Notice::Pinned(SECOND * 10)]);
        assert_eq!(watch.pinned_for(start + SECOND * 19), Some(SECOND * 19));
    }

    #[test]
    fn readers_are_read_from_table_of_locks() {
        let locks = "1: POSIX  ADVISORY  READ 4711 fe:00:5539793 123 123\n\
             2: POSIX  ADVISORY  READ 4712 fe:00:5539793 127 128\n\
             3: POSIX  ADVISORY  READ 4713 fe:00:5539793 128 128\n\
             4: POSIX  ADVISORY  WRITE 4714 fe:00:5539793 120 120\n\
             5: POSIX  ADVISORY  READ 4715 fe:00:1 123 123\n\
             6: FLOCK  ADVISORY  READ 4716 fe:00:5539793 0 EOF\n\
             7: POSIX  ADVISORY  READ 42 fe:00:5539793 124 124\n\
             8: POSIX  ADVISORY  READ 0 fe:00:5539793 124 124\n\
             9: -> POSIX  ADVISORY  READ 4717 fe:00:5539793 124 124\n\
             10: POSIX  ADVISORY  READ 4711 fe:00:5539793 125 125\n";
        assert_eq!(readers_in(locks, 5_539_793, 42), [4_711, 4_712]);
    }
}
