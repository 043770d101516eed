//! The single-instance lock, and its file with the process id and the mark.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use crate::store::continuity::mark::{self, Mark, OWNER_BYTES};
use crate::store::error::OpenError;
use crate::store::files::modes::FILE_MODE;
use crate::store::files::paths::sibling_path;

/// The single-instance lock. It is held for the life of the process, and the kernel releases it on
/// any exit.
#[derive(Debug)]
pub struct InstanceLock {
    file: File,
}

impl InstanceLock {
    /// Takes the lock, or returns `Ok(None)` if another process holds it. Does not change the
    /// file's content.
    pub fn try_take(database: &Path) -> Result<Option<Self>, OpenError> {
        let path = sibling_path(database, "lock");
        let problem = |error: std::io::Error| {
            let advice = match error.kind() {
                ErrorKind::PermissionDenied => "; chown it and its directory to the user that runs creel",
                _ => "",
            };
            OpenError(format!("cannot use the lock file {}: {error}{advice}", path.display()))
        };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(FILE_MODE)
            .open(&path)
            .map_err(problem)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(problem(error)),
        }
    }

    /// Returns the mark of the last run; `None` if there is no mark.
    pub fn mark(&self) -> Option<Mark> {
        Mark::read(&self.file)
    }

    /// Writes the process id and reserves space for the marks. Errors are ignored: the lock is
    /// valid without this content.
    pub fn claim(&self) {
        let owner = format!("{:<width$}\n", std::process::id(), width = OWNER_BYTES - 1);
        let _ = self.file.write_all_at(owner.as_bytes(), 0).and_then(|()| mark::reserve_space(&self.file));
    }

    pub fn write_mark(&self, mark: &Mark) -> std::io::Result<()> {
        mark.write(&self.file)
    }

    pub fn clear_mark(&self) -> std::io::Result<()> {
        mark::clear(&self.file)
    }

    /// Syncs the mark. Without a sync, a power cut can only leave an older mark.
    pub fn sync(&self) {
        let _ = self.file.sync_data();
    }

    /// Returns the process that holds the lock, for the error message.
    pub fn holder(database: &Path) -> String {
        let text = std::fs::read_to_string(sibling_path(database, "lock")).unwrap_or_default();
        match text.lines().next().map(str::trim) {
            Some(owner) if !owner.is_empty() => format!("process {owner}"),
            _ => "another process".to_owned(),
        }
    }
}
