//! Names of the files next to the database.

use std::path::{Path, PathBuf};

/// Returns the path of one of creel's own files, e.g. `creel.db.lock`, `creel.db.key` or
/// `creel.db.ballast`. SQLite's files have a hyphen, as in `creel.db-wal`.
pub fn sibling_path(database: &Path, extension: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    PathBuf::from(name)
}

pub fn wal_of(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push("-wal");
    PathBuf::from(name)
}

/// Whether a rollback journal has content. SQLite leaves one if a process is killed while it
/// converts the file to WAL, or writes in another journal mode.
pub fn has_journal(database: &Path) -> bool {
    let mut name = database.as_os_str().to_owned();
    name.push("-journal");
    std::fs::metadata(PathBuf::from(name)).is_ok_and(|metadata| metadata.len() > 0)
}
