//! Checks whether the pages of the files are consistent. Reads every page, and changes nothing,
//! except that SQLite applies a rollback journal.

use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::store::continuity::database::open_alone;
use crate::store::error::OpenError;
use crate::store::files::paths::has_journal;
use crate::store::{damage, schema};

/// Checks the database file alone.
///
/// # Errors
/// If it is damaged.
pub fn check_without_wal(path: &Path) -> Result<(), OpenError> {
    if has_journal(path) {
        return schema::check_sound(path);
    }
    schema::find_damage(open_alone(path)).map_or(Ok(()), |why| Err(schema::damaged(path, &why)))
}

/// Whether the file is sound alone but damaged with its WAL, so that the two do not belong
/// together. Damage of the file alone is inconclusive, because a checkpoint may have been
/// interrupted.
pub fn is_damaged_by_wal(path: &Path) -> bool {
    if has_journal(path) {
        return false;
    }
    match check_with_wal(path) {
        Ok(why) => why != "ok" && schema::find_damage(open_alone(path)).is_none(),
        // Other errors are inconclusive: the file may be in use by another program, or on a
        // read-only file system.
        Err(error) => damage::is_damage(&error) && schema::find_damage(open_alone(path)).is_none(),
    }
}

/// Checks the file together with its WAL. Opens both as SQLite would, but with the index of the WAL
/// in memory and without a checkpoint when they are closed.
fn check_with_wal(path: &Path) -> rusqlite::Result<String> {
    let access = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, access)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.query_row("PRAGMA locking_mode = EXCLUSIVE", [], |_| Ok(()))?;
    schema::quick_check(&connection)
}
