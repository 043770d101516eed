//! The file of the index: opening, its schema, its identity.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, params};

use crate::store::files::modes::create_private;
use crate::store::files::paths::wal_of;

/// Version of the file's schema and of the words. A file of another version is replaced.
const VERSION: i64 = 1;
/// Page caches of the connections, in KiB.
const WRITER_CACHE_KIB: i64 = 1_024;
const READER_CACHE_KIB: i64 = 512;
/// Statements that a reader keeps: two for each generation.
const READER_STATEMENTS: usize = 160;
const BUSY: Duration = Duration::from_millis(500);

/// Deleted words are overwritten: the file must not keep text of deleted messages. This must hold
/// from the first page on.
const SCHEMA: &str = "
CREATE TABLE state (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE generations (
  number      INTEGER PRIMARY KEY,   -- of its table, words_<number>
  first_id    INTEGER NOT NULL,      -- the messages with these ids are indexed
  last_id     INTEGER NOT NULL,
  messages    INTEGER NOT NULL,      -- number of indexed messages; 0: the table may be missing
  earliest_at TEXT    NOT NULL,      -- range of received_at
  latest_at   TEXT    NOT NULL,
  opened_at   INTEGER NOT NULL,      -- Unix time of its first message
  is_closed   INTEGER NOT NULL,      -- 1: complete
  optimized   INTEGER NOT NULL DEFAULT 0 -- number of messages whose words were merged
) STRICT;
CREATE TABLE blocks (                -- the range of received_at for a range of ids
  first_id    INTEGER PRIMARY KEY,
  last_id     INTEGER NOT NULL,
  earliest_at TEXT    NOT NULL,
  latest_at   TEXT    NOT NULL
) STRICT;
";

/// The open file, for its only writer.
#[derive(Debug)]
pub struct IndexFile {
    pub connection: Connection,
    path: PathBuf,
    /// Device and inode.
    inode: (u64, u64),
    /// Length after the last checkpoint.
    min_bytes: u64,
}

impl IndexFile {
    /// Opens the file, or replaces it if it does not belong to this database or is unreadable.
    /// `identity` names the database; `newest` is its highest id ever.
    pub fn open(path: &Path, identity: &str, newest: i64) -> rusqlite::Result<Self> {
        if path.exists() {
            match Self::open_existing(path, identity, newest) {
                Ok(Some(file)) => return Ok(file),
                Ok(None) => log::info!("the search index {} is rebuilt", path.display()),
                Err(error) => {
                    log::warn!("the search index {} is rebuilt: {error}", path.display());
                }
            }
        }
        Self::create(path, identity)
    }

    fn open_existing(path: &Path, identity: &str, newest: i64) -> rusqlite::Result<Option<Self>> {
        let connection = prepared(path)?;
        let stored = |name: &str| -> rusqlite::Result<Option<String>> {
            connection
                .query_row("SELECT value FROM state WHERE name = ?1", [name], |row| row.get(0))
                .optional()
        };
        let is_ours = stored("version")?.as_deref() == Some(VERSION.to_string().as_str())
            && stored("database")?.as_deref() == Some(identity);
        let through: i64 =
            connection
                .query_row("SELECT coalesce(max(last_id), 0) FROM generations", [], |row| row.get(0))?;
        if !is_ours || through > newest {
            return Ok(None);
        }
        drop_orphans(&connection)?;
        Self::watched(connection, path).map(Some)
    }

    fn create(path: &Path, identity: &str) -> rusqlite::Result<Self> {
        remove(path);
        create_private(path).map_err(|error| io_error(&error))?;
        let connection = prepared(path)?;
        connection.execute_batch(&format!("BEGIN; {SCHEMA}"))?;
        let set = "INSERT INTO state (name, value) VALUES (?1, ?2)";
        connection.execute(set, params!["version", VERSION.to_string()])?;
        connection.execute(set, params!["database", identity])?;
        connection.execute_batch("COMMIT")?;
        Self::watched(connection, path)
    }

    fn watched(connection: Connection, path: &Path) -> rusqlite::Result<Self> {
        let metadata = std::fs::metadata(path).map_err(|error| io_error(&error))?;
        let inode = (metadata.dev(), metadata.ino());
        Ok(Self { connection, path: path.to_owned(), inode, min_bytes: 0 })
    }

    /// Whether the file is still at its path, and not shorter than it was.
    pub fn is_in_place(&self) -> bool {
        std::fs::metadata(&self.path).is_ok_and(|metadata| {
            (metadata.dev(), metadata.ino()) == self.inode && metadata.len() >= self.min_bytes
        }) && wal_of(&self.path).exists()
    }

    pub fn wal_bytes(&self) -> u64 {
        std::fs::metadata(wal_of(&self.path)).map_or(0, |metadata| metadata.len())
    }

    /// Copies the WAL into the file, and truncates it unless a search reads it.
    pub fn checkpoint(&mut self) -> rusqlite::Result<()> {
        self.min_bytes = 0;
        self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        self.min_bytes = std::fs::metadata(&self.path).map_or(0, |metadata| metadata.len());
        Ok(())
    }

    /// Returns unused pages to the file system. The next checkpoint truncates the file.
    pub fn shrink(&self) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare("PRAGMA incremental_vacuum")?;
        let mut rows = statement.query([])?;
        while rows.next()?.is_some() {}
        Ok(())
    }
}

fn prepared(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "auto_vacuum", 2)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // After a power cut the index is that of the last checkpoint, which is correct.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "secure_delete", true)?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    Ok(connection)
}

/// Opens the file for a search.
pub fn reader(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
    connection.set_prepared_statement_cache_capacity(READER_STATEMENTS);
    Ok(connection)
}

/// Drops the tables of generations that were not finished before the process ended.
fn drop_orphans(connection: &Connection) -> rusqlite::Result<()> {
    let names: Vec<String> = connection
        .prepare(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND sql LIKE 'CREATE VIRTUAL TABLE%'
             AND name NOT IN (SELECT 'words_' || number FROM generations)",
        )?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    names.iter().try_for_each(|name| connection.execute_batch(&format!("DROP TABLE \"{name}\"")))
}

/// Deletes the files of the index.
pub fn remove(path: &Path) {
    let with = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    for file in [path.to_owned(), with("-wal"), with("-shm"), with("-journal")] {
        if let Err(error) = std::fs::remove_file(&file)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            log::warn!("cannot delete {}: {error}", file.display());
        }
    }
}

/// Size of the file and its WAL.
pub fn allocated_bytes(path: &Path) -> u64 {
    let length = |path: &Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    length(path) + length(&wal_of(path))
}

fn io_error(error: &std::io::Error) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(
        rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN),
        Some(error.to_string()),
    )
}
