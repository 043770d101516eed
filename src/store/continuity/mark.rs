//! The mark that a running instance keeps in `creel.db.lock`: the state of the database after the
//! last commit.
//!
//! It is written after each commit, but not synced each time, so it can be older than the database
//! but never newer. Two slots are written in turn, each with a checksum: a torn write leaves the
//! previous one intact.

use std::fmt::Write as _;
use std::fs::File;
use std::os::unix::fs::FileExt as _;

use crate::store::continuity::ledger::Ledger;
use crate::store::continuity::wal::Salts;

/// Length of the first line, with the process id.
pub const OWNER_BYTES: usize = 32;
/// Offsets of the slots, each within one sector.
const SLOTS: [u64; 2] = [OWNER_BYTES as u64, 512];
const SLOT_BYTES: usize = 320;
const FILE_BYTES: u64 = 832;

/// State of the database, and the link between its file and its WAL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Number of the write. If both slots are valid, the one with the higher number applies.
    pub number: u64,
    /// Whether the instance stopped cleanly.
    pub is_clean: bool,
    pub ledger: Ledger,
    /// Minimum number of commits in the database file without its WAL.
    pub copied: i64,
    /// `None` for an empty WAL, or if `header` could not be read.
    pub wal: Option<Salts>,
    /// Digest of the first bytes of the database file, computed when the WAL was started; 0 if they
    /// could not be read.
    pub header: u64,
    pub inode: u64,
}

impl Mark {
    /// Returns the newest mark in a lock file; `None` if there is no mark.
    pub fn read(file: &File) -> Option<Self> {
        let read = |at: u64| {
            let mut slot = [0; SLOT_BYTES];
            file.read_exact_at(&mut slot, at).ok()?;
            Self::from_text(std::str::from_utf8(&slot).ok()?.trim_end())
        };
        SLOTS.into_iter().filter_map(read).max_by_key(|mark| mark.number)
    }

    /// Writes the slot that does not hold the previous mark.
    pub fn write(&self, file: &File) -> std::io::Result<()> {
        let text = format!("{:<width$}\n", self.to_text(), width = SLOT_BYTES - 1);
        file.write_all_at(text.as_bytes(), SLOTS[(self.number % 2) as usize])
    }

    fn to_text(self) -> String {
        let Self { number, is_clean, ledger, copied, wal, header, inode } = self;
        let state = if is_clean { "stopped" } else { "running" };
        let Ledger { commits, timeline, messages, deliveries } = ledger;
        let wal = wal.map_or(0, |Salts(salts)| salts);
        let mut text = format!(
            "mark {number} {state} commits {commits} timeline {timeline} messages {messages} deliveries {deliveries} \
             copied {copied} wal {wal:016x} header {header:016x} inode {inode}"
        );
        let checksum = crc32fast::hash(text.as_bytes());
        let _ = write!(text, " crc {checksum:08x}");
        text
    }

    fn from_text(text: &str) -> Option<Self> {
        let (content, checksum) = text.rsplit_once(" crc ")?;
        if u32::from_str_radix(checksum, 16).ok()? != crc32fast::hash(content.as_bytes()) {
            return None;
        }
        let mut words = content.split(' ');
        let mut next = |label: &str| words.next().filter(|word| *word == label).and_then(|_| words.next());
        let number = next("mark")?.parse().ok()?;
        let is_clean = words.next()? == "stopped";
        let mut next = |label: &str| words.next().filter(|word| *word == label).and_then(|_| words.next());
        let ledger = Ledger {
            commits: next("commits")?.parse().ok()?,
            timeline: next("timeline")?.parse().ok()?,
            messages: next("messages")?.parse().ok()?,
            deliveries: next("deliveries")?.parse().ok()?,
        };
        let copied = next("copied")?.parse().ok()?;
        let wal = u64::from_str_radix(next("wal")?, 16).ok()?;
        let header = u64::from_str_radix(next("header")?, 16).ok()?;
        let inode = next("inode")?.parse().ok()?;
        Some(Self { number, is_clean, ledger, copied, wal: (wal != 0).then_some(Salts(wal)), header, inode })
    }
}

/// Extends the lock file to its full length, so that a mark needs no space on a full disk.
pub fn reserve_space(file: &File) -> std::io::Result<()> {
    let bytes = file.metadata()?.len();
    if bytes < FILE_BYTES {
        let blank = vec![b' '; (FILE_BYTES - bytes) as usize];
        file.write_all_at(&blank, bytes)?;
    }
    Ok(())
}

/// Removes the marks: the next start then has no mark to compare the database with.
pub fn clear(file: &File) -> std::io::Result<()> {
    SLOTS.into_iter().try_for_each(|at| file.write_all_at(&[b' '; SLOT_BYTES], at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(number: u64) -> Mark {
        let ledger =
            Ledger { commits: i64::MAX, timeline: i64::MAX, messages: i64::MAX, deliveries: i64::MAX };
        Mark {
            number,
            is_clean: number.is_multiple_of(2),
            ledger,
            copied: i64::MAX,
            wal: (!number.is_multiple_of(3)).then_some(Salts(u64::MAX)),
            header: u64::MAX,
            inode: u64::MAX,
        }
    }

    #[test]
    fn newest_mark_is_read_back() {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(Mark::read(&file), None);
        reserve_space(&file).unwrap();
        assert_eq!(Mark::read(&file), None);
        for number in [1, 2, 3, u64::MAX - 1] {
            mark(number).write(&file).unwrap();
            assert_eq!(Mark::read(&file), Some(mark(number)));
        }
        assert_eq!(file.metadata().unwrap().len(), FILE_BYTES);
        clear(&file).unwrap();
        assert_eq!(Mark::read(&file), None);
    }

    #[test]
    fn torn_mark_keeps_previous_mark() {
        for at in 0..SLOT_BYTES {
            let file = tempfile::tempfile().unwrap();
            mark(1).write(&file).unwrap();
            mark(2).write(&file).unwrap();
            file.write_all_at(b"\0", SLOTS[0] + at as u64).unwrap();
            let expected = if at < mark(2).to_text().len() { mark(1) } else { Mark::read(&file).unwrap() };
            assert_eq!(Mark::read(&file), Some(expected), "{at}");
        }
    }

    #[test]
    fn lock_of_older_version_has_no_mark() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(b"12345", 0).unwrap();
        reserve_space(&file).unwrap();
        assert_eq!(Mark::read(&file), None);
    }
}
