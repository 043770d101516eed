//! Rescue after a file of the database was moved, deleted or replaced while the service uses it:
//! saves the data that the open connection still reaches. After a truncation, nothing is saved.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::store::checkpoint;
use crate::store::files::modes::create_private;
use crate::store::files::paths::sibling_path;
use crate::store::files::{FileChange, Files};

const COPY_TIMEOUT: Duration = Duration::from_secs(2);
const COPY_RETRY_PAUSE: Duration = Duration::from_millis(20);

/// Saves the acknowledged messages after a file was moved, deleted or replaced; after a truncation,
/// saves nothing. Returns one line with the cause and the result.
pub fn rescue(connection: &Connection, files: &Files, change: FileChange) -> String {
    match change {
        FileChange::Truncated(name) => format!(
            "the {name} file was truncated while it was in use: stopping to prevent further loss. \
             Restore a backup, or check the remaining data with `creel verify`"
        ),
        FileChange::Moved(name) => format!(
            "the {name} file was moved, deleted or replaced while it was in use: stopping. {}",
            save(connection, files)
        ),
    }
}

fn save(connection: &Connection, files: &Files) -> String {
    let path = connection.path().map(PathBuf::from).unwrap_or_default();
    let copied = copy_wal(connection);
    if files.database_was_unlinked() {
        return match write_copy(connection, &path, &path) {
            Ok(()) => {
                format!("All acknowledged messages were written to a new file {}", path.display())
            }
            Err(error) => format!("Writing the messages to a new file {} failed: {error}", path.display()),
        };
    }
    match copied {
        Ok(()) => format!(
            "All acknowledged messages are in the original database file: if it was moved, move it back \
             to {}",
            path.display()
        ),
        Err(why) => {
            let copy = sibling_path(&path, "rescued");
            match write_copy(connection, &path, &copy) {
                Ok(()) => format!("The WAL could not be copied ({why}); everything is in {}", copy.display()),
                Err(error) => {
                    format!("The WAL could not be copied ({why}), and writing a new file failed ({error})")
                }
            }
        }
    }
}

/// Copies the WAL into the database. Retries, because readers may hold back a part of the WAL for a
/// moment, or another process may be checkpointing.
fn copy_wal(connection: &Connection) -> Result<(), String> {
    let deadline = Instant::now() + COPY_TIMEOUT;
    loop {
        let why = match checkpoint::copy_all(connection) {
            Ok(true) => return Ok(()),
            Ok(false) => "a reader or another process blocks the checkpoint".to_owned(),
            Err(error) => error.to_string(),
        };
        if Instant::now() >= deadline {
            return Err(why);
        }
        std::thread::sleep(COPY_RETRY_PAUSE);
    }
}

/// Writes the whole content to `target`, replacing any existing file.
fn write_copy(connection: &Connection, path: &Path, target: &Path) -> Result<(), String> {
    let temporary = sibling_path(path, "rescuing");
    let _ = std::fs::remove_file(&temporary);
    let name = temporary.to_str().ok_or("the path is not UTF-8")?;
    // `VACUUM INTO` accepts an empty file, and keeps its mode.
    create_private(&temporary).map_err(|error| error.to_string())?;
    connection.execute("VACUUM INTO ?1", [name]).map_err(|error| error.to_string())?;
    std::fs::File::open(&temporary).and_then(|file| file.sync_all()).map_err(|error| error.to_string())?;
    for leftover in ["-wal", "-shm"] {
        // Left by an earlier file with this name. SQLite must not apply it to the new file.
        let _ = std::fs::remove_file(format!("{}{leftover}", target.display()));
    }
    std::fs::rename(&temporary, target).map_err(|error| error.to_string())?;
    // Some file systems cannot sync a directory.
    let directory = target.parent().unwrap_or(Path::new("."));
    if let Err(error) = std::fs::File::open(directory).and_then(|directory| directory.sync_all()) {
        log::warn!("cannot sync the directory {}: {error}", directory.display());
    }
    Ok(())
}
