//! File modes: files that creel creates are accessible only to the user that runs creel, regardless
//! of the umask. Existing files are never changed.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::store::files::paths::{sibling_path, wal_of};

pub const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;
/// Permission bits of the group and of others.
const OTHERS: u32 = 0o077;
const STICKY: u32 = 0o1000;

/// Creates a file; fails if it already exists. SQLite gives `-wal` and `-shm` the mode of the
/// database.
pub fn create_private(path: &Path) -> std::io::Result<File> {
    let file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path)?;
    file.set_permissions(Permissions::from_mode(FILE_MODE))?;
    Ok(file)
}

/// Creates a directory and its missing parents.
pub fn create_directory(path: &Path) -> std::io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(path)
}

/// Returns a warning for the directory and for each file of the database if other users of the
/// machine can access it.
pub fn loose_modes(database: &Path) -> Vec<String> {
    let mut warnings = Vec::new();
    let directory = match database.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory,
        _ => Path::new("."),
    };
    if let Some(mode) = mode_of(directory).filter(|mode| mode & OTHERS != 0) {
        warnings.push(match mode & STICKY {
            0 => format!(
                "the directory {} has mode {:04o}, which gives other users of this machine access: chmod 700 {}",
                directory.display(),
                mode,
                directory.display()
            ),
            _ => format!(
                "the directory {} has mode {mode:04o} and is shared with other users of this machine: \
                 set CREEL_DATABASE to a file in its own directory",
                directory.display()
            ),
        });
    }
    for path in files_of(database) {
        if let Some(mode) = mode_of(&path).filter(|mode| mode & OTHERS != 0) {
            warnings.push(format!(
                "{} has mode {mode:04o}, which gives other users of this machine access: chmod 600 {}",
                path.display(),
                path.display()
            ));
        }
    }
    warnings
}

fn files_of(database: &Path) -> Vec<PathBuf> {
    let mut shared_memory = database.as_os_str().to_owned();
    shared_memory.push("-shm");
    let mut files = vec![database.to_owned(), wal_of(database), PathBuf::from(shared_memory)];
    files.extend(["key", "lock", "rescued"].map(|extension| sibling_path(database, extension)));
    files
}

fn mode_of(path: &Path) -> Option<u32> {
    std::fs::metadata(path).ok().map(|metadata| metadata.permissions().mode() & 0o7777)
}

/// Returns the remedy for a file that cannot be opened; empty if permissions are not the cause.
pub fn owner_advice(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::PermissionDenied => "; chown it to the user that runs creel",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn created_files_and_directories_are_private() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("a/b");
        create_directory(&directory).unwrap();
        let database = directory.join("creel.db");
        drop(create_private(&database).unwrap());
        assert!(create_private(&database).is_err());
        assert_eq!(mode_of(&database), Some(0o600));
        assert_eq!((mode_of(&directory), mode_of(&root.path().join("a"))), (Some(0o700), Some(0o700)));
        assert_eq!(loose_modes(&database), [""; 0]);
    }

    #[test]
    fn looser_files_are_named_with_mode_and_remedy() {
        let root = tempfile::tempdir().unwrap();
        let database = root.path().join("creel.db");
        for (path, mode) in
            [(database.clone(), 0o644), (wal_of(&database), 0o640), (sibling_path(&database, "key"), 0o600)]
        {
            std::fs::write(&path, "").unwrap();
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        }
        std::fs::set_permissions(root.path(), Permissions::from_mode(0o755)).unwrap();
        let warnings = loose_modes(&database);
        assert_eq!(warnings.len(), 3, "{warnings:?}");
        assert!(warnings[0].contains("mode 0755") && warnings[0].contains("chmod 700"), "{warnings:?}");
        assert!(warnings[1].contains("mode 0644") && warnings[1].contains("chmod 600"), "{warnings:?}");
        std::fs::set_permissions(root.path(), Permissions::from_mode(0o1777)).unwrap();
        assert!(loose_modes(&database)[0].contains("CREEL_DATABASE"));
    }
}
