//! The database file and the files next to it: their identity and modes, free space, the ballast,
//! and the single-instance lock.
//!
//! Closing any descriptor of the database would drop SQLite's POSIX locks in this process. Its path
//! is therefore only checked with `stat`, and the one descriptor opened here, for syncing, is never
//! closed.

use std::fs::File;
use std::io::Write as _;
use std::mem::ManuallyDrop;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::store::error::OpenError;
use crate::store::files::modes::create_private;
use crate::store::files::paths::{sibling_path, wal_of};
use crate::store::files::roots::RootPages;

pub mod lock;
pub mod modes;
pub mod paths;
pub mod roots;
mod watched;

pub use watched::FileChange;
use watched::{WatchedFile, allocated_bytes, is_still_true};

/// Size of the ballast: a file that reserves disk space, so that cleanup can still write after
/// other data has filled the disk.
const BALLAST_BYTES: u64 = 8 * 1024 * 1024;
/// Free space below which a disk that was full still counts as full, even if the current WAL has
/// room. It is more than the ballast, whose space is reserved for cleanup.
const MIN_FREE_AFTER_FULL_BYTES: u64 = BALLAST_BYTES + (4 << 20);
/// Free space that SQLite needs to open the database.
const MIN_FREE_TO_OPEN_BYTES: u64 = 1 << 20;

/// State of the database file before a checkpoint.
#[derive(Clone, Copy, Debug)]
#[must_use = "`detect_lost_pages` compares with it"]
pub struct CheckpointBaseline {
    /// Offset of the first hole, in bytes; `u64::MAX` if holes are not visible.
    first_hole: u64,
}

/// Expected state of the database and its WAL while they are open.
#[derive(Debug)]
pub struct Files {
    database: WatchedFile,
    wal: WatchedFile,
    roots: Mutex<RootPages>,
    /// Whether pages of the database are lost although the file has the expected length.
    has_lost_pages: AtomicBool,
    /// Descriptor for syncing the database outside SQLite; must never be closed.
    for_sync: ManuallyDrop<File>,
    /// Opened here, because a shortage of descriptors must not look like a failed sync.
    wal_for_sync: File,
    holes_are_visible: bool,
    min_free_bytes: u64,
    ballast: Mutex<PathBuf>,
    disk_full: AtomicBool,
}

impl Files {
    /// Records the identity of both files, which must exist (the WAL exists after the first write).
    pub fn watch(database: &Path, min_free_bytes: u64) -> Result<Self, OpenError> {
        let problem =
            |error| OpenError(format!("cannot inspect the database {}: {error}", database.display()));
        Ok(Self {
            database: WatchedFile::new("database", database.to_owned()).map_err(problem)?,
            wal: WatchedFile::new("WAL", wal_of(database)).map_err(problem)?,
            roots: Mutex::default(),
            has_lost_pages: AtomicBool::new(false),
            for_sync: ManuallyDrop::new(File::open(database).map_err(problem)?),
            wal_for_sync: File::open(wal_of(database)).map_err(problem)?,
            holes_are_visible: shows_holes(database),
            min_free_bytes,
            ballast: Mutex::new(sibling_path(database, "ballast")),
            disk_full: AtomicBool::new(false),
        })
    }

    /// Checks that neither file was moved or truncated, with two `stat` calls.
    pub fn check(&self) -> Result<(), FileChange> {
        self.database.check(self.holes_are_visible, || self.sync_to_confirm())?;
        if self.has_lost_pages() {
            return Err(FileChange::Truncated(self.database.name));
        }
        self.wal.check(self.holes_are_visible, || self.wal_for_sync.sync_data())?;
        Ok(())
    }

    /// Checks that neither file was moved or became too short. Unlike `check`, never syncs, so it
    /// does not block an event loop.
    pub fn check_quickly(&self) -> Result<(), FileChange> {
        for file in [&self.database, &self.wal] {
            file.check(false, || Ok(()))?;
        }
        if self.has_lost_pages() { Err(FileChange::Truncated(self.database.name)) } else { Ok(()) }
    }

    /// Sets the minimum length of the WAL; 0 before an intended reset.
    pub fn expect_wal(&self, bytes: u64) {
        self.wal.expect_at_least(bytes);
    }

    /// Sets the root pages to look for after checkpoints.
    pub fn expect_roots(&self, mut roots: RootPages) {
        roots.find_missing(&self.for_sync);
        *self.roots.lock() = roots;
    }

    /// Prepares for a checkpoint, which may extend the database, or truncate it to its content
    /// (`content_bytes`; 0 if unknown). The minimum length stays in force meanwhile.
    pub fn database_may_change(&self, content_bytes: u64) -> CheckpointBaseline {
        if content_bytes > 0 {
            self.database.min_bytes.fetch_min(content_bytes, Ordering::AcqRel);
        }
        CheckpointBaseline { first_hole: self.first_hole() }
    }

