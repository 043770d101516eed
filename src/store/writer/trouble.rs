//! Why a transaction came to nothing, and what that means for those after it.

use rusqlite::ErrorCode;

/// Why a transaction came to nothing.
pub enum Trouble {
    /// Somebody else holds the write lock.
    Locked,
    DiskFull,
    /// SQLite has undone the whole transaction because of one job.
    Lost,
    /// A job needs a page that is damaged. The transaction must be undone: the job may have changed a part of what it was to.
    Damaged,
    /// Keys can no longer be merged; without that the transaction may succeed.
    MergeStopped,
    /// Nothing may be acknowledged any more.
    Fatal(String),
}
impl Trouble {
    /// `free_bytes`: of the disk, which tells a full one from a broken one.
    pub fn of(error: &rusqlite::Error, free_bytes: impl FnOnce() -> u64) -> Self {
        let Some(failure) = error.sqlite_error() else { return Self::Lost };
        let is_sync = [rusqlite::ffi::SQLITE_IOERR_FSYNC, rusqlite::ffi::SQLITE_IOERR_DIR_FSYNC]
            .contains(&failure.extended_code);
        match failure.code {
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Self::Locked,
            ErrorCode::DiskFull => Self::DiskFull,
            // Growing the shared memory of the WAL reports a full disk as an I/O error.
            ErrorCode::SystemIoFailure if !is_sync && free_bytes() < 1 << 20 => Self::DiskFull,
            ErrorCode::DatabaseCorrupt => Self::Damaged,
            ErrorCode::SystemIoFailure
            | ErrorCode::NotADatabase
            | ErrorCode::CannotOpen
            | ErrorCode::ReadOnly
            | ErrorCode::PermissionDenied => Self::Fatal(format!("the database cannot be written: {error}")),
            _ => Self::Lost,
        }
    }
}
