//! What is done when the files were moved or cut under the running service: save what the open handle still has.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

use super::checkpoint;
use super::files::{Change, Files, beside};

const CHECKPOINT_WAIT: Duration = Duration::from_secs(2);

/// Saves what was acknowledged, as far as the open handle reaches it, and says in one line what happened and what
/// was done.
pub fn rescue(connection: &Connection, files: &Files, change: Change) -> String {
    match change {
        Change::Cut(name) => format!(
            "the {name} file was cut while it was in use: stopping before more is lost. \
             Restore a backup, or look at what is left with `creel verify`"
        ),
        Change::Moved(name) => format!(
            "the {name} file was moved, deleted or replaced while it was in use: stopping. {}",
            save(connection, files)
        ),
    }
}

fn save(connection: &Connection, files: &Files) -> String {
    let path = connection.path().map(PathBuf::from).unwrap_or_default();
    let copied =
        connection.busy_timeout(CHECKPOINT_WAIT).and_then(|()| checkpoint::truncate(connection)).map_or_else(
            |error| format!("the WAL could not be copied ({error})"),
            |_| "the WAL was copied".to_owned(),
        );
    if files.database_was_unlinked() {
        return match write_again(connection, &path) {
            Ok(()) => {
                format!("Everything that was acknowledged has been written to {} again", path.display())
            }
            Err(error) => format!("Writing it to {} again failed: {error}", path.display()),
        };
    }
    format!("Into the database file as it was opened, {copied}: move that file back to {}", path.display())
}

/// The file has no name any more and goes with this process: its content is written anew under the old one.
fn write_again(connection: &Connection, path: &Path) -> Result<(), String> {
    let temporary = beside(path, "rescued");
    let name = temporary.to_str().ok_or("the path is not UTF-8")?;
    connection.execute("VACUUM INTO ?1", [name]).map_err(|error| error.to_string())?;
    std::fs::File::open(&temporary).and_then(|file| file.sync_all()).map_err(|error| error.to_string())?;
    for leftover in ["-wal", "-shm"] {
        // They belong to the file that is gone; a new one must not be read together with them.
        let _ = std::fs::remove_file(format!("{}{leftover}", path.display()));
    }
    std::fs::rename(&temporary, path).map_err(|error| error.to_string())
}