    /// Prepares for the commit of a vacuum: the next checkpoint may truncate the file to its
    /// content.
    pub fn database_may_shrink_to(&self, content_bytes: u64) {
        self.database.allocated_bytes.store(0, Ordering::Release);
        self.database.min_bytes.fetch_min(content_bytes, Ordering::AcqRel);
    }

    /// Looks for pages that were lost because the file was truncated during a checkpoint. The
    /// checkpoint restores the length of the file, but writes only the pages in the WAL. The signs
    /// are a hole before the first known one, and a missing root page; a checkpoint alone causes
    /// neither. `read_roots` reads the roots from SQLite.
    pub fn detect_lost_pages(
        &self,
        baseline: Option<CheckpointBaseline>,
        read_roots: impl FnOnce() -> rusqlite::Result<RootPages>,
    ) {
        if self.roots.lock().are_lost(&self.for_sync, read_roots) {
            self.has_lost_pages.store(true, Ordering::Release);
            return;
        }
        let has_new_hole = baseline.is_some_and(|baseline| {
            let has_hole = || {
                let hole = self.first_hole();
                hole < baseline.first_hole.min(self.for_sync.metadata().map_or(0, |metadata| metadata.len()))
            };
            has_hole() && is_still_true(self.database.name, || self.sync_to_confirm(), has_hole)
        });
        if has_new_hole {
            self.has_lost_pages.store(true, Ordering::Release);
        }
    }

    /// Syncs the database to confirm the sign of a hole. An error stops the store: the kernel
    /// reports it only once, so a later sync would succeed without the lost data.
    fn sync_to_confirm(&self) -> std::io::Result<()> {
        self.sync_database().inspect_err(|error| {
            log::error!("cannot sync the database: {error}");
            self.has_lost_pages.store(true, Ordering::Release);
        })
    }

    pub fn has_lost_pages(&self) -> bool {
        self.has_lost_pages.load(Ordering::Acquire)
    }

    /// Returns the offset of the first hole in the database file, or the length of a file without
    /// holes; `u64::MAX` if holes are not visible.
    fn first_hole(&self) -> u64 {
        if !self.holes_are_visible {
            return u64::MAX;
        }
        rustix::fs::seek(&*self.for_sync, rustix::fs::SeekFrom::Hole(0)).unwrap_or(u64::MAX)
    }

    /// Sets the minimum length after a checkpoint. If the file is shorter than the minimum, another
    /// process has truncated it, and the minimum stays so that the next check fails.
    pub fn update_min_bytes(&self) {
        let Ok(metadata) = self.for_sync.metadata() else { return };
        if metadata.len() >= self.database.min_bytes.load(Ordering::Acquire) {
            self.database.min_bytes.store(metadata.len(), Ordering::Release);
            self.database.allocated_bytes.store(allocated_bytes(&metadata), Ordering::Release);
        }
    }

    /// Syncs the pages that checkpoints wrote. In a passive checkpoint, SQLite does not sync the
    /// database if the writer adds frames meanwhile. Without this call, the step that stops the
    /// writer would have to sync all pages.
    pub fn sync_database(&self) -> std::io::Result<()> {
        Ok(rustix::fs::fdatasync(&*self.for_sync)?)
    }

    /// Returns the first bytes of the database file, without the WAL. Reads until two reads are
    /// equal, because a checkpoint may be writing them.
    pub fn database_header(&self) -> std::io::Result<[u8; 100]> {
        let read = || {
            let mut header = [0; 100];
            self.for_sync.read_exact_at(&mut header, 0).map(|()| header)
        };
        let mut header = read()?;
        loop {
            let again = read()?;
            if again == header {
                return Ok(header);
            }
            header = again;
        }
    }

    pub fn database_inode(&self) -> u64 {
        self.database.inode
    }

    pub fn database_bytes(&self) -> u64 {
        std::fs::metadata(&self.database.path).map_or(0, |metadata| metadata.len())
    }

    pub fn wal_bytes(&self) -> u64 {
        std::fs::metadata(&self.wal.path).map_or(0, |metadata| metadata.len())
    }

    /// Whether the database's path does not exist and no other name links to the file.
    pub fn database_was_unlinked(&self) -> bool {
        !self.database.path.exists() && self.has_deleted_descriptor()
    }

    /// Whether a descriptor of this process refers to the database file and the file has no name;
    /// true also if `/proc` cannot be read.
    fn has_deleted_descriptor(&self) -> bool {
        let Ok(descriptors) = std::fs::read_dir("/proc/self/fd") else { return true };
        let is_deleted_database = |link: PathBuf| {
            std::fs::metadata(&link).is_ok_and(|metadata| {
                (metadata.dev(), metadata.ino()) == (self.database.device, self.database.inode)
                    && metadata.nlink() == 0
            })
        };
        descriptors.flatten().any(|entry| is_deleted_database(entry.path()))
    }

