//! Causes of failed transactions, and their effect on later ones.

use rusqlite::ErrorCode;

/// Cause of a failed transaction.
pub enum Trouble {
    /// Another process holds the write lock.
    Locked,
    DiskFull,
    /// A job failed. SQLite may have rolled back the whole transaction.
    Lost,
    /// A job needs a damaged page. The transaction must be rolled back, because the job may be
    /// partly applied.
    Damaged,
    /// Keys can no longer be merged; without the merge the transaction may succeed.
    MergeStopped,
    /// No further job may be acknowledged.
    Fatal(String),
}
impl Trouble {
    /// `free_bytes`: free disk space, which distinguishes a full disk from a broken one.
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
