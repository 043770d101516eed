//! A file whose identity, length and allocated blocks are checked while it is open.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

const STAT_BLOCK_BYTES: u64 = 512;
/// Smallest hole that indicates a file was truncated and rewritten.
const HOLE_BYTES: u64 = 64 * 1024;

/// A change to a file that was not made through SQLite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileChange {
    /// A file that was unlinked, renamed or replaced; the open handle still has all data.
    Moved(&'static str),
    /// A file that is shorter than the data written to it, or has lost a part of this data. For the
    /// WAL, the cause may be a checkpoint by another process.
    Truncated(&'static str),
}

#[derive(Debug)]
pub struct WatchedFile {
    pub name: &'static str,
    pub path: PathBuf,
    pub device: u64,
    pub inode: u64,
    /// Minimum length of the file; 0 if any length is accepted, e.g. during an intended reset of
    /// the WAL.
    pub min_bytes: AtomicU64,
    /// Highest number of allocated bytes at a check since the last intended change: a file that was
    /// truncated and then written at its old end has the right length, but a hole.
    pub allocated_bytes: AtomicU64,
}

impl WatchedFile {
    pub fn new(name: &'static str, path: PathBuf) -> std::io::Result<Self> {
        let metadata = std::fs::metadata(&path)?;
        Ok(Self {
            name,
            device: metadata.dev(),
            inode: metadata.ino(),
            path,
            min_bytes: AtomicU64::new(0),
            allocated_bytes: AtomicU64::new(0),
        })
    }

    /// `sync` syncs the file.
    pub fn check(
        &self,
        holes_are_visible: bool,
        sync: impl FnOnce() -> std::io::Result<()>,
    ) -> Result<Metadata, FileChange> {
        // Loaded before the call to `stat`, because the file and this minimum may grow in between.
        let min_bytes = self.min_bytes.load(Ordering::Acquire);
        let metadata = std::fs::metadata(&self.path).map_err(|_| FileChange::Moved(self.name))?;
        if (metadata.dev(), metadata.ino()) != (self.device, self.inode) {
            return Err(FileChange::Moved(self.name));
        }
        let allocated = allocated_bytes(&metadata);
        let before = self.allocated_bytes.load(Ordering::Acquire);
        let has_hole = |metadata: &Metadata| {
            let allocated = allocated_bytes(metadata);
            allocated + HOLE_BYTES < metadata.len() && allocated < before
        };
        let has_hole_now = || std::fs::metadata(&self.path).is_ok_and(|metadata| has_hole(&metadata));
        if metadata.len() < min_bytes
            || (min_bytes > 0
                && holes_are_visible
                && has_hole(&metadata)
                && is_still_true(self.name, sync, has_hole_now))
        {
            return Err(FileChange::Truncated(self.name));
        }
        if min_bytes > 0 && allocated > before {
            self.allocated_bytes.store(allocated, Ordering::Release);
        }
        Ok(metadata)
    }

    pub fn expect_at_least(&self, bytes: u64) {
        if bytes == 0 {
            // The file may be truncated on purpose now, and use less space.
            self.allocated_bytes.store(0, Ordering::Release);
        }
        self.min_bytes.store(bytes, Ordering::Release);
    }
}

pub fn allocated_bytes(metadata: &Metadata) -> u64 {
    metadata.blocks() * STAT_BLOCK_BYTES
}

/// Whether a sign of a hole remains after a sync. While the kernel allocates blocks for cached
/// pages, a file system can report holes that do not exist. A failed sync counts as a loss.
pub fn is_still_true(
    name: &str,
    sync: impl FnOnce() -> std::io::Result<()>,
    has_hole_now: impl FnOnce() -> bool,
) -> bool {
    let is_lost = sync().is_err() || has_hole_now();
    if !is_lost {
        log::info!("the file system reported a hole in the {name} file that did not exist");
    }
    is_lost
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn hole_that_disappears_after_sync_is_not_a_loss() {
        assert!(!is_still_true("database", || Ok(()), || false));
        assert!(is_still_true("database", || Ok(()), || true));
        assert!(is_still_true("database", || Err(io::ErrorKind::Other.into()), || false));
    }
}