    /// Free bytes for unprivileged users; `u64::MAX` if the file system does not report them.
    pub fn free_bytes(&self) -> u64 {
        free_bytes(self.database.path.parent().unwrap_or(Path::new(".")))
    }

    pub fn is_low(&self) -> bool {
        self.missing_bytes() > 0
    }

    /// Whether free space is below the low-water mark plus a margin: the low-water mark again, or
    /// twice the ballast if that is more.
    pub fn is_nearly_low(&self) -> bool {
        let margin = self.min_free_bytes.max(2 * BALLAST_BYTES);
        self.free_bytes() < self.min_free_bytes.saturating_add(margin)
    }

    /// Shortfall of free space below the low-water mark (`CREEL_MIN_FREE`), in bytes.
    pub fn missing_bytes(&self) -> u64 {
        self.min_free_bytes.saturating_sub(self.free_bytes())
    }

    /// Records that the disk is full, and releases the ballast, so that cleanup can write.
    pub fn note_full(&self) {
        self.disk_full.store(true, Ordering::Release);
        let is_released = std::fs::remove_file(&*self.ballast.lock()).is_ok();
        if is_released {
            log::warn!("the disk is full: released {} MiB of ballast for cleanup", BALLAST_BYTES >> 20);
        }
    }

    /// Whether a checkpoint would use the space of the released ballast, which cleanup needs for
    /// its writes. Such a checkpoint has to wait until cleanup has vacuumed the database.
    /// `content_bytes` returns the length of the database after the checkpoint.
    pub fn must_leave_room(&self, content_bytes: impl FnOnce() -> u64) -> bool {
        self.is_full() && content_bytes().saturating_sub(self.database_bytes()) > self.free_bytes() / 2
    }

    /// Records that a message was written, so the disk does not count as full.
    pub fn note_space(&self) {
        if self.disk_full.load(Ordering::Relaxed) {
            self.disk_full.store(false, Ordering::Release);
            log::info!("there is space on the disk again");
        }
    }

    /// Whether a write failed for lack of space, no message was written since, and little space is
    /// free.
    pub fn is_full(&self) -> bool {
        self.disk_full.load(Ordering::Acquire) && self.free_bytes() < MIN_FREE_AFTER_FULL_BYTES
    }

    /// Writes the ballast if it is missing and at least twice its size is free above the low-water
    /// mark. Without a low-water mark (0), never writes it.
    pub fn write_ballast_if_room(&self) {
        let path = self.ballast.lock();
        let exists = std::fs::metadata(&*path).is_ok_and(|metadata| metadata.len() == BALLAST_BYTES);
        if self.min_free_bytes == 0
            || exists
            || self.free_bytes() < self.min_free_bytes.saturating_add(2 * BALLAST_BYTES)
        {
            return;
        }
        if let Err(error) = write_ballast(&path) {
            log::warn!("cannot write the ballast file {}: {error}", path.display());
        }
    }
}

/// Releases the ballast of a full disk before the database is opened, which needs a little space.
pub fn make_room_to_open(database: &Path) {
    let directory = database.parent().unwrap_or(Path::new("."));
    if free_bytes(directory) < MIN_FREE_TO_OPEN_BYTES
        && std::fs::remove_file(sibling_path(database, "ballast")).is_ok()
    {
        log::warn!("the disk is full: released the ballast to open the database");
    }
}

/// Writes real blocks, not a sparse file.
fn write_ballast(path: &Path) -> std::io::Result<()> {
    let _ = std::fs::remove_file(path);
    let file = create_private(path)?;
    if rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, BALLAST_BYTES).is_err() {
        let chunk = vec![0x5a; 1 << 20];
        (0..BALLAST_BYTES >> 20).try_for_each(|_| (&file).write_all(&chunk))?;
    }
    file.sync_all()
}

pub fn free_bytes(directory: &Path) -> u64 {
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    rustix::fs::statvfs(directory).map_or(u64::MAX, |stat| stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Whether the file system allocates exactly the written data, without compression.
fn shows_holes(path: &Path) -> bool {
    const EXT: u64 = 0xef53;
    const XFS: u64 = 0x5846_5342;
    const TMPFS: u64 = 0x0102_1994;
    // The width of `f_type` differs between platforms.
    rustix::fs::statfs(path)
        .is_ok_and(|stat| u64::try_from(stat.f_type).is_ok_and(|kind| [EXT, XFS, TMPFS].contains(&kind)))
}

#[cfg(test)]
mod tests;
